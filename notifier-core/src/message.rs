//! From a report to text: templates, markup, and what goes out when a template fails.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use notifier_template as template;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use template::Value;

use crate::{
    BackendSettings, Concern, Digest, Error, ErrorKind, FailureRecord, Report, Result, Settings,
    Subject, redact,
};

/// Which characters of data are escaped in a template's output. The template's own
/// text never is.
///
/// The final value of each action is escaped, unless the last function of its
/// pipeline is `config`, `raw`, `html`, `urlquery` or `js`. `stdoutURL` and
/// `stderrURL` are made safe as URLs besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Markup {
    /// None.
    #[default]
    Plain,
    /// Slack's: `&`, `<` and `>`.
    Slack,
    /// HTML: `&`, `<`, `>`, and quotes inside attribute values.
    Html,
    /// Lines of text in a file or on a terminal: line breaks, other controls and
    /// characters that change the direction of text, in the failure's data only, are
    /// made visible as `\\x0a` or `\\u{202e}`, so that a task's name cannot forge a
    /// record. What the template itself makes of them stays.
    Lines,
}

impl Markup {
    fn engine(self) -> template::Escape {
        match self {
            Self::Plain => template::Escape::plain(),
            Self::Slack => template::Escape::slack(),
            Self::Html => template::Escape::html(),
            // Done to the data, before the template sees it.
            Self::Lines => template::Escape::plain(),
        }
    }

    /// A text with this markup's own characters escaped, quotes included in HTML.
    ///
    /// ```
    /// use notifier_core::Markup;
    /// assert_eq!(Markup::Slack.escape("<!here> & \"x\""), "&lt;!here&gt; &amp; \"x\"");
    /// assert_eq!(Markup::Plain.escape("<a>"), "<a>");
    /// ```
    pub fn escape(self, text: &str) -> String {
        match self {
            Self::Plain => return text.to_owned(),
            Self::Lines => return visible(text),
            _ => {}
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' if self == Self::Html => out.push_str("&#34;"),
                '\'' if self == Self::Html => out.push_str("&#39;"),
                c => out.push(c),
            }
        }
        out
    }

    fn link(self, url: &str, text: &str) -> String {
        let url = self.escape(&safe_url(self, url));
        match self {
            Self::Plain | Self::Lines => format!("{text}: {url}"),
            Self::Slack => format!("<{url}|{text}>"),
            Self::Html => format!("<a href=\"{url}\">{text}</a>"),
        }
    }
}

/// What cannot stand in a link between `<` and `|`, or in an attribute's quotes.
const IN_LINK: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'|')
    .add(b'\'')
    .add(b'`')
    .add(b'\\');

/// A text whose line breaks and other controls can be seen.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{2028}'
            | '\u{2029}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn safe_url(markup: Markup, url: &str) -> String {
    match markup {
        Markup::Plain => return url.to_owned(),
        Markup::Lines => return visible(url),
        _ => {}
    }
    let scheme = url
        .split(':')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if matches!(scheme.as_str(), "javascript" | "data" | "vbscript") {
        return String::new();
    }
    // Only what would end the link is encoded: percent signs were encoded already,
    // and letters beyond ASCII stay readable.
    url.chars()
        .fold(String::with_capacity(url.len()), |mut out, c| {
            if c.is_ascii() {
                out.extend(utf8_percent_encode(c.encode_utf8(&mut [0; 4]), IN_LINK));
            } else {
                out.push(c);
            }
            out
        })
}

/// A rendered message.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rendered {
    /// The text to send.
    pub text: String,
    /// Why the template failed, if it did: `text` is then the built-in text with the error in it.
    pub fault: Option<Error>,
}

/// A backend's templates in Go's `text/template` language, compiled at start.
///
/// Templates see `.failure` (`ID`, `Name`, `Slave`, `Framework`, `Image`, `State`,
/// `Started`, `Finished`, `Labels`, and beyond the original `Message`, `Reason`,
/// `ExitCode`, `Healthy`, `Attempt`, `Owners`, `Details`, `Source`), `.stdoutURL`, `.stderrURL`, `.nl`,
/// `.logsError` (why there are no logs, else empty), `.logTail` (the last lines of a log, where
/// the reporter [adds them](Report::with_log_lines)), and the function `config`, which
/// gives a label meant for this reporter's instance. `Message` and `Reason` are empty,
/// `ExitCode`, `Healthy` and `Attempt` nothing where they are not known. Labels whose keys
/// [name a secret](crate::redact::names_secret) read `***`.
///
/// ```
/// use notifier_core::*;
/// const GROUP: OptionGroup = OptionGroup::new("pager", &[
///     OptionSpec::new("format", "the message").kind(OptionKind::Template)
///         .default("{{ .failure.Name }} died{{ .nl }}"),
/// ]);
/// let settings = BackendSettings::new(GROUP);
/// let templates = MessageTemplates::compile(&settings, "format", Markup::Plain)?;
/// let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", jiff::Timestamp::UNIX_EPOCH);
/// let rendered = templates.render(&settings.instance("default"), &Report::failure(failure));
/// assert_eq!(rendered.text, "web died\n");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct MessageTemplates {
    /// The flag that sets them, for messages: `slack.format`.
    flag: String,
    key: &'static str,
    markup: Markup,
    compiled: HashMap<String, template::Template>,
}

