//! What a mail says: the ready templates, and which of them is meant.

use notifier_core::{
    BackendSettings, Error, Markup, MessageTemplates, Report, Result, Settings, Subject,
};

use super::notices;

/// The word for Chronos' own subject and text.
const CHRONOS: &str = "chronos";

/// The word for ours.
const DEFAULT: &str = "default";

/// The default subject: `[TASK_FAILED] web on agent-1`, and which attempt of how many it was.
pub const DEFAULT_SUBJECT: &str = r#"[{{ .failure.State }}] {{ .failure.Name }}{{ with .failure.Slave }} on {{ . }}{{ end }}{{ if ne (print .failure.Attempt) "<nil>" }}{{ with index .failure.Details "attempts" }}, attempt {{ $.failure.Attempt }} of {{ . }}{{ end }}{{ end }}"#;

/// The default text: what, where, when, how long, why, the last lines of the log, where the logs
/// are, and how to silence it. What is not known has no line. More than 50 owners are counted; a
/// name of more than 1000 bytes has no command to silence it.
///
/// It takes from `.failure.Details` what a source that knows attempts gives: `case`, `attempts`,
/// `will_retry`, `failures`, `cluster` and `schedule`.
pub const DEFAULT_FORMAT: &str = r#"{{ $f := .failure }}{{ $d := $f.Details }}{{ $case := index $d "case" -}}
{{ $f.Name }}{{ if and $f.Message (or (eq $case "exhausted") (eq $case "deleted")) }}{{ else if eq $case "disabled" }} is disabled{{ else if eq $case "exhausted" }} has run for the last time: its schedule is used up{{ else if eq $case "deleted" }} was deleted{{ else }} failed{{ end }}
{{- with $f.Message }}: {{ . }}{{ end }}

Task:      {{ $f.ID }}
State:     {{ $f.State }}
{{ with $f.Reason }}Reason:    {{ . }}
{{ end -}}
{{ if ne (print $f.ExitCode) "<nil>" }}Exit code: {{ $f.ExitCode }}
{{ end -}}
{{ if ne (print $f.Attempt) "<nil>" }}Attempt:   {{ $f.Attempt }}{{ with index $d "attempts" }} of {{ . }}{{ end }}
{{- with index $d "will_retry" }}{{ if eq . "true" }}, will be retried{{ else }}, will not be retried{{ end }}{{ end }}
{{ end -}}
{{ with index $d "failures" }}Failures:  {{ . }} since the last success
{{ end -}}
{{ with $f.Slave }}Host:      {{ . }}
{{ end -}}
{{ with $f.Framework }}Framework: {{ . }}
{{ end -}}
{{ with index $d "cluster" }}Cluster:   {{ . }}
{{ end -}}
{{ with $f.Image }}Image:     {{ . }}
{{ end -}}
{{ if not $f.Started.IsZero }}Started:   {{ $f.Started.Format "2006-01-02 15:04:05 MST" }}
{{ end -}}
Ended:     {{ $f.Finished.Format "2006-01-02 15:04:05 MST" }}{{ if not (or $f.Started.IsZero ($f.Finished.Before $f.Started)) }}, after {{ humanizeDuration ($f.Finished.Sub $f.Started) }}{{ end }}
{{ with index $d "schedule" }}Schedule:  {{ . }}
{{ end -}}
{{ with $f.Owners }}Owners:    {{ if le (len .) 50 }}{{ join ", " . }}{{ else }}{{ len . }}{{ end }}
{{ end -}}
{{ with .stdoutURL }}stdout:    {{ . }}
{{ end -}}
{{ with .stderrURL }}stderr:    {{ . }}
{{ end -}}
{{ with .logsError }}No logs:   {{ . }}
{{ end -}}
{{ with .logTail }}
The last lines of its log:

{{ . }}
{{ end }}
{{- if le (len $f.Name) 1000 }}
To hear nothing of it for two hours, where the watcher runs:

