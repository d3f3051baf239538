//! A new issue as Jira wants it.

use notifier_core::{DeliveryId, Error, ErrorKind, FailureKey, Result};
use serde_json::{Map, Value, json};

use crate::{
    fields::Known,
    message::Message,
    meta::choose_field,
    project::Place,
    value::{convert, is_rich, label},
};

/// The property that carries the delivery where an issue has no labels.
pub(crate) const DELIVERY: &str = "notifier.delivery";

/// The label of all issues about the same: those of one project, type and summary.
pub(crate) fn marker(place: &Place, about: &str) -> String {
    let parts = [place.project.as_str(), &place.kind.id, about.trim()];
    format!("notifier-{}", FailureKey::of_parts(parts).as_str())
}

/// The label of the issue that one delivery made.
pub(crate) fn delivery_label(id: &DeliveryId) -> String {
    label(&format!("notifier-delivery-{id}"))
}

/// A new issue.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) fields: Map<String, Value>,
    /// The delivery, where no label can carry it.
    delivery: Option<String>,
    /// Whether it has the labels.
    pub(crate) labelled: bool,
}

impl Payload {
    /// Of a message, for a place; and what went less than well.
    ///
    /// # Errors
    /// If a field that the option names is not offered there.
    pub(crate) fn new(
        place: &Place,
        message: &Message,
        marker: &str,
        id: &DeliveryId,
    ) -> Result<(Self, Vec<Error>)> {
        let flavour = place.instance.flavour;
        let mut warnings = Vec::new();
        let mut fields = Map::new();
        fields.insert("project".into(), json!({ "key": place.project }));
        fields.insert("issuetype".into(), json!({ "id": place.kind.id }));
        fields.insert("summary".into(), json!(message.summary));
        for text in &message.fields {
            let field = match choose_field(&place.fields, &text.name, &place.shown()) {
                Ok(field) => field,
                // It is there by default, and an issue is worth something without it.
                Err(e) if text.known == Some(Known::Description) => {
                    warnings.push(e);
                    continue;
                }
                Err(e) => return Err(e),
            };
            match convert(field, &text.text, flavour) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    let missing = if is_rich(field) {
                        flavour.rich(&text.text).1
                    } else {
                        0
                    };
                    if missing > 0 {
                        warnings.push(Error::new(
                            ErrorKind::TooLarge,
                            format!(
                                "{} was cut by {missing} characters to what jira takes",
                                field.name
                            ),
                        ));
                    }
                    fields.insert(field.field_id.clone(), value);
                }
                Err(why) => warnings.push(Error::new(
                    ErrorKind::Rejected,
                    format!("jira.fields, {}: {why}; it was left out", field.name),
                )),
            }
        }
        let labelled = place.field("labels").is_some();
        if labelled {
            let labels = fields.entry("labels").or_insert_with(|| json!([]));
            if let Value::Array(labels) = labels {
                labels.push(json!(marker));
                labels.push(json!(delivery_label(id)));
            }
        }
        let payload = Self {
            fields,
            delivery: (!labelled).then(|| id.as_str().to_owned()),
            labelled,
        };
        Ok((payload, warnings))
    }

    pub(crate) fn json(&self) -> Value {
        let mut out = json!({ "fields": self.fields });
        if let Some(id) = &self.delivery {
            out["properties"] = json!([{ "key": DELIVERY, "value": { "delivery": id } }]);
        }
        out
    }

    /// The names of the fields that are sent.
    pub(crate) fn names(&self) -> Vec<String> {
        self.fields.keys().cloned().collect()
    }

    /// The same without fields that Jira does not take, if it can be without them.
    pub(crate) fn without<'a>(
        &self,
        refused: impl Iterator<Item = &'a str>,
        id: &DeliveryId,
    ) -> Option<Self> {
        let mut out = self.clone();
        let mut dropped = false;
        for field in refused {
            let is_needed = matches!(field, "project" | "issuetype" | "summary" | "");
            if is_needed || out.fields.remove(field).is_none() {
                return None;
            }
            dropped = true;
            if field == "labels" {
                out.labelled = false;
                out.delivery = Some(id.as_str().to_owned());
            }
        }
        dropped.then_some(out)
    }
}
