//! From text to what a field takes.

use serde_json::{Value, json};

use crate::{
    api::Flavour,
    meta::{Field, Schema},
    neutral::restore,
};

/// How many parts a list may have.
const MOST_PARTS: usize = 100;

/// Whether a field's text is a document of its own, with links and code.
pub(crate) fn is_rich(field: &Field) -> bool {
    matches!(field.field_id.as_str(), "description" | "environment")
        || field
            .schema
            .custom
            .as_deref()
            .is_some_and(|c| c.ends_with(":textarea"))
}

/// The value of a field. `None`: the text is empty, and the field is left out.
///
/// # Errors
/// Why the text cannot be a value of this field.
pub(crate) fn convert(
    field: &Field,
    text: &str,
    flavour: Flavour,
) -> Result<Option<Value>, String> {
    if is_rich(field) {
        return Ok((!text.trim().is_empty()).then(|| flavour.rich(text).0));
    }
    let whole = restore(text);
    let whole = whole.trim();
    if whole.is_empty() {
        return Ok(None);
    }
    let Schema { kind, items, .. } = &field.schema;
    if kind != "array" {
        return single(kind, whole, flavour).map(Some);
    }
    let parts = match field.with_comma.iter().any(|v| v == whole) {
        true => vec![whole.to_owned()],
        false => split(text),
    };
    let kind = items.as_deref().unwrap_or("string");
    let values: Result<Vec<Value>, String> = parts
        .iter()
        .map(|p| match (field.field_id.as_str(), kind) {
            ("labels", _) => Ok(json!(label(p))),
            _ => single(kind, p, flavour),
        })
        .collect();
    let values = values?;
    Ok((!values.is_empty()).then_some(Value::Array(values)))
}

/// The parts of a list. The template's own `\,` is a comma that ends none; data has no such
/// say.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_comma = c == '\\' && rest.peek() == Some(&',');
        if c == ',' {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(if is_comma { ',' } else { c });
        }
        if is_comma {
            rest.next();
        }
    }
    parts
        .iter()
        .map(|p| restore(p).trim().to_owned())
        .filter(|p| !p.is_empty())
        .take(MOST_PARTS)
        .collect()
}

/// A label: Jira takes none with blanks, and no more than 255 characters.
pub(crate) fn label(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join("_")
        .chars()
        .take(255)
        .collect()
}

fn single(kind: &str, text: &str, flavour: Flavour) -> Result<Value, String> {
    Ok(match kind {
        "number" => {
            let number: f64 = text
                .parse()
                .map_err(|_| format!("{:?} is no number", crate::error::one_line(text, 40)))?;
            // Whole numbers stay whole.
            match text.parse::<i64>() {
                Ok(whole) => json!(whole),
                Err(_) if number.is_finite() => json!(number),
                Err(_) => return Err("it is no finite number".to_owned()),
            }
        }
        "option" => json!({ "value": text }),
        "option-with-child" => match text.split_once('>') {
            Some((parent, child)) => {
                json!({ "value": parent.trim(), "child": { "value": child.trim() } })
            }
            None => json!({ "value": text }),
        },
        "user" => match flavour {
            Flavour::Cloud => json!({ "accountId": text }),
            Flavour::DataCenter => json!({ "name": text }),
        },
        "project" | "issuelink" => json!({ "key": text }),
        "timetracking" => json!({ "originalEstimate": text }),
        "priority" | "version" | "component" | "resolution" | "group" | "issuetype"
        | "securitylevel" | "status" => json!({ "name": text }),
        _ => json!(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(id: &str, kind: &str, items: Option<&str>) -> Field {
        Field {
            field_id: id.into(),
            name: id.into(),
            required: false,
            has_default_value: false,
            schema: Schema {
                kind: kind.into(),
                items: items.map(str::to_owned),
                custom: None,
            },
            with_comma: Vec::new(),
        }
    }

    #[test]
    fn by_the_fields_type() {
        for (kind, items, text, expected) in [
            ("string", None, "x", json!("x")),
            ("any", None, "x", json!("x")),
            ("date", None, " 2026-01-02 ", json!("2026-01-02")),
            ("number", None, "3", json!(3)),
            ("number", None, "3.5", json!(3.5)),
            ("priority", None, "High", json!({ "name": "High" })),
            ("option", None, "a", json!({ "value": "a" })),
            (
                "option-with-child",
                None,
                "a > b",
                json!({ "value": "a", "child": { "value": "b" } }),
            ),
            ("user", None, "me", json!({ "name": "me" })),
            ("array", Some("string"), "a, b c,,", json!(["a", "b c"])),
            (
                "array",
                Some("version"),
                "1.0,2",
                json!([{ "name": "1.0" }, { "name": "2" }]),
            ),
            (
                "array",
                Some("option"),
                "a,b",
                json!([{ "value": "a" }, { "value": "b" }]),
            ),
        ] {
            let f = field("customfield_1", kind, items);
            assert_eq!(
                convert(&f, text, Flavour::DataCenter),
                Ok(Some(expected)),
                "{kind}"
            );
            assert_eq!(convert(&f, " ", Flavour::DataCenter), Ok(None));
        }
        let user = field("assignee", "user", None);
        assert_eq!(
            convert(&user, "5b1", Flavour::Cloud),
            Ok(Some(json!({ "accountId": "5b1" })))
        );
        let labels = field("labels", "array", Some("string"));
        assert_eq!(
            convert(&labels, "a b,c\td", Flavour::Cloud),
            Ok(Some(json!(["a_b", "c_d"])))
        );
        let number = field("x", "number", None);
        for wrong in ["many", "NaN", "inf", "1e999"] {
            assert!(convert(&number, wrong, Flavour::Cloud).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_comma_may_be_part_of_a_value() {
        let mut f = field("components", "array", Some("component"));
        f.with_comma = vec!["Disks, tapes".to_owned()];
        let sent = |f: &Field, text: &str| convert(f, text, Flavour::Cloud).unwrap();
        let names = |names: &[&str]| {
            let all: Vec<Value> = names.iter().map(|n| json!({ "name": n })).collect();
            Some(json!(all))
        };
        assert_eq!(sent(&f, " Disks, tapes "), names(&["Disks, tapes"]));
        assert_eq!(
            sent(&f, "a, Disks\\, tapes,b"),
            names(&["a", "Disks, tapes", "b"])
        );
        assert_eq!(sent(&f, "Disks,tapes\\"), names(&["Disks", "tapes\\"]));
        // A backslash in data is one.
        let data = crate::neutral::neutral("x\\,y");
        assert_eq!(sent(&f, &data), names(&["x\\", "y"]));
    }

    #[test]
    fn long_texts_are_documents_on_cloud() {
        let mut f = field("customfield_2", "string", None);
        f.schema.custom = Some("com.atlassian.jira.plugin.system.customfieldtypes:textarea".into());
        let doc = convert(&f, "a", Flavour::Cloud).unwrap().unwrap();
        assert_eq!(doc["type"], "doc");
        assert_eq!(convert(&f, "a", Flavour::DataCenter), Ok(Some(json!("a"))));
    }
}
