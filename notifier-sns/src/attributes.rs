//! Attributes of a message, by which subscriptions filter.

use std::collections::BTreeMap;

use notifier_core::{
    BackendSettings, DeliveryId, Error, Markup, MessageTemplates, Report, Result, Settings, Subject,
};

use crate::text::{head, taken};

/// The most attributes that `attributes` may name: a queue with raw delivery takes ten in all, and
/// two are ours (docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html, read 2026).
pub const MOST_ATTRIBUTES: usize = 8;

/// The longest name of an attribute.
const MAX_NAME: usize = 256;

/// The longest value, in bytes. Not a rule of SNS: the room is the message's.
const MAX_VALUE: usize = 1024;

/// The delivery's id, the same on every attempt.
pub(crate) const ID: &str = "notifier.id";
/// What is told: `failure`, `digest`, `notice` or `recovery`.
pub(crate) const KIND: &str = "notifier.kind";

/// The data type of every attribute.
pub(crate) const STRING: &str = "String";

/// Attributes by name.
pub(crate) type Attributes = BTreeMap<String, String>;

/// What attributes count for in a message's size: name, type and value.
pub(crate) fn size(attributes: &Attributes) -> usize {
    attributes
        .iter()
        .map(|(name, value)| name.len() + STRING.len() + value.len())
        .sum()
}

/// The option `attributes`, compiled.
#[derive(Debug)]
pub(crate) struct AttributeTemplates {
    templates: MessageTemplates,
    /// By the option's value.
    parsed: BTreeMap<String, Vec<(String, String)>>,
}

impl AttributeTemplates {
    /// Compiles the option in all instances.
    pub(crate) fn compile(settings: &BackendSettings) -> Result<Self> {
        let mut parsed = BTreeMap::new();
        for value in settings.all_values("attributes") {
            let pairs = parse(&value)?;
            parsed.insert(value, pairs);
        }
        let texts = parsed.values().flatten().map(|(_, t)| t.as_str());
        let templates = MessageTemplates::compile(settings, "attributes", Markup::Plain)?
            .compile_texts(texts)?;
        Ok(Self { templates, parsed })
    }

    /// The attributes of a report. `example`: the failure it is about or is an example of, as a
    /// report; without one only our own are there. What cannot be rendered is left out and told.
    pub(crate) fn render(
        &self,
        settings: &Settings,
        id: &DeliveryId,
        subject: &Subject,
        example: Option<&Report>,
    ) -> (Attributes, Vec<Error>) {
        let mut out = Attributes::new();
        let mut faults = Vec::new();
        let pairs = self.parsed.get(settings.text("attributes"));
        if let Some(example) = example {
            for (name, template) in pairs.into_iter().flatten() {
                let rendered = self.templates.render_text(template, example);
                if let Some(fault) = rendered.fault {
                    faults.push(fault);
                    continue;
                }
                let value = taken(&rendered.text);
                let value = head(value.trim(), MAX_VALUE).trim_end();
                // SNS refuses empty ones.
                if !value.is_empty() {
                    out.insert(name.clone(), value.to_owned());
                }
            }
        }
        out.insert(ID.to_owned(), id.as_str().to_owned());
        out.insert(KIND.to_owned(), subject.kind().to_owned());
        (out, faults)
    }
}

fn wrong(what: std::fmt::Arguments<'_>) -> Error {
    Error::config(format!("sns.attributes: {what}"))
}

/// Reads `name=template;…`. Semicolons end a pair, but not inside an action of a template, nor
/// as `\;`.
fn parse(text: &str) -> Result<Vec<(String, String)>> {
    let mut out: Vec<(String, String)> = Vec::new();
    for part in split(text) {
        if part.trim().is_empty() {
            continue;
        }
        let shown: String = part.trim().chars().take(40).collect();
        let Some((name, template)) = part.split_once('=') else {
            return Err(wrong(format_args!("{shown:?} has no =; write name=value")));
        };
        let name = name.trim();
        check_name(name)?;
        if out.iter().any(|(n, _)| n == name) {
            return Err(wrong(format_args!("{name:?} is there twice")));
        }
        out.push((name.to_owned(), template.trim().to_owned()));
    }
    if out.len() > MOST_ATTRIBUTES {
        return Err(wrong(format_args!(
            "{} are more than {MOST_ATTRIBUTES}",
            out.len()
        )));
    }
    Ok(out)
}

/// docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html, read 2026.
fn check_name(name: &str) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    let why = if name.is_empty() || name.len() > MAX_NAME {
        "a name has 1 to 256 characters"
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    {
        "a name has letters, digits, _, - and . alone"
    } else if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        "a full stop stands between others"
    } else if lower.starts_with("aws.") || lower.starts_with("amazon.") {
        "names that begin with AWS. and Amazon. are Amazon's"
    } else if lower.starts_with("notifier.") {
        "names that begin with notifier. are ours"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(40).collect();
    Err(wrong(format_args!("{shown:?}: {why}")))
}

fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut in_action = false;
    let mut quote = None;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let Some(part) = parts.last_mut() else {
            break;
        };
        match (c, quote) {
            ('\\', Some('"')) => {
                part.push(c);
                part.extend(chars.next());
                continue;
            }
            (c, Some(q)) if c == q => quote = None,
            ('"' | '`', None) if in_action => quote = Some(c),
            ('{', None) if next == Some('{') => in_action = true,
            ('}', None) if next == Some('}') => in_action = false,
            ('\\', None) if !in_action && next == Some(';') => {
                part.extend(chars.next());
                continue;
            }
            (';', None) if !in_action => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts
}

#[cfg(test)]
mod tests {
    use notifier_core::{FailureRecord, Origin, jiff::Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::OPTIONS;

    fn settings(value: &str) -> BackendSettings {
        let mut s = BackendSettings::new(OPTIONS);
        s.set(Origin::Flag, "attributes", value).unwrap();
        s
    }

    #[test]
    fn pairs_are_read() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            parse("a=1; b-c.d = {{ print \";}}\" `;` }} x ;;e=f\\;g=h").unwrap(),
            [
                pair("a", "1"),
                pair("b-c.d", "{{ print \";}}\" `;` }} x"),
                pair("e", "f;g=h")
            ]
        );
        for (text, why) in [
            ("a", "has no ="),
            ("=x", "1 to 256"),
            ("a b=x", "letters, digits"),
            (".a=x", "full stop"),
            ("a..b=x", "full stop"),
            ("aws.x=y", "Amazon's"),
            ("Amazon.x=y", "Amazon's"),
            ("notifier.id=y", "ours"),
            ("a=1;a=2", "twice"),
            ("a=;b=;c=;d=;e=;f=;g=;h=;i=", "9 are more than 8"),
        ] {
            let e = parse(text).unwrap_err().to_string();
            assert!(
                e.starts_with("sns.attributes: ") && e.contains(why),
                "{text}: {e}"
            );
        }
    }

    #[test]
    fn values_are_rendered_and_empty_ones_left_out() {
        let s = settings(
            "state={{ .failure.State }};empty={{ .failure.Image }};bad={{ .failure.Nope }};long={{ .failure.Host }}{{ .failure.Name }}",
        );
        let t = AttributeTemplates::compile(&settings("state={{ .failure.State }}")).unwrap();
        let f = FailureRecord::new("1", "é".repeat(1000), " A\0\tB ", Timestamp::UNIX_EPOCH);
        let report = Report::failure(f);
        let id = DeliveryId::new("d1");
        let (out, faults) = t.render(
            &settings("state={{ .failure.State }}").instance("default"),
            &id,
            report.subject(),
            Some(&report),
        );
        assert!(faults.is_empty());
        assert_eq!(out["state"], "A\tB");
        assert_eq!((out[ID].as_str(), out[KIND].as_str()), ("d1", "failure"));
        assert_eq!(size(&out), 5 + 6 + 3 + 11 + 6 + 2 + 13 + 6 + 7);

        let t = AttributeTemplates::compile(&s).unwrap();
        let (out, faults) = t.render(&s.instance("default"), &id, report.subject(), Some(&report));
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(!out.contains_key("empty") && !out.contains_key("bad"));
        let (out, _) = t.render(&s.instance("default"), &id, report.subject(), None);
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn a_value_is_cut() {
        let s = settings("name={{ .failure.Name }}");
        let t = AttributeTemplates::compile(&s).unwrap();
        let f = FailureRecord::new("1", "xé".repeat(1000), "A", Timestamp::UNIX_EPOCH);
        let report = Report::failure(f);
        let (out, _) = t.render(
            &s.instance("default"),
            &DeliveryId::new("d"),
            report.subject(),
            Some(&report),
        );
        assert_eq!(out["name"].len(), MAX_VALUE);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z=;{}\"`\\\\. ]{0,60}") {
            let _ = parse(&text);
        }
    }
}
