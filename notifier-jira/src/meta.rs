//! What a new issue of a project may have: types and fields.

use notifier_core::Result;
use serde::Deserialize;

use crate::{
    api::{Api, Flavour, segment},
    error::config,
    instance::Instance,
};

/// How many are asked for at once, and how often at most.
const PAGE: usize = 50;
const PAGES: usize = 20;

/// How many values with a comma are kept of a field.
const MOST_WITH_COMMA: usize = 1000;

/// How many names an error lists.
const MOST_LISTED: usize = 40;

/// A type of issue.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct IssueType {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) subtask: bool,
}

/// What a field's value looks like.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Schema {
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) items: Option<String>,
    #[serde(default)]
    pub(crate) custom: Option<String>,
}

/// A field that a new issue may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) field_id: String,
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) has_default_value: bool,
    pub(crate) schema: Schema,
    /// The values it may have, of those with a comma in them.
    pub(crate) with_comma: Vec<String>,
}

/// A page of either flavour.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    #[serde(alias = "issueTypes", alias = "fields", default = "Vec::new")]
    values: Vec<T>,
    #[serde(default)]
    total: Option<usize>,
    #[serde(default)]
    is_last: Option<bool>,
}

/// A field as Jira says it: Cloud has its id twice.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawField {
    #[serde(default)]
    field_id: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    has_default_value: bool,
    #[serde(default)]
    schema: Schema,
    #[serde(default)]
    allowed_values: Option<Vec<Allowed>>,
}

/// A value that a field may have: of versions and the like a name, of options a value.
#[derive(Deserialize)]
struct Allowed {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    value: Option<String>,
}

impl RawField {
    fn named(self, id: Option<String>) -> Option<Field> {
        Some(Field {
            field_id: self.field_id.or(self.key).or(id)?,
            name: self.name,
            required: self.required,
            has_default_value: self.has_default_value,
            schema: self.schema,
            with_comma: self
                .allowed_values
                .into_iter()
                .flatten()
                .filter_map(|a| a.value.or(a.name))
                .filter(|v| v.contains(','))
                .take(MOST_WITH_COMMA)
                .collect(),
        })
    }
}

/// All pages of a list.
async fn pages<T: for<'a> Deserialize<'a>>(api: &Api, path: &str) -> Result<Vec<T>> {
    let mut out: Vec<T> = Vec::new();
    for _ in 0..PAGES {
        let start = out.len();
        let path = format!("{path}?startAt={start}&maxResults={PAGE}");
        let page: Page<T> = api.get(&path).await?;
        let count = page.values.len();
        out.extend(page.values);
        let is_whole = page.total.is_some_and(|t| out.len() >= t);
        if count == 0 || page.is_last == Some(true) || is_whole {
            break;
        }
        if page.total.is_none() && page.is_last.is_none() && count < PAGE {
            break;
        }
    }
    Ok(out)
}

/// What is said of a project. `None`: there is no such project, or it is hidden; Cloud
/// answers 404 then, and Data Center 400.
fn unless_unknown<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(e) if matches!(e.code(), Some("400" | "404")) => Ok(None),
        found => found.map(Some),
    }
}

#[derive(Deserialize)]
struct OldMeta {
    #[serde(default)]
    projects: Vec<OldProject>,
}

#[derive(Deserialize)]
struct OldProject {
    #[serde(default)]
    issuetypes: Vec<OldType>,
}

#[derive(Deserialize)]
struct OldType {
    #[serde(flatten)]
    kind: IssueType,
    #[serde(default)]
    fields: std::collections::BTreeMap<String, RawField>,
}

/// What Jira before 8.4 says of a project, all at once.
async fn old(api: &Api, project: &str) -> Result<Option<Vec<OldType>>> {
    let path = format!(
        "/rest/api/2/issue/createmeta?projectKeys={}&expand=projects.issuetypes.fields",
        segment(project)
    );
    let meta: OldMeta = api.get(&path).await?;
    Ok(meta.projects.into_iter().next().map(|p| p.issuetypes))
}

/// The types that a project offers. `None`: there is no such project, or it is not shown to
/// this user.
pub(crate) async fn types(
    api: &Api,
    instance: Instance,
    project: &str,
) -> Result<Option<Vec<IssueType>>> {
    if instance.has_old_meta {
        let types = old(api, project).await?;
        return Ok(types.map(|t| t.into_iter().map(|t| t.kind).collect()));
    }
    let path = format!("issue/createmeta/{}/issuetypes", segment(project));
    unless_unknown(pages(api, &instance.flavour.path(&path)).await)
}

