use serde_json::{Value, json};

/// A project of a [`FakeJira`](super::FakeJira).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JiraProject {
    /// Its key, `OPS`.
    pub key: String,
    /// Its id, `10000`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The types of issues in it.
    pub types: Vec<JiraType>,
    /// The statuses of issues in it, with their categories: `new`, `indeterminate`, `done`.
    /// The first is that of a new issue; each leads to all others.
    pub statuses: Vec<(String, String)>,
    /// The fields that a transition asks for.
    pub transition_needs: Option<String>,
}

/// A type of issue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JiraType {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What a new issue may have.
    pub fields: Vec<JiraField>,
}

/// A field of an issue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JiraField {
    /// Its id: `summary`, `customfield_10010`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its schema, as Jira says it.
    pub schema: Value,
    /// Whether a new issue must have it.
    pub required: bool,
}

impl JiraField {
    /// An optional field with a schema such as `{"type": "string"}`.
    #[must_use]
    pub fn new(id: &str, name: &str, schema: Value) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            schema,
            required: false,
        }
    }

    /// A new issue must have it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) fn is_rich(&self) -> bool {
        let custom = self.schema["custom"].as_str().unwrap_or_default();
        matches!(self.id.as_str(), "description" | "environment") || custom.ends_with(":textarea")
    }

    pub(super) fn meta(&self) -> Value {
        json!({
            "fieldId": self.id,
            "key": self.id,
            "name": self.name,
            "required": self.required,
            "hasDefaultValue": false,
            "operations": ["set"],
            "schema": self.schema,
        })
    }
}

impl JiraType {
    /// A type with the usual fields.
    #[must_use]
    pub fn new(id: &str, name: &str) -> Self {
        let system = |id: &str, name: &str, kind: &str| {
            JiraField::new(id, name, json!({ "type": kind, "system": id }))
        };
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            fields: vec![
                system("project", "Project", "project").required(),
                system("summary", "Summary", "string").required(),
                system("issuetype", "Issue Type", "issuetype").required(),
                system("description", "Description", "string"),
                system("priority", "Priority", "priority"),
                JiraField::new(
                    "labels",
                    "Labels",
                    json!({ "type": "array", "items": "string", "system": "labels" }),
                ),
                JiraField::new(
                    "fixVersions",
                    "Fix Version/s",
                    json!({ "type": "array", "items": "version", "system": "fixVersions" }),
                ),
            ],
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn with_field(mut self, field: JiraField) -> Self {
        self.fields.push(field);
        self
    }

    /// Without the field of this id.
    #[must_use]
    pub fn without_field(mut self, id: &str) -> Self {
        self.fields.retain(|f| f.id != id);
        self
    }

    pub(super) fn meta(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "description": "", "subtask": false })
    }
}

impl JiraProject {
    /// A project with the types Bug and Task and the statuses Open, In Progress and Closed.
    #[must_use]
    pub fn new(key: &str) -> Self {
        let statuses = [
            ("Open", "new"),
            ("In Progress", "indeterminate"),
            ("Closed", "done"),
        ];
        Self {
            key: key.to_owned(),
            id: "10000".to_owned(),
            name: format!("Project {key}"),
            types: vec![JiraType::new("1", "Bug"), JiraType::new("3", "Task")],
            statuses: statuses
                .map(|(name, category)| (name.to_owned(), category.to_owned()))
                .to_vec(),
            transition_needs: None,
        }
    }

    /// With these types and no others.
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = JiraType>) -> Self {
        self.types = types.into_iter().collect();
        self
    }

    /// With these statuses and categories and no others.
    #[must_use]
    pub fn statuses<'a>(mut self, statuses: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.statuses = statuses
            .into_iter()
            .map(|(name, category)| (name.to_owned(), category.to_owned()))
            .collect();
        self
    }

    /// With this id and name.
    #[must_use]
    pub fn named(mut self, id: &str, name: &str) -> Self {
        id.clone_into(&mut self.id);
        name.clone_into(&mut self.name);
        self
    }

    /// Transitions that are refused unless they set this field.
    #[must_use]
    pub fn transitions_need(mut self, field: &str) -> Self {
        self.transition_needs = Some(field.to_owned());
        self
    }

    pub(super) fn status(&self, name: &str) -> Value {
        let at = self.statuses.iter().position(|(n, _)| n == name);
        let category = at.map_or("new", |at| &self.statuses[at].1);
        let shown = match category {
            "done" => "Done",
            "new" => "To Do",
            _ => "In Progress",
        };
        json!({
            "id": at.map_or(0, |at| at + 1).to_string(),
            "name": name,
            "statusCategory": { "id": 1, "key": category, "name": shown },
        })
    }

    pub(super) fn is_done(&self, name: &str) -> bool {
        self.statuses
            .iter()
            .any(|(n, category)| n == name && category == "done")
    }
}
