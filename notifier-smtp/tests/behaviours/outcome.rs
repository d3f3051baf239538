//! What one attempt came to, and what the relay saw of it.

use notifier_core::{Delivery, Error, Receipt, Result, Retry, Scope};
use notifier_testkit::smtp::State;

/// What becomes of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// It has the mail.
    Delivered,
    /// To be tried again, when the engine thinks it right.
    Retry,
    /// To be tried again after so many seconds.
    After(u64),
    /// It may have the mail; to be tried again with the same id.
    Ambiguous,
    /// It may have the mail, twice; never again.
    GivenUp,
    /// Never, for this recipient or this mail.
    Dead,
    /// Never, for anything that goes there.
    DeadDestination,
}

impl Want {
    fn of(verdict: &std::result::Result<String, Told>) -> Self {
        let Err(told) = verdict else {
            return Self::Delivered;
        };
        match told.retry {
            Retry::Later { .. } if told.delivery == Delivery::Unknown => Self::Ambiguous,
            Retry::Later { after: Some(after) } => Self::After(after.as_secs()),
            Retry::Later { after: None } => Self::Retry,
            Retry::Exhausted if told.delivery == Delivery::Unknown => Self::GivenUp,
            _ if told.scope == Scope::Destination => Self::DeadDestination,
            _ => Self::Dead,
        }
    }
}

/// What an error says.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    retry: Retry,
    delivery: Delivery,
    scope: Scope,
    text: String,
}

impl Told {
    fn of(error: &Error) -> Self {
        Self {
            retry: error.retry(),
            delivery: error.delivery(),
            scope: error.scope(),
            text: error.report().to_string(),
        }
    }
}

/// What one attempt came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// By address: the relay's id of the mail, or what was wrong.
    pub(crate) verdicts: Vec<(String, std::result::Result<String, Told>)>,
    pub(crate) progress: Option<serde_json::Value>,
}

impl Outcome {
    pub(crate) fn of(result: Result<Receipt>, to: &[&str]) -> Self {
        match result {
            Ok(receipt) => Self {
                verdicts: receipt
                    .targets
                    .iter()
                    .map(|t| {
                        let verdict = t.verdict.as_ref();
                        let verdict = verdict
                            .map(|d| d.id.clone().unwrap_or_default())
                            .map_err(Told::of);
                        (t.target.clone(), verdict)
                    })
                    .collect(),
                progress: receipt.progress,
            },
            Err(error) => Self {
                verdicts: to
                    .iter()
                    .map(|&to| (to.to_owned(), Err(Told::of(&error))))
                    .collect(),
                progress: None,
            },
        }
    }

    pub(crate) fn wants(&self) -> Vec<(&str, Want)> {
        let wants = self.verdicts.iter();
        wants.map(|(to, v)| (to.as_str(), Want::of(v))).collect()
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        let errors = self.verdicts.iter().filter_map(|(_, v)| v.as_ref().err());
        errors.map(|told| told.text.as_str()).collect()
    }
}

/// The commands of each connection, `|` between them. What came after the last mail (QUIT, RSET)
/// may still be on its way and is left out.
pub(crate) fn dialogue(state: &State) -> String {
    let mut all = String::new();
    for (n, session) in state.sessions.iter().enumerate() {
        if n > 0 {
            all.push_str(" | ");
        }
        let words: Vec<String> = session.iter().map(|line| word(line)).collect();
        let words = match words.split_last() {
            Some((last, rest)) if last == "QUIT" => rest,
            _ => &words,
        };
        all.push_str(&words.join(" "));
    }
    all
}

/// A command without its argument; `*` for what answers a challenge.
fn word(line: &str) -> String {
    const KNOWN: [&str; 10] = [
        "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT",
    ];
    let first = line.split(' ').next().unwrap_or_default();
    let is_known = KNOWN.contains(&first) || first == ".";
    if is_known { first } else { "*" }.to_owned()
}

/// The end of a dialogue that is too long for a table.
pub(crate) fn shorten(dialogue: &str) -> String {
    let count = dialogue.chars().count();
    if count <= 90 {
        return dialogue.to_owned();
    }
    let end: String = dialogue.chars().skip(count - 88).collect();
    format!("… {end}")
}