impl MessageTemplates {
    /// Compiles the templates that one option has in any instance.
    ///
    /// # Errors
    /// [`ErrorKind::Template`] for one that does not compile, with the option's name, line and column.
    pub fn compile(settings: &BackendSettings, key: &'static str, markup: Markup) -> Result<Self> {
        let flag = match settings.group().find(key) {
            Some(spec) => settings.group().flag(spec),
            None => key.to_owned(),
        };
        let mut compiled = HashMap::new();
        for text in settings.all_values(key) {
            let parsed = parse(&flag, &text)
                .map_err(|e| Error::new(ErrorKind::Template, format!("{flag}: {e}")))?;
            compiled.insert(text, parsed);
        }
        Ok(Self {
            flag,
            key,
            markup,
            compiled,
        })
    }

    /// Compiles these texts as well, for [`render_text`](Self::render_text): what words of a
    /// backend's own, such as `chronos`, stand for.
    ///
    /// # Errors
    /// [`ErrorKind::Template`] for one that does not compile.
    pub fn compile_texts<'a>(mut self, texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        for text in texts {
            let parsed = parse(&self.flag, text)
                .map_err(|e| Error::new(ErrorKind::Template, format!("{}: {e}", self.flag)))?;
            self.compiled.insert(text.to_owned(), parsed);
        }
        Ok(self)
    }

    /// Whether a template has this word anywhere: whether it may show what is dear to get.
    ///
    /// ```
    /// use notifier_core::MessageTemplates;
    /// assert!(MessageTemplates::mentions("{{ .logTail }}", "logTail"));
    /// ```
    pub fn mentions(template: &str, word: &str) -> bool {
        template.contains(word)
    }

    /// Renders a report with the template that these settings name.
    ///
    /// Never fails: a template that does is replaced by the built-in text with the
    /// error in it. Where the template shows the logs' addresses and there are none,
    /// what is missing is added at the end. Known secrets are masked, but not in the links. Reports that
    /// are not about one failure have their built-in text.
    pub fn render(&self, settings: &Settings, report: &Report) -> Rendered {
        self.render_text(settings.text(self.key), report)
    }

    /// The same with a template's text, which is fast for one that was compiled.
    pub fn render_text(&self, template: &str, report: &Report) -> Rendered {
        let mut rendered = match report.subject() {
            Subject::Failure(f) => self.render_failure(template, report, f),
            _ => Rendered {
                text: self.markup.escape(&built_in(report)),
                fault: None,
            },
        };
        if let Cow::Owned(masked) = mask(&rendered.text, self.markup, report) {
            rendered.text = masked;
        }
        rendered
    }

    fn render_failure(&self, text: &str, report: &Report, f: &Arc<FailureRecord>) -> Rendered {
        let result = match self.compiled.get(text) {
            Some(compiled) => execute(compiled, self.markup, report, f),
            // A value that came after the start, from a label.
            None => parse(&self.flag, text).and_then(|t| execute(&t, self.markup, report, f)),
        };
        match result {
            Ok(mut out) => {
                add_missing(&mut out, text, self.markup, report);
                Rendered {
                    text: out,
                    fault: None,
                }
            }
            Err(e) => {
                let fault = Error::new(ErrorKind::Template, format!("{}: {e}", self.flag));
                Rendered {
                    text: fallback(self.markup, report, &fault),
                    fault: Some(fault),
                }
            }
        }
    }
}