notifierctl silence add 'name={{ if match "^~|[[:cntrl:]]" $f.Name -}}
~^{{ reReplaceAll `[][\\.+*?()|{}^$]` `\${0}` $f.Name | reReplaceAll "[[:cntrl:]]" "[[:cntrl:]]" | reReplaceAll "'" "'\\''" }}$
{{- else }}{{ reReplaceAll "'" "'\\''" $f.Name }}{{ end }}' --for 2h
{{ end }}"#;

/// The subject of Chronos' own mails, from 2.3.4 on. Without a cluster's name it begins with a
/// blank, as theirs does; mail software drops that on the way.
///
/// The case is `.failure.Details.case`: `failed`, `disabled`, `exhausted`, `deleted`; `attempt`, a
/// failed run that Chronos repeats and tells nobody of, has words of its own. The cluster's name
/// is `.failure.Details.cluster`.
pub const CHRONOS_SUBJECT: &str = r#"{{ $case := index .failure.Details "case" -}}
{{ with index .failure.Details "cluster" }}[{{ . }}]{{ end }} [Chronos] {{ if eq $case "deleted" }}Your job '{{ .failure.Name }}' was deleted!
{{- else }}job '{{ .failure.Name }}' {{ if or (eq $case "disabled") (eq $case "exhausted") }}disabled{{ else if eq $case "attempt" }}failed, to be retried{{ else }}failed!{{ end }}{{ end }}"#;

/// The text of Chronos' own mails, line feed at the beginning included; that of a deleted job is
/// empty. `attempt` has the form of `failed` with a first line that says so. A failure that is
/// none of Chronos' reads like `failed`, with what is known.
///
/// Beside `case` it takes from `.failure.Details`: `retries`, how many the job is allowed;
/// `attempts`, one more; `failures` in a row; `at`, the time as Chronos wrote it, else that of the
/// failure's end in UTC.
pub const CHRONOS_FORMAT: &str = r#"{{ $f := .failure }}{{ $d := $f.Details }}{{ $case := index $d "case" -}}
{{ $at := or (index $d "at") ($f.Finished.UTC.Format "2006-01-02T15:04:05.000Z") -}}
{{ if eq $case "deleted" }}{{ else if eq $case "exhausted" -}}
JobSchedule '{{ $f.Name }}' has exhausted all of its recurrences and has been disabled.
Please consider either removing your job, or updating its schedule and re-enabling it.
{{ printf "%54s" "" }}
{{- else }}
{{- if eq $case "attempt" }}Attempt {{ $f.Attempt }}{{ with index $d "attempts" }} of {{ . }}{{ end }} failed, Chronos will run it again.{{ end }}
{{ if eq $case "disabled" }}Failed at '{{ $at }}'{{ with index $d "failures" }}, {{ . }} failures since last success{{ end }}
{{- else if eq $case "attempt" }}'{{ $at }}'.{{ with index $d "retries" }} Retries allowed: {{ . }}.{{ end }}
{{- else }}'{{ $at }}'.{{ with index $d "retries" }} Retries attempted: {{ . }}.{{ end }}{{ end }}
Task id: {{ $f.ID }}
{{ with $f.Message }}The scheduler provided this message:

{{ . }}{{ end }}{{ end }}"#;

/// The templates, compiled.
#[derive(Debug)]
pub(crate) struct Texts {
    subject: MessageTemplates,
    text: MessageTemplates,
    html: MessageTemplates,
}

/// What a mail says.
#[derive(Debug)]
pub(crate) struct Said {
    /// One line, without a line break.
    pub(crate) subject: String,
    /// The text.
    pub(crate) text: String,
    /// The same as HTML.
    pub(crate) html: Option<String>,
    /// What went less than well.
    pub(crate) warnings: Vec<String>,
}

/// The most characters of a subject.
const MOST_SUBJECT: usize = 400;

