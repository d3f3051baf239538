//! What an issue says: the option's templates, rendered for one report.

use notifier_core::{
    BackendSettings, Error, ErrorKind, FailureRecord, Markup, MessageTemplates, Origin, Report,
    Result, Settings, Subject,
};

use crate::{
    OPTIONS,
    fields::{Known, parse},
    neutral::{Neutral, as_failure, neutral},
};

/// The longest summary, in UTF-16 units.
const MAX_SUMMARY: usize = 255;

/// One field's template.
#[derive(Debug)]
struct Template {
    name: String,
    known: Option<Known>,
    /// Whether it has an action.
    is_fixed: bool,
    compiled: MessageTemplates,
    settings: Settings,
}

/// The templates of all fields.
#[derive(Debug)]
pub(crate) struct FieldTemplates(Vec<Template>);

/// A field's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldText {
    /// The field's name, as the option has it.
    pub(crate) name: String,
    pub(crate) known: Option<Known>,
    /// What to set it to, with stand-ins for markup in data.
    pub(crate) text: String,
}

/// What an issue says.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) project: String,
    pub(crate) kind: String,
    /// The summary of a new issue.
    pub(crate) summary: String,
    /// The summary that issues about the same have.
    pub(crate) about: String,
    /// The other fields, the description among them.
    pub(crate) fields: Vec<FieldText>,
    /// What went less than well.
    pub(crate) warnings: Vec<Error>,
}

impl FieldTemplates {
    /// Compiles the option's value.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or [`ErrorKind::Template`], with the directive's name.
    pub(crate) fn compile(text: &str) -> Result<Self> {
        let compile = |d: crate::fields::Directive| {
            let mut settings = BackendSettings::new(OPTIONS);
            settings.set(Origin::Flag, "fields", &d.template)?;
            let compiled = MessageTemplates::compile(&settings, "fields", Markup::Plain)
                .map_err(|e| named(&d.name, &e))?;
            Ok(Template {
                known: Known::of(&d.name),
                name: d.name,
                is_fixed: !d.template.contains("{{"),
                compiled,
                settings: settings.instance(notifier_core::DEFAULT_INSTANCE),
            })
        };
        let compiled: Result<Vec<Template>> = parse(text)?.into_iter().map(compile).collect();
        Ok(Self(compiled?))
    }

    /// Project and type, if they are the same for every report.
    pub(crate) fn fixed_place(&self) -> Option<(&str, &str)> {
        let fixed = |known| {
            let t = self.0.iter().find(|t| t.known == Some(known))?;
            t.is_fixed.then(|| t.settings.text("fields").trim())
        };
        Some((fixed(Known::Project)?, fixed(Known::IssueType)?))
    }

    /// The names of all fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Option<Known>)> {
        self.0.iter().map(|t| (t.name.as_str(), t.known))
    }

    /// Renders a report.
    ///
    /// # Errors
    /// If project or type cannot be said.
    pub(crate) fn render(&self, report: &Report) -> Result<Message> {
        let failure = match report.subject() {
            Subject::Failure(f) => (**f).clone(),
            Subject::Digest(d) => d.example.clone(),
            // For the fields that a failure would fill.
            _ => FailureRecord::new("", "notifier", "", report.now()),
        };
        let plain = match report.subject() {
            Subject::Failure(_) => report.clone(),
            _ => as_failure(report, failure.clone()),
        };
        let safe = Neutral::new(report, &failure);
        let is_own = matches!(report.subject(), Subject::Failure(_) | Subject::Digest(_));
        let mut message = Message {
            project: String::new(),
            kind: String::new(),
            summary: String::new(),
            about: String::new(),
            fields: Vec::new(),
            warnings: Vec::new(),
        };
        for t in &self.0 {
            let is_plain = matches!(
                t.known,
                Some(Known::Project | Known::IssueType | Known::Summary)
            );
            let source = if is_plain { &plain } else { safe.report() };
            let rendered = t.compiled.render(&t.settings, source);
            let fault = rendered.fault.map(|e| named(&t.name, &e));
            match (t.known, fault) {
                (Some(Known::Project | Known::IssueType), Some(e)) => return Err(e),
                (Some(Known::Project), None) => {
                    message.project = say(&t.name, &rendered.text)?;
                }
                (Some(Known::IssueType), None) => message.kind = say(&t.name, &rendered.text)?,
                (Some(Known::Summary), fault) => {
                    if fault.is_none() && is_own {
                        message.summary = summary(&rendered.text);
                    }
                    message.warnings.extend(fault);
                }
                (Some(Known::Description), fault) => {
                    let is_fault = fault.is_some();
                    message.warnings.extend(fault);
                    let text = match is_fault {
                        true => neutral(&rendered.text),
                        false => safe.text(rendered.text),
                    };
                    message.field(t, describe(report, text));
                }
                // A value made of an error would be worse than none.
                (None, Some(e)) => message.warnings.push(e),
                (None, None) => message.field(t, safe.text(rendered.text)),
            }
        }
        message.finish(report, is_own);
        Ok(message)
    }
}