/// Renders a template once, without a fallback: for previews.
///
/// # Errors
/// [`ErrorKind::Template`], with line and column and the word `parse` or `execute` in its
/// text; [`Error::source`](std::error::Error::source) is the template engine's own error.
pub fn render_once(template: &str, markup: Markup, report: &Report) -> Result<String> {
    let Subject::Failure(f) = report.subject() else {
        return Ok(markup.escape(&built_in(report)));
    };
    let mut text = parse("template", template).and_then(|t| execute(&t, markup, report, f))?;
    add_missing(&mut text, template, markup, report);
    Ok(text)
}

fn parse(name: &str, text: &str) -> Result<template::Template, template::Error> {
    template::Engine::new()
        .with_function("config")
        .parse(name, text)
}

fn execute(
    t: &template::Template,
    markup: Markup,
    report: &Report,
    failure: &Arc<FailureRecord>,
) -> Result<String, template::Error> {
    let config = {
        let report = report.clone();
        template::Function::new("config", move |key: &str| {
            let value = report.config(key);
            if markup == Markup::Lines {
                visible(&value)
            } else {
                value
            }
        })
    };
    let links = report.links();
    let data = BTreeMap::from([
        ("nl".to_owned(), Value::from("\n")),
        ("config".to_owned(), Value::Function(config.clone())),
        (
            "failure".to_owned(),
            Value::from_object(View::new(failure, report, markup)),
        ),
        (
            "stdoutURL".to_owned(),
            Value::from(safe_url(markup, &links.stdout).as_str()),
        ),
        (
            "stderrURL".to_owned(),
            Value::from(safe_url(markup, &links.stderr).as_str()),
        ),
        (
            "logsError".to_owned(),
            Value::from(clean(&links.missing, report, markup).as_ref()),
        ),
        (
            "logTail".to_owned(),
            // Of several lines by nature: only what is no line break is made visible.
            Value::from(lines(report.log_lines(), markup).as_ref()),
        ),
    ]);
    let mut context = template::Context::new(Value::from(data))
        .with_now(time(report.now(), report.zone()))
        .with_local_zone(report.zone().clone())
        .with_system_zones();
    context.bind("config", config);
    t.render_escaped(&context, &markup.engine())
}

/// Says what is missing, if the template would have shown it.
fn add_missing(text: &mut String, template: &str, markup: Markup, report: &Report) {
    let missing = &report.links().missing;
    let shows_logs = template.contains("stdoutURL") || template.contains("stderrURL");
    if missing.is_empty() || !shows_logs || template.contains("logsError") {
        return;
    }
    let missing = report.redactor().redact(missing);
    let note = markup.escape(&format!("(no logs: {})", one_line(&missing, 500)));
    if text.ends_with('\n') {
        text.push_str(&format!("  {note}\n"));
    } else {
        text.push_str(&format!(" {note}"));
    }
}

/// What goes out when a template fails: nothing here can fail.
fn fallback(markup: Markup, report: &Report, fault: &Error) -> String {
    let mut text = markup.escape(&report.summary());
    let links = report.links();
    for (url, name) in [(&links.stdout, "stdout"), (&links.stderr, "stderr")] {
        if !url.is_empty() {
            text.push('\n');
            text.push_str(&markup.link(url, name));
        }
    }
    let mut add = |what: &str, why: &str| {
        let why = report.redactor().redact(why);
        text.push('\n');
        text.push_str(&markup.escape(&format!("({what}: {})", one_line(&why, 500))));
    };
    if !links.missing.is_empty() {
        add("no logs", &links.missing);
    }
    add("the template failed", &fault.to_string());
    text.push('\n');
    text
}

/// Masks known secrets in a finished text, but for its links: a signed one holds the name of
/// the key that it was signed with, and is of no use without.
fn mask<'a>(text: &'a str, markup: Markup, report: &Report) -> Cow<'a, str> {
    let redactor = report.text_redactor();
    let whole = redactor.redact(text);
    if matches!(whole, Cow::Borrowed(_)) {
        return whole;
    }
    let links = report.links();
    let mut forms: Vec<String> = [links.stdout.as_str(), links.stderr.as_str()]
        .into_iter()
        .filter(|url| !url.is_empty())
        .flat_map(|url| {
            let safe = safe_url(markup, url);
            [
                url.to_owned(),
                markup.escape(url),
                markup.escape(&safe),
                safe,
            ]
        })
        .collect();
    // The longest first: one form may begin with another.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let next = |rest: &str| {
        let at = forms
            .iter()
            .filter_map(|f| Some((rest.find(f.as_str())?, f.len())));
        at.min_by_key(|(at, len)| (*at, std::cmp::Reverse(*len)))
    };
    while let Some((at, len)) = next(rest) {
        out += &redactor.redact(&rest[..at]);
        out += &rest[at..at + len];
        rest = &rest[at + len..];
    }
    out += &redactor.redact(rest);
    Cow::Owned(out)
}