impl Texts {
    /// Compiles the templates of all instances.
    pub(crate) fn compile(settings: &BackendSettings) -> Result<Self> {
        let plain = |key, ready: [&'static str; 2]| {
            MessageTemplates::compile(settings, key, Markup::Plain)?.compile_texts(ready)
        };
        Ok(Self {
            subject: plain("subject", [DEFAULT_SUBJECT, CHRONOS_SUBJECT])?,
            text: plain("format", [DEFAULT_FORMAT, CHRONOS_FORMAT])?,
            html: MessageTemplates::compile(settings, "html_format", Markup::Html)?,
        })
    }

    /// Whether a template of these settings may show the last lines of a log.
    pub(crate) fn show_log(settings: &Settings) -> bool {
        [
            subject(settings),
            format(settings),
            settings.text("html_format"),
        ]
        .iter()
        .any(|template| MessageTemplates::mentions(template, "logTail"))
    }

    /// Renders all of them. Whatever fails, there is something to say.
    pub(crate) fn render(&self, settings: &Settings, report: &Report) -> Said {
        let Subject::Failure(failure) = report.subject() else {
            return Said {
                subject: notices::subject(report),
                text: ended(self.text.render_text(DEFAULT_FORMAT, report).text),
                html: None,
                warnings: Vec::new(),
            };
        };
        let mut warnings = Vec::new();
        let (of_subject, of_text) = (subject(settings), format(settings));
        let rendered = self.subject.render_text(of_subject, report);
        let subject = match rendered.fault {
            // The error itself is in the text.
            Some(fault) => {
                warnings.push(fault.to_string());
                String::new()
            }
            None => one_line(&rendered.text),
        };
        let is_faulty = !warnings.is_empty();
        let subject = if subject.trim().is_empty() {
            if !is_faulty {
                warnings.push("smtp.subject gave an empty subject; a built-in one was sent".into());
            }
            one_line(&report.summary())
        } else {
            subject
        };
        let subject = shortened(subject, &mut warnings);
        let rendered = self.text.render_text(of_text, report);
        warnings.extend(rendered.fault.iter().map(Error::to_string));
        let mut text = rendered.text;
        // Chronos sends nothing but a subject when a job is deleted.
        let says_nothing = of_text == CHRONOS_FORMAT
            && failure.details.get("case").is_some_and(|c| c == "deleted");
        if text.trim().is_empty() && !says_nothing {
            warnings.push("smtp.format gave an empty text; the built-in one was sent".into());
            text = ended(report.summary());
        }
        let html = settings
            .get("html_format")
            .map(|template| self.html.render_text(template, report));
        let html = html.and_then(|rendered| {
            let fault = rendered.fault.as_ref().map(Error::to_string);
            warnings.extend(fault);
            if rendered.text.trim().is_empty() {
                warnings.push("smtp.html_format gave nothing; the text was sent alone".into());
                return None;
            }
            Some(rendered.text)
        });
        Said {
            subject,
            text,
            html,
            warnings,
        }
    }
}

/// The template of the text that settings name.
fn format(settings: &Settings) -> &str {
    match settings.text("format") {
        "" | DEFAULT => DEFAULT_FORMAT,
        CHRONOS => CHRONOS_FORMAT,
        own => own,
    }
}

/// The template of the subject that settings name: that of the format unless set.
fn subject(settings: &Settings) -> &str {
    match settings.text("subject") {
        "" if settings.text("format") == CHRONOS => CHRONOS_SUBJECT,
        "" | DEFAULT => DEFAULT_SUBJECT,
        CHRONOS => CHRONOS_SUBJECT,
        own => own,
    }
}

/// A rendered subject without line breaks: each is a blank, those at the end are left out.
fn one_line(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    text.replace("\r\n", " ").replace(char::is_control, " ")
}

fn shortened(subject: String, warnings: &mut Vec<String>) -> String {
    match subject.char_indices().nth(MOST_SUBJECT) {
        None => subject,
        Some((at, _)) => {
            warnings.push(format!("the subject was cut to {MOST_SUBJECT} characters"));
            format!("{}…", &subject[..at])
        }
    }
}

/// A text with a line break at its end.
fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