/// The fields that a type of issue has in a project.
pub(crate) async fn fields(
    api: &Api,
    instance: Instance,
    project: &str,
    kind: &IssueType,
) -> Result<Vec<Field>> {
    if instance.has_old_meta {
        let found = old(api, project).await?.unwrap_or_default();
        return Ok(found
            .into_iter()
            .filter(|t| t.kind.id == kind.id)
            .flat_map(|t| t.fields)
            .filter_map(|(id, field)| field.named(Some(id)))
            .collect());
    }
    let path = format!(
        "issue/createmeta/{}/issuetypes/{}",
        segment(project),
        segment(&kind.id)
    );
    let raw: Vec<RawField> = pages(api, &instance.flavour.path(&path)).await?;
    Ok(raw.into_iter().filter_map(|f| f.named(None)).collect())
}

/// The one that a name means: by its id, by the very name, or by the name in any case if
/// that is clear.
fn choose<'a, T>(
    all: &'a [T],
    wanted: &str,
    id: impl Fn(&T) -> &str,
    name: impl Fn(&T) -> &str,
) -> Option<&'a T> {
    let wanted = wanted.trim();
    let by_name = all.iter().find(|t| name(t) == wanted);
    let by_id = || all.iter().find(|t| id(t) == wanted);
    let lower = wanted.to_lowercase();
    let by_id_in_any_case = || all.iter().find(|t| id(t).to_lowercase() == lower);
    by_name
        .or_else(by_id)
        .or_else(|| {
            let mut alike = all.iter().filter(|t| name(t).to_lowercase() == lower);
            alike.next().filter(|_| alike.next().is_none())
        })
        .or_else(by_id_in_any_case)
}

/// The id of a field of Jira's own that a name means. Where Jira speaks another language,
/// it shows another name.
fn well_known(name: &str) -> Option<&'static str> {
    let letters: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    Some(match letters.as_str() {
        "description" => "description",
        "summary" => "summary",
        "priority" => "priority",
        "labels" => "labels",
        "components" => "components",
        "fixversions" => "fixVersions",
        "versions" | "affectsversions" => "versions",
        "environment" => "environment",
        "duedate" => "duedate",
        "assignee" => "assignee",
        "reporter" => "reporter",
        _ => return None,
    })
}

/// Names in a list for an error.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<String> = names.map(|n| crate::error::one_line(n, 60)).collect();
    let more = all.len().saturating_sub(MOST_LISTED);
    all.truncate(MOST_LISTED);
    if all.is_empty() {
        return "nothing".to_owned();
    }
    let mut out = all.join(", ");
    if more > 0 {
        out.push_str(&format!(" and {more} more"));
    }
    out
}

/// The type of this name.
///
/// # Errors
/// If there is none, with those there are.
pub(crate) fn choose_type<'a>(
    types: &'a [IssueType],
    wanted: &str,
    project: &str,
) -> Result<&'a IssueType> {
    choose(types, wanted, |t| &t.id, |t| &t.name).ok_or_else(|| {
        let offered = list(types.iter().filter(|t| !t.subtask).map(|t| t.name.as_str()));
        config(format!(
            "jira.fields: project {project} has no issue type {:?}; it offers {offered}",
            crate::error::one_line(wanted, 60)
        ))
    })
}

/// The field of this name, or of the id that the name has everywhere.
///
/// # Errors
/// If there is none, with those there are.
pub(crate) fn choose_field<'a>(
    fields: &'a [Field],
    wanted: &str,
    place: &str,
) -> Result<&'a Field> {
    let own = well_known(wanted).and_then(|id| fields.iter().find(|f| f.field_id == id));
    let found = own.or_else(|| choose(fields, wanted, |f| &f.field_id, |f| &f.name));
    found.ok_or_else(|| {
        let is_twice = fields
            .iter()
            .filter(|f| f.name.eq_ignore_ascii_case(wanted.trim()))
            .count()
            > 1;
        let hint = if is_twice {
            ", but several that differ in case"
        } else {
            ""
        };
        config(format!(
            "jira.fields: {place} has no field {:?}{hint}; it offers {}",
            crate::error::one_line(wanted, 60),
            list(fields.iter().map(|f| f.name.as_str()))
        ))
    })
}