/// The lines of a log as a template may see them. Known secrets were masked when they were read.
fn lines(text: &str, markup: Markup) -> Cow<'_, str> {
    if markup == Markup::Lines {
        let seen: Vec<String> = text.lines().map(visible).collect();
        Cow::Owned(seen.join("\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Data as a template may see it: without known secrets, and fit for its place.
fn clean<'a>(text: &'a str, report: &Report, markup: Markup) -> Cow<'a, str> {
    let masked = report.redactor().redact(text);
    if markup == Markup::Lines {
        Cow::Owned(visible(&masked))
    } else {
        masked
    }
}

/// The first characters of a text, without line breaks and other controls.
fn one_line(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most)
        .collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

impl Report {
    /// The built-in text: what happened in one plain line, without any template and
    /// without known secrets.
    pub fn summary(&self) -> String {
        let line = |s: &str| one_line(&self.redactor().redact(s), 500);
        match self.subject() {
            Subject::Failure(f) => {
                format!(
                    "Task {} ({}) died with status {}",
                    line(&f.name),
                    line(&f.id),
                    line(&f.state)
                )
            }
            Subject::Digest(d) => format!(
                "{} more tasks like {} ({}) died with status {} between {} and {}{}",
                d.count,
                line(&d.example.name),
                line(&d.example.id),
                line(&d.example.state),
                d.first,
                d.last,
                hosts(d, line)
            ),
            Subject::Notice(n) => {
                let what = line(&n.destination);
                let what = match n.concern {
                    Concern::Destination => format!("Messages to {what} do not arrive"),
                    Concern::Outbox => format!("The outbox of the watcher {what} fills up"),
                };
                format!("{what} since {}: {}", n.since, line(&n.text))
            }
            Subject::Recovery(n) => {
                let what = line(&n.destination);
                let what = match n.concern {
                    Concern::Destination => format!("Messages to {what} arrive again; they"),
                    Concern::Outbox => {
                        format!("The outbox of the watcher {what} has room again; it")
                    }
                };
                format!("{what} did not since {}: {}", n.since, line(&n.text))
            }
        }
    }
}

/// The built-in text, with where the logs are.
fn built_in(report: &Report) -> String {
    let mut text = report.summary();
    let links = report.links();
    let urls: Vec<&str> = [links.stdout.as_str(), links.stderr.as_str()]
        .into_iter()
        .filter(|url| !url.is_empty())
        .collect();
    if !urls.is_empty() {
        text += &format!("; logs of the last: {}", urls.join(" "));
    }
    text
}

/// Where the failures of a digest died, for people: ` on 2 agents: a (3), b (1)`.
fn hosts(d: &Digest, line: impl Fn(&str) -> String) -> String {
    let named: Vec<String> = d
        .hosts
        .iter()
        .filter(|(host, _)| !host.is_empty())
        .map(|(host, count)| format!("{} ({count})", line(host)))
        .collect();
    if named.is_empty() {
        return String::new();
    }
    let agents = if d.host_count == 1 { "agent" } else { "agents" };
    let more = d.host_count.saturating_sub(d.hosts.len() as u64);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!(" on {} {agents}: {}{more}", d.host_count, named.join(", "))
}

/// A template for a short text about a failure that is not itself a message.
pub(crate) struct ShortText(template::Template);

impl ShortText {
    /// Compiles it; `name` is what errors call it.
    pub(crate) fn compile(name: &str, text: &str) -> Result<Self> {
        parse(name, text)
            .map(Self)
            .map_err(|e| Error::new(ErrorKind::Template, format!("{name}: {e}")))
    }

    /// Renders it as one line of at most `most` characters, without known secrets.
    pub(crate) fn render(&self, report: &Report, most: usize) -> Result<String> {
        let Subject::Failure(f) = report.subject() else {
            return Err(Error::internal("only failures have such a text"));
        };
        let text = execute(&self.0, Markup::Plain, report, f)?;
        Ok(one_line(text.trim(), most))
    }
}

/// A failure as templates see it.
#[derive(Debug)]
struct View {
    failure: Arc<FailureRecord>,
    report: Report,
    markup: Markup,
    labels: Arc<BTreeMap<String, String>>,
}

impl View {
    fn new(failure: &Arc<FailureRecord>, report: &Report, markup: Markup) -> Self {
        let labels = failure.labels.iter().map(|(k, v)| {
            let value = clean(redact::label(k, v), report, markup).into_owned();
            (clean(k, report, markup).into_owned(), value)
        });
        Self {
            labels: Arc::new(labels.collect()),
            failure: Arc::clone(failure),
            report: report.clone(),
            markup,
        }
    }

    fn text(&self, text: &str) -> Value {
        Value::from(clean(text, &self.report, self.markup).as_ref())
    }

    fn started(&self) -> Value {
        Value::Time(match self.failure.started {
            Some(t) => time(t, self.report.zone()),
            // Go's zero time, so that `.failure.Started.IsZero` tells.
            None => template::Time::from_unix(-62_135_596_800, 0).in_zone(template::Zone::Utc),
        })
    }
}

fn time(t: Timestamp, zone: &jiff::tz::TimeZone) -> template::Time {
    let nanos = t.as_nanosecond();
    let (seconds, rest) = (
        nanos.div_euclid(1_000_000_000),
        nanos.rem_euclid(1_000_000_000),
    );
    template::Time::from_unix(
        i64::try_from(seconds).unwrap_or_default(),
        u32::try_from(rest).unwrap_or_default(),
    )
    .in_zone(template::Zone::Local(zone.clone()))
}

impl template::Object for View {
    fn type_name(&self) -> &str {
        "complainer.Failure"
    }

    fn to_text(&self) -> String {
        clean(&self.failure.to_string(), &self.report, self.markup).into_owned()
    }

    fn field(&self, name: &str) -> Option<Value> {
        let f = &self.failure;
        let number = |n: Option<i64>| n.map_or(Value::Nil, Value::Int);
        Some(match name {
            "ID" => self.text(&f.id),
            "Name" => self.text(&f.name),
            "Slave" => self.text(&f.host),
            "Framework" => self.text(&f.framework),
            "Image" => self.text(&f.image),
            "State" => self.text(&f.state),
            "Started" => self.started(),
            "Finished" => Value::Time(time(f.finished, self.report.zone())),
            "Labels" => Value::Labels(Arc::clone(&self.labels)),
            "Message" => self.text(f.message.as_deref().unwrap_or_default()),
            "Reason" => self.text(f.reason.as_deref().unwrap_or_default()),
            "ExitCode" => number(f.exit_code.map(i64::from)),
            "Healthy" => f.healthy.map_or(Value::Nil, Value::Bool),
            "Attempt" => number(f.attempt.map(i64::from)),
            "Owners" => Value::List(f.owners.iter().map(|o| self.text(o)).collect()),
            "Details" => {
                let known = f.details.iter();
                let shown = known.map(|(k, v)| {
                    let value = clean(v, &self.report, self.markup).into_owned();
                    (k.clone(), value)
                });
                Value::Labels(Arc::new(shown.collect()))
            }
            "Source" => self.text(&f.source),
            _ => return None,
        })
    }

    /// The original's nine, so that `%v` and its kin print what they did.
    fn fields(&self) -> Vec<(&str, Value)> {
        [
            "ID",
            "Name",
            "Slave",
            "Framework",
            "Image",
            "State",
            "Started",
            "Finished",
            "Labels",
        ]
        .into_iter()
        .filter_map(|n| Some((n, self.field(n)?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Links, OptionGroup, OptionKind, OptionSpec, Origin};

    const GROUP: OptionGroup = OptionGroup::new(
        "pager",
        &[OptionSpec::new("format", "x")
            .kind(OptionKind::Template)
            .default("{{ .failure.Name }}")],
    );

    fn failure() -> FailureRecord {
        let mut f = FailureRecord::new("web.1", "<web> & co", "TASK_FAILED", Timestamp::UNIX_EPOCH)
            .with_label("team", "core")
            .with_label("complainer_pager_token", "s3cr3t-token");
        f.exit_code = Some(3);
        f.healthy = Some(false);
        f
    }

    fn render(format: &str, markup: Markup, report: &Report) -> Rendered {
        let mut s = BackendSettings::new(GROUP);
        s.set(Origin::Flag, "format", format).unwrap();
        let t = MessageTemplates::compile(&s, "format", markup).unwrap();
        t.render(&s.instance("default"), report)
    }

    #[test]
    fn values_are_escaped_for_their_place_and_the_templates_own_text_is_not() {
        let r = Report::failure(failure());
        let format = "<b> {{ .failure.Name }} {{ raw .failure.Name }}";
        assert_eq!(
            render(format, Markup::Slack, &r).text,
            "<b> &lt;web&gt; &amp; co <web> & co"
        );
        assert_eq!(
            render(format, Markup::Plain, &r).text,
            "<b> <web> & co <web> & co"
        );
    }

    #[test]
    fn links_cannot_be_broken_out_of() {
        let r = Report::failure(failure())
            .with_links(Links::new("http://h/a|b> c?x=1&y=日", "javascript:x"));
        let t = render(
            "<{{ .stdoutURL }}|o> <{{ .stderrURL }}|e>",
            Markup::Slack,
            &r,
        )
        .text;
        assert_eq!(t, "<http://h/a%7Cb%3E%20c?x=1&amp;y=日|o> <|e>");
    }

    #[test]
    fn a_template_that_cannot_compile_says_where() {
        let mut s = BackendSettings::new(GROUP);
        s.set(Origin::Flag, "format", "a\n{{ .failure.Name")
            .unwrap();
        let e = MessageTemplates::compile(&s, "format", Markup::Plain).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Template);
        assert!(
            e.to_string().starts_with("pager.format: parse error at 2:"),
            "{e}"
        );
    }

    #[test]
    fn a_template_that_fails_does_not_lose_the_message() {
        let r = Report::failure(failure()).with_links(Links::new("http://h/o", ""));
        let out = render("x {{ .failure.Nope }}", Markup::Slack, &r);
        assert!(out.fault.is_some());
        assert!(out.text.starts_with("Task &lt;web&gt; &amp; co (web.1) died with status TASK_FAILED\n<http://h/o|stdout>\n(the template failed: pager.format: execute error at 1:"), "{}", out.text);
    }

    #[test]
    fn what_is_missing_is_said_if_the_template_would_have_shown_it() {
        let r =
            Report::failure(failure()).with_links(Links::missing("agent a:5051 does not answer"));
        assert_eq!(render("x", Markup::Slack, &r).text, "x");
        assert_eq!(
            render("x [{{ .stdoutURL }}]", Markup::Slack, &r).text,
            "x [] (no logs: agent a:5051 does not answer)"
        );
        assert_eq!(
            render("x\n  * {{ .stdoutURL }}{{ .nl }}", Markup::Plain, &r).text,
            "x\n  * \n  (no logs: agent a:5051 does not answer)\n"
        );
        assert_eq!(
            render("{{ .stdoutURL }}{{ .logsError }}", Markup::Plain, &r).text,
            "agent a:5051 does not answer"
        );
    }

    #[test]
    fn secrets_do_not_get_into_the_text() {
        let r = Report::failure(failure())
            .with_config(|k| {
                if k == "token" {
                    "s3cr3t-token".into()
                } else {
                    "@devs".into()
                }
            })
            .with_redactor(redact::Redactor::new(["in-a-message"]));
        let t = render("{{ .failure.Labels }} {{ config \"token\" }} {{ config \"m\" }} {{ print \"in-a-\" \"message\" }}", Markup::Plain, &r).text;
        assert_eq!(t, "map[complainer_pager_token:*** team:core] *** @devs ***");
    }

    /// A signed link names the key it was signed with, which is masked everywhere else.
    #[test]
    fn a_signed_link_works_though_it_holds_the_name_of_a_key() {
        let link =
            |log: &str| format!("https://store.example/{log}?AccessKeyId=AKEYnine9&Signature=x%2B");
        let r = Report::failure(failure())
            .with_links(Links::new(link("stdout"), link("stdout2")))
            .with_redactor(redact::Redactor::new(["AKEYnine9"]));
        let template =
            "AKEYnine9 [{{ .stdoutURL }}] AKEYnine9 <a href=\"{{ .stderrURL }}\">AKEYnine9</a>";
        for markup in [Markup::Plain, Markup::Slack, Markup::Html, Markup::Lines] {
            let text = render(template, markup, &r).text;
            let text = text.replace("&amp;", "&");
            let expected = format!(
                "*** [{}] *** <a href=\"{}\">***</a>",
                link("stdout"),
                link("stdout2")
            );
            assert_eq!(text, expected, "{markup:?}");
        }
    }

    #[test]
    fn fields_beyond_the_original_are_there() {
        let r = Report::failure(failure());
        let t = render("{{ .failure.ExitCode }} {{ .failure.Healthy }} {{ .failure.Attempt }} {{ len .failure.Owners }} {{ .failure.Started.IsZero }}", Markup::Plain, &r).text;
        assert_eq!(t, "3 false <no value> 0 true");
    }
}
