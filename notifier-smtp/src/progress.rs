//! What earlier attempts got done: who has the mail, and who was refused for good.

use std::collections::BTreeMap;

use notifier_core::{Delivery, ErrorKind, Retry, Scope};
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
    /// To whom a mail went whose answer was lost, and how many did.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    doubts: BTreeMap<String, u32>,
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
    /// Not refused: given up, since nobody knows whether it arrived.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unknown: bool,
}

/// How many mails may go to somebody without an answer.
const MOST_DOUBTS: u32 = 2;

/// The kinds that a refusal for good, and an end in doubt, has here.
const KINDS: [ErrorKind; 7] = [
    ErrorKind::Timeout,
    ErrorKind::Unavailable,
    ErrorKind::InvalidResponse,
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
                self.refused.insert(to, Refused::of(f));
            }
            Verdict::Failed(f) if f.retry == Retry::Exhausted => {
                self.refused.insert(to, Refused::of(f));
            }
            Verdict::Failed(_) | Verdict::TooMany => {}
        }
    }

    /// Counts an outcome that nobody knows, and says what follows for this recipient: one more
    /// mail, and no third. The first doubt holds up no other mail; a relay that leaves it at
    /// doubts is told of as any that refuses.
    pub(crate) fn doubt(&mut self, to: &Address, failure: Failure) -> Failure {
        let doubts = self.doubts.entry(to.to_string()).or_default();
        *doubts = doubts.saturating_add(1);
        match *doubts >= MOST_DOUBTS {
            true => failure.given_up().at(Scope::Message),
            false => failure.at(Scope::Target),
        }
    }

    /// Whether an earlier mail may have reached this recipient.
    pub(crate) fn is_in_doubt(&self, to: &Address) -> bool {
        self.doubts.contains_key(&to.to_string())
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
        if refused.unknown {
            failure.retry = Retry::Exhausted;
            failure.delivery = Delivery::Unknown;
        }
        Some(Verdict::Failed(failure))
    }

    /// As it is kept.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Refused {
    fn of(failure: &Failure) -> Self {
        Self {
            text: failure.text.clone(),
            code: failure.code.clone(),
            kind: failure.kind.as_str().to_owned(),
            target: failure.scope == Scope::Target,
            unknown: failure.retry == Retry::Exhausted,
        }
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
    fn the_second_mail_without_an_answer_is_the_last() {
        let lost = Failure {
            delivery: Delivery::Unknown,
            ..Failure::later(ErrorKind::Timeout, "silent, and may have taken it")
        };
        let (a, b) = (address("a@x"), address("b@x"));
        let mut p = Progress::default();
        let first = p.doubt(&a, lost.clone());
        assert_eq!(first, lost.clone().at(Scope::Target));
        p.note(&a, &Verdict::Failed(first));
        // Kept, as by the engine.
        let mut p = Progress::read(Some(&p.to_json()));
        assert_eq!((p.of(&a), p.is_in_doubt(&a)), (None, true));
        // Another's first is its own.
        assert_eq!(p.doubt(&b, lost.clone()).retry, lost.retry);
        let second = p.doubt(&a, lost);
        assert_eq!(
            (second.retry, second.delivery, second.scope),
            (Retry::Exhausted, Delivery::Unknown, Scope::Message)
        );
        assert!(second.text.contains("may have arrived twice"), "{second:?}");
        p.note(&a, &Verdict::Failed(second.clone()));
        let p = Progress::read(Some(&p.to_json()));
        assert_eq!(p.of(&a), Some(Verdict::Failed(second)));
        assert_eq!(p.of(&b), None);
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