impl Message {
    fn field(&mut self, t: &Template, text: String) {
        self.fields.push(FieldText {
            name: t.name.clone(),
            known: t.known,
            text,
        });
    }

    /// What templates do not say.
    fn finish(&mut self, report: &Report, is_own: bool) {
        if is_own && self.summary.is_empty() {
            let empty = "jira.fields, Summary: it gave nothing; the built-in text was taken";
            if self.warnings.is_empty() {
                self.warnings.push(Error::new(ErrorKind::Template, empty));
            }
            self.summary = summary(&report.redactor().redact(&report.summary()));
        }
        if !is_own {
            self.summary = notice_summary(report, false);
        }
        self.about = match report.subject() {
            Subject::Recovery(_) => notice_summary(report, true),
            _ => self.summary.clone(),
        };
        let has = |known| self.fields.iter().any(|f| f.known == Some(known));
        if !is_own && !has(Known::Description) {
            self.fields.push(FieldText {
                name: "Description".to_owned(),
                known: Some(Known::Description),
                text: describe(report, String::new()),
            });
        }
    }

    /// The description's text.
    pub(crate) fn description(&self) -> Option<&str> {
        let d = self
            .fields
            .iter()
            .find(|f| f.known == Some(Known::Description));
        d.map(|f| f.text.as_str())
    }
}

/// An error of one field's template.
fn named(name: &str, e: &Error) -> Error {
    let text = e.to_string();
    let text = text.strip_prefix("jira.fields: ").unwrap_or(&text);
    let name = crate::error::one_line(name, 60);
    Error::new(
        ErrorKind::Template,
        format!("jira.fields, {name}: {}", crate::error::one_line(text, 500)),
    )
}

/// A name that must say something.
fn say(name: &str, text: &str) -> Result<String> {
    let text = crate::error::one_line(text, 255);
    if text.is_empty() {
        return Err(Error::config(format!(
            "jira.fields, {name}: it gave nothing"
        )));
    }
    Ok(text)
}

/// A summary as Jira takes it: one line of at most 255 characters. What is one already stays
/// as it is, blanks at its ends included, which Jira drops.
pub(crate) fn summary(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        let is_gap = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        if is_gap && !line.ends_with(' ') {
            line.push(' ');
        } else if !is_gap && !matches!(c, '\u{fffe}' | '\u{ffff}') {
            line.push(c);
        }
        // Enough of a very long one.
        if line.len() > 8 * MAX_SUMMARY {
            break;
        }
    }
    if line.trim().is_empty() {
        return String::new();
    }
    if line.encode_utf16().count() <= MAX_SUMMARY {
        return line;
    }
    let mut used = 0;
    let short: String = line
        .trim_start()
        .chars()
        .take_while(|c| {
            used += c.len_utf16();
            used < MAX_SUMMARY
        })
        .collect();
    format!("{}…", short.trim_end())
}

/// What is said of something else than one failure comes first.
fn describe(report: &Report, rendered: String) -> String {
    let own = || neutral(&report.summary());
    match report.subject() {
        Subject::Failure(_) => rendered,
        Subject::Digest(_) if rendered.trim().is_empty() => own(),
        Subject::Digest(_) => format!("{}\n\n{rendered}", own()),
        _ => own(),
    }
}

