//! What earlier attempts got done: who has the mail, and who was refused for good.

use std::collections::BTreeMap;

use notifier_core::{ErrorKind, Scope};
use serde::{Deserialize, Serialize};

use crate::{address::Address, error::Failure, transaction::Verdict};

/// By address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Who has it, with the relay's id of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    delivered: BTreeMap<String, Option<String>>,
    /// Who was refused for good.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    refused: BTreeMap<String, Refused>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Refused {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    kind: String,
    /// Of the recipient alone, not of the mail.
    #[serde(default)]
    target: bool,
}

/// The kinds that a refusal for good has here.
const KINDS: [ErrorKind; 4] = [
    ErrorKind::Rejected,
    ErrorKind::PermissionDenied,
    ErrorKind::TooLarge,
    ErrorKind::Config,
];

impl Progress {
    /// What was kept; nothing if it cannot be read.
    pub(crate) fn read(kept: Option<&serde_json::Value>) -> Self {
        kept.and_then(|value| Self::deserialize(value).ok())
            .unwrap_or_default()
    }

    /// Notes a verdict that stays.
    pub(crate) fn note(&mut self, to: &Address, verdict: &Verdict) {
        let to = to.to_string();
        match verdict {
            Verdict::Delivered(id) => {
                self.refused.remove(&to);
                self.delivered.insert(to, id.clone());
            }
            // What is wrong with the login or the relay may be put right.
            Verdict::Failed(f) if f.is_dead() && f.scope != Scope::Destination => {
                let refused = Refused {
                    text: f.text.clone(),
                    code: f.code.clone(),
                    kind: f.kind.as_str().to_owned(),
                    target: f.scope == Scope::Target,
                };
                self.refused.insert(to, refused);
            }
            Verdict::Failed(_) | Verdict::TooMany => {}
        }
    }

    /// The verdict that was noted.
    pub(crate) fn of(&self, to: &Address) -> Option<Verdict> {
        let to = to.to_string();
        if let Some(id) = self.delivered.get(&to) {
            return Some(Verdict::Delivered(id.clone()));
        }
        let refused = self.refused.get(&to)?;
        let kind = KINDS.into_iter().find(|k| k.as_str() == refused.kind);
        let mut failure = Failure::never(kind.unwrap_or(ErrorKind::Rejected), refused.text.clone());
        failure.code.clone_from(&refused.code);
        if refused.target {
            failure.scope = Scope::Target;
        }
        Some(Verdict::Failed(failure))
    }

    /// As it is kept.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::read(text).unwrap()
    }

    #[test]
    fn what_stays_is_kept_and_read_back() {
        let mut p = Progress::default();
        let mut refused =
            Failure::never(ErrorKind::Rejected, "relay:25 answered 550").at(Scope::Target);
        refused.code = Some("550 5.1.1".to_owned());
        let later = Failure::later(ErrorKind::Unavailable, "450");
        let login = Failure::never(ErrorKind::Unauthenticated, "535").at(Scope::Destination);
        let rows = [
            ("a@x", Verdict::Delivered(Some("Q1".to_owned())), true),
            ("b@x", Verdict::Failed(refused), true),
            ("c@x", Verdict::Failed(later), false),
            ("d@x", Verdict::Failed(login), false),
            ("e@x", Verdict::Delivered(None), true),
            ("f@x", Verdict::TooMany, false),
            (
                "g@x",
                Verdict::Failed(Failure::never(ErrorKind::TooLarge, "large")),
                true,
            ),
        ];
        for (to, verdict, _) in &rows {
            p.note(&address(to), verdict);
        }
        let p = Progress::read(Some(&p.to_json()));
        for (to, verdict, stays) in rows {
            assert_eq!(p.of(&address(to)), stays.then_some(verdict), "{to}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        for kept in [
            serde_json::json!(7),
            serde_json::json!({"delivered": []}),
            serde_json::json!(null),
        ] {
            assert_eq!(Progress::read(Some(&kept)), Progress::default());
        }
        assert_eq!(Progress::read(None), Progress::default());
        let newer = serde_json::json!({"delivered": {"a@x": null}, "other": 1});
        assert_eq!(
            Progress::read(Some(&newer)).of(&address("a@x")),
            Some(Verdict::Delivered(None))
        );
    }
}
