//! The place a new issue goes to: a project, a type of issue, and its fields.

use std::sync::Arc;

use notifier_core::Result;

use crate::{
    api::Api,
    error::config,
    instance::Instance,
    meta::{self, Field, IssueType},
};

/// The place.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) instance: Instance,
    /// The project's key.
    pub(crate) project: String,
    pub(crate) kind: IssueType,
    pub(crate) fields: Arc<[Field]>,
}

impl Place {
    /// Looks it up.
    ///
    /// # Errors
    /// If there is no such project or type, with what there is.
    pub(crate) async fn ask(
        api: &Api,
        instance: Instance,
        project: &str,
        kind: &str,
    ) -> Result<Self> {
        let (project, types) = find_project(api, instance, project.trim()).await?;
        let kind = meta::choose_type(&types, kind, &project)?.clone();
        let fields = meta::fields(api, instance, &project, &kind).await?.into();
        Ok(Self {
            instance,
            project,
            kind,
            fields,
        })
    }

    /// The field of this id.
    pub(crate) fn field(&self, id: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.field_id == id)
    }

    /// What it is called in errors.
    pub(crate) fn shown(&self) -> String {
        format!("issue type {} of project {}", self.kind.name, self.project)
    }
}

/// Whether a text may be a key as it is; ids, names and keys in lower case are looked up.
fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

async fn find_project(
    api: &Api,
    instance: Instance,
    wanted: &str,
) -> Result<(String, Vec<IssueType>)> {
    if is_key(wanted)
        && let Some(types) = meta::types(api, instance, wanted).await?
    {
        return Ok((wanted.to_owned(), types));
    }
    let projects = meta::projects(api, instance.flavour).await?;
    let shown = crate::error::one_line(wanted, 60);
    let Some(found) = meta::choose_project(&projects, wanted) else {
        let offered = meta::list(projects.iter().map(|p| p.key.as_str()));
        return Err(config(format!(
            "jira.fields: this user sees no project {shown:?}; it sees {offered}"
        )));
    };
    match meta::types(api, instance, &found.key).await? {
        Some(types) => Ok((found.key.clone(), types)),
        None => Err(config(format!(
            "jira.fields: this user may not create issues in project {}",
            found.key
        ))),
    }
}
