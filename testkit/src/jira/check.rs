//! What Jira takes of a new issue, and what it says of the rest.

use std::collections::BTreeMap;

use serde_json::Value;

use super::project::{JiraField, JiraType};

/// The longest texts.
const MAX_SUMMARY: usize = 255;
const MAX_TEXT: usize = 32_767;

/// What is wrong, by field.
pub(super) type Wrong = BTreeMap<String, String>;

fn size(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Checks the fields of a new issue of this type.
pub(super) fn fields(kind: &JiraType, fields: &Value, is_cloud: bool) -> Wrong {
    let mut wrong = Wrong::new();
    for (id, value) in fields.as_object().into_iter().flatten() {
        let Some(field) = kind.fields.iter().find(|f| f.id == *id) else {
            let text = format!(
                "Field '{id}' cannot be set. It is not on the appropriate screen, or unknown."
            );
            wrong.insert(id.clone(), text);
            continue;
        };
        if let Err(text) = value_of(field, value, is_cloud) {
            wrong.insert(id.clone(), text);
        }
    }
    for field in kind.fields.iter().filter(|f| f.required) {
        if fields.get(&field.id).is_none_or(Value::is_null) {
            let text = format!("{} is required.", field.name);
            wrong.entry(field.id.clone()).or_insert(text);
        }
    }
    wrong
}

fn value_of(field: &JiraField, value: &Value, is_cloud: bool) -> Result<(), String> {
    if field.is_rich() {
        return rich(value, is_cloud);
    }
    let no_string = || "Operation value must be a string".to_owned();
    match (
        field.id.as_str(),
        field.schema["type"].as_str().unwrap_or("any"),
    ) {
        ("project" | "issuetype", _) => Ok(()),
        ("summary", _) => {
            let text = value.as_str().ok_or_else(no_string)?;
            if text.trim().is_empty() {
                return Err("You must specify a summary of the issue.".to_owned());
            }
            if size(text) > MAX_SUMMARY {
                return Err("Summary must be less than 255 characters.".to_owned());
            }
            match text.contains(['\n', '\r']) {
                true => {
                    Err("The summary is invalid because it contains newline characters.".to_owned())
                }
                false => Ok(()),
            }
        }
        ("labels", _) => {
            let labels = value.as_array().ok_or("data was not an array")?;
            for label in labels {
                let label = label.as_str().ok_or_else(no_string)?;
                if label.is_empty() || label.contains(char::is_whitespace) {
                    return Err(format!(
                        "The label '{label}' contains spaces which is invalid."
                    ));
                }
                if size(label) > 255 {
                    return Err("A label exceeds the maximum length of 255.".to_owned());
                }
            }
            Ok(())
        }
        (_, "array") => value
            .as_array()
            .map(|_| ())
            .ok_or_else(|| "data was not an array".to_owned()),
        (_, "number") => value
            .as_f64()
            .map(|_| ())
            .ok_or_else(|| "Operation value must be a number".to_owned()),
        (_, "string" | "date" | "datetime") => value.as_str().map(|_| ()).ok_or_else(no_string),
        (_, "option") => named(value, &["value", "id"]),
        (_, "option-with-child") => named(value, &["value", "id"]),
        (_, "user") if is_cloud => named(value, &["accountId", "id"]),
        (_, "priority" | "version" | "user") => named(value, &["name", "id"]),
        _ => Ok(()),
    }
}

fn named(value: &Value, by: &[&str]) -> Result<(), String> {
    match by.iter().any(|k| value[*k].is_string()) {
        true => Ok(()),
        false => Err(format!(
            "Could not find valid '{}' in the value.",
            by.join("' or '")
        )),
    }
}

/// A long text: a document on Cloud, text on Data Center.
pub(super) fn rich(value: &Value, is_cloud: bool) -> Result<(), String> {
    const TOO_LONG: &str =
        "The entered text is too long. It exceeds the allowed limit of 32,767 characters.";
    if is_cloud {
        if value["type"] != "doc" || value["version"] != 1 || !value["content"].is_array() {
            return Err(
                "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
                    .to_owned(),
            );
        }
        document(value)?;
        return match size(&value.to_string()) > MAX_TEXT {
            true => Err(TOO_LONG.to_owned()),
            false => Ok(()),
        };
    }
    match value.as_str() {
        None => Err("Operation value must be a string".to_owned()),
        Some(text) if size(text) > MAX_TEXT => Err(TOO_LONG.to_owned()),
        Some(_) => Ok(()),
    }
}

/// The rules of a document that clients break most often.
fn document(node: &Value) -> Result<(), String> {
    let mut left = vec![node];
    while let Some(node) = left.pop() {
        if node["type"] == "text" {
            let text = node["text"].as_str().unwrap_or_default();
            if text.is_empty() {
                return Err("INVALID_INPUT: a text node may not be empty".to_owned());
            }
        }
        left.extend(node["content"].as_array().into_iter().flatten());
    }
    Ok(())
}