/// The summary for a notice, the same as long as it holds, or for its end.
fn notice_summary(report: &Report, begins: bool) -> String {
    use notifier_core::Concern;
    let (notice, begins) = match report.subject() {
        Subject::Recovery(n) => (n, begins),
        Subject::Notice(n) => (n, true),
        _ => return String::new(),
    };
    let what = report.redactor().redact(&notice.destination);
    summary(&match (notice.concern, begins) {
        (Concern::Outbox, true) => format!("The outbox of the watcher {what} fills up"),
        (Concern::Outbox, false) => format!("The outbox of the watcher {what} has room again"),
        (_, true) => format!("Messages to {what} do not arrive"),
        (_, false) => format!("Messages to {what} arrive again"),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use notifier_core::{Digest, Links, Notice, jiff::Timestamp};

    use super::*;
    use crate::{DEFAULT_FIELDS, neutral::restore};

    fn failure() -> FailureRecord {
        FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
    }

    fn default() -> FieldTemplates {
        FieldTemplates::compile(DEFAULT_FIELDS).unwrap()
    }

    #[test]
    fn the_default_says_what_the_original_says() {
        let report = Report::failure(failure()).with_links(Links::new("http://a/o", "http://a/e"));
        let m = default().render(&report).unwrap();
        assert_eq!((m.project.as_str(), m.kind.as_str()), ("COMPLAINER", "Bug"));
        assert_eq!(m.summary, "Task web died with status TASK_FAILED");
        assert_eq!(m.about, m.summary);
        assert_eq!(
            m.description(),
            Some("[stdout|http://a/o], [stderr|http://a/e], ID=web.1")
        );
        assert_eq!(default().fixed_place(), Some(("COMPLAINER", "Bug")));
    }

    #[test]
    fn a_digest_is_about_what_its_example_is_about() {
        let digest = Digest::new("1", "web failed", 17, failure());
        let report = Report::new(Subject::Digest(Arc::new(digest)));
        let m = default().render(&report).unwrap();
        assert_eq!(m.about, "Task web died with status TASK_FAILED");
        let text = m.description().unwrap();
        assert!(
            text.starts_with("17 more tasks like web (web.1) died"),
            "{text}"
        );
        assert!(text.ends_with("ID=web.1"), "{text}");
    }

    #[test]
    fn a_recovery_is_about_its_notice() {
        let notice = Arc::new(Notice::new("slack:#ops:01", "404", Timestamp::UNIX_EPOCH));
        let begin = default()
            .render(&Report::new(Subject::Notice(Arc::clone(&notice))))
            .unwrap();
        let end = default()
            .render(&Report::new(Subject::Recovery(notice)))
            .unwrap();
        assert_eq!(begin.summary, "Messages to slack:#ops:01 do not arrive");
        assert_eq!(end.about, begin.about);
        assert_eq!(end.summary, "Messages to slack:#ops:01 arrive again");
        assert!(end.description().unwrap().contains("404"));
    }

    #[test]
    fn a_broken_template_loses_a_field_and_no_issue() {
        let t = FieldTemplates::compile(
            "Project:P;Issue Type:Bug;Summary:{{ .failure.Nope }};Priority:{{ .failure.Nope }};Description:x",
        )
        .unwrap();
        let m = t.render(&Report::failure(failure())).unwrap();
        assert_eq!(m.summary, "Task web (web.1) died with status TASK_FAILED");
        assert_eq!((m.fields.len(), m.warnings.len()), (1, 2));
        let t = FieldTemplates::compile("Project:{{ .failure.Nope }};Issue Type:Bug;Summary:x")
            .unwrap();
        let e = t.render(&Report::failure(failure())).unwrap_err();
        assert!(e.to_string().starts_with("jira.fields, Project: "), "{e}");
        let e = FieldTemplates::compile("Project:{{ x;Issue Type:Bug;Summary:x").unwrap_err();
        assert!(e.to_string().contains("Project"), "{e}");
        let e = FieldTemplates::compile("Project:P;Issue Type:Bug;Summary:{{ nope }}").unwrap_err();
        assert!(e.to_string().starts_with("jira.fields, Summary: "), "{e}");
    }

    #[test]
    fn a_summary_is_one_short_line() {
        assert_eq!(summary(" a\r\nb\0c\u{2028}d  e"), " a b c d  e");
        assert_eq!(summary("\n \t"), "");
        let long = summary(&"\u{1f980}".repeat(400));
        assert!(long.encode_utf16().count() <= 255 && long.ends_with('…'));
        assert_eq!(summary(&"x".repeat(255)), "x".repeat(255));
    }

    #[test]
    fn data_in_the_description_is_marked_and_elsewhere_is_plain() {
        let mut f = failure();
        f.name = "[a|http://b]{code}".to_owned();
        let t = FieldTemplates::compile(
            "Project:P;Issue Type:Bug;Summary:{{ .failure.Name }};Description:{{ .failure.Name }}",
        )
        .unwrap();
        let m = t.render(&Report::failure(f.clone())).unwrap();
        assert_eq!(m.summary, f.name);
        let text = m.description().unwrap();
        assert!(!text.contains('[') && restore(text) == f.name);
    }
}