/// A project, as lists name it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) name: String,
}

/// The projects that this user sees, not all of a very large instance.
pub(crate) async fn projects(api: &Api, flavour: Flavour) -> Result<Vec<Project>> {
    match flavour {
        Flavour::Cloud => pages(api, "/rest/api/3/project/search").await,
        Flavour::DataCenter => api.get("/rest/api/2/project").await,
    }
}

/// The project that a text means: by key, id, or name.
pub(crate) fn choose_project<'a>(projects: &'a [Project], wanted: &str) -> Option<&'a Project> {
    let wanted = wanted.trim();
    projects
        .iter()
        .find(|p| p.key.eq_ignore_ascii_case(wanted) || p.id == wanted)
        .or_else(|| choose(projects, wanted, |p| &p.id, |p| &p.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(id: &str, name: &str) -> Field {
        Field {
            field_id: id.into(),
            name: name.into(),
            required: false,
            has_default_value: false,
            schema: Schema::default(),
            with_comma: Vec::new(),
        }
    }

    #[test]
    fn names_in_any_case_and_ids() {
        let fields = [
            field("priority", "Priority"),
            field("customfield_1", "Team"),
            field("customfield_2", "team"),
            field("customfield_3", "Severity"),
            field("description", "Beschreibung"),
            field("fixVersions", "Lösungsversion"),
            field("duedate", "Fällig"),
            field("customfield_4", "Due Date"),
        ];
        let id =
            |name: &str| choose_field(&fields, name, "type Bug of OPS").map(|f| f.field_id.clone());
        for (name, expected) in [
            ("Priority", "priority"),
            (" priority ", "priority"),
            ("team", "customfield_2"),
            ("Team", "customfield_1"),
            ("SEVERITY", "customfield_3"),
            ("customfield_3", "customfield_3"),
            ("CustomField_3", "customfield_3"),
            ("Description", "description"),
            ("beschreibung", "description"),
            ("Fix Version/s", "fixVersions"),
            ("fixversions", "fixVersions"),
            ("Due date", "duedate"),
        ] {
            assert_eq!(id(name).unwrap(), expected, "{name}");
        }
        assert_eq!(
            id("TEAM").unwrap_err().to_string(),
            "jira.fields: type Bug of OPS has no field \"TEAM\", but several that differ in case; it offers Priority, Team, team, Severity, Beschreibung, Lösungsversion, Fällig, Due Date"
        );
        assert_eq!(
            id("x").unwrap_err().scope(),
            notifier_core::Scope::Destination
        );
    }

    #[test]
    fn lists_are_bounded() {
        let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert!(list(names.iter().map(String::as_str)).ends_with("39 and 60 more"));
        assert_eq!(list([].into_iter()), "nothing");
    }

    #[test]
    fn values_with_commas_are_kept() {
        let json = r#"{"fieldId":"components","name":"C","allowedValues":[{"id":"1","name":"a, b"},{"id":"2","name":"c"},{"id":"3","value":"d,e"},{"key":"x"}]}"#;
        let field: RawField = serde_json::from_str(json).unwrap();
        assert_eq!(field.named(None).unwrap().with_comma, ["a, b", "d,e"]);
    }

    #[test]
    fn pages_of_both_flavours_are_read() {
        for json in [
            r#"{"issueTypes":[{"id":"1","name":"Bug","subtask":false}],"startAt":0,"maxResults":50,"total":1}"#,
            r#"{"values":[{"id":"1","name":"Bug"}],"isLast":true,"last":true,"size":1}"#,
        ] {
            let page: Page<IssueType> = serde_json::from_str(json).unwrap();
            assert_eq!(page.values[0].name, "Bug");
        }
        let json = r#"{"fields":[{"fieldId":"a","key":"a","name":"A","required":true,"schema":{"type":"array","items":"string"},"operations":[]}]}"#;
        let page: Page<RawField> = serde_json::from_str(json).unwrap();
        let f = page.values.into_iter().next().unwrap().named(None).unwrap();
        assert_eq!(
            (f.field_id.as_str(), f.schema.items.as_deref()),
            ("a", Some("string"))
        );
    }
}
