//! Reports with anything in them, and what a reader of their mails has to find.

use std::sync::Arc;

use async_trait::async_trait;
use notifier_core::{FailureRecord, LogReader, LogTail, Markup, Report, Result, render_once};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    Mail,
    support::{compose, nightly},
};
use crate::address::{Address, quoted};

const HTML: &str = "<p title=\"{{ .failure.Reason }}\">{{ .failure.Reason }}</p>";

/// What a mail is made of.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) subject: String,
    pub(super) body: String,
    /// With an HTML form of the body.
    pub(super) html: bool,
    /// Names and addresses.
    pub(super) to: Vec<(String, String)>,
    pub(super) cc: Vec<(String, String)>,
    /// A header of a person's own.
    pub(super) extra: String,
    /// The log `stdout`.
    pub(super) log: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Log(Vec<u8>);

#[async_trait]
impl LogReader for Log {
    async fn tail(&self, name: &str, _: usize) -> Result<Option<LogTail>> {
        Ok((name == "stdout").then(|| LogTail::new(self.0.clone(), false)))
    }
}

impl Case {
    pub(super) fn report(&self) -> Report {
        let mut failure: FailureRecord = nightly();
        failure.message = Some(self.subject.clone());
        failure.reason = Some(self.body.clone());
        let report = Report::failure(failure);
        match &self.log {
            Some(log) => report.with_logs(Arc::new(Log(log.clone()))),
            None => report,
        }
    }

    pub(super) fn mail(&self) -> Mail {
        let list = |list: &[(String, String)]| -> String {
            let list = list
                .iter()
                .map(|(name, address)| format!("{} <{address}>", quoted(name)));
            list.collect::<Vec<_>>().join(", ")
        };
        let (to, cc) = (list(&self.to), list(&self.cc));
        let extra = format!("X-Extra: {}", self.extra);
        let mut values = vec![
            ("subject", "{{ .failure.Message }}"),
            ("format", "{{ .failure.Reason }}"),
            ("to", &to),
            ("cc", &cc),
            ("headers", &extra),
            ("attach", "stdout"),
        ];
        if self.html {
            values.push(("html_format", HTML));
        }
        compose(&self.report(), &values).unwrap()
    }

    /// The subject as it is to be read, but for blanks around it, which are of no account.
    pub(super) fn read_subject(&self) -> String {
        let line = |text: &str| -> String {
            let text = text.trim_end_matches(['\r', '\n']).replace("\r\n", " ");
            let seen = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            text.replace(seen, " ")
        };
        let subject = line(&self.subject);
        let subject = if subject.trim().is_empty() {
            line(&self.report().summary())
        } else {
            subject
        };
        match subject.char_indices().nth(400) {
            Some((at, _)) => format!("{}…", &subject[..at]),
            None => subject,
        }
    }

    /// The text as it is to be read.
    pub(super) fn read_body(&self) -> String {
        if self.body.trim().is_empty() {
            format!("{}\n", self.report().summary())
        } else {
            self.body.clone()
        }
    }

    /// The HTML as it is to be read.
    pub(super) fn read_html(&self) -> Option<String> {
        let html = || render_once(HTML, Markup::Html, &self.report()).unwrap();
        self.html.then(html)
    }

    /// The names of the header fields as they have to be.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["Date", "From", "To"];
        names.extend((!Self::shown(&self.cc, &self.to).is_empty()).then_some("Cc"));
        names.extend([
            "Subject",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Auto-Submitted",
            "X-Auto-Response-Suppress",
            "X-Extra",
            "MIME-Version",
            "Content-Type",
        ]);
        let is_one_part = !self.html && self.log.as_ref().is_none_or(Vec::is_empty);
        names.extend(is_one_part.then_some("Content-Transfer-Encoding"));
        names
    }

    /// Names and addresses as they are to be read, nobody twice.
    pub(super) fn shown(
        list: &[(String, String)],
        others: &[(String, String)],
    ) -> Vec<(String, String)> {
        let mut seen: Vec<&str> = others.iter().map(|(_, address)| address.as_str()).collect();
        let mut out = Vec::new();
        for (name, address) in list {
            if !seen.contains(&address.as_str()) {
                seen.push(address);
                let name = name.replace(['\u{2028}', '\u{2029}'], " ");
                out.push((name.trim().to_owned(), address.clone()));
            }
        }
        out
    }
}

/// Texts of what tends to go wrong, and of anything.
fn text() -> impl Strategy<Value = String> {
    const NASTY: &[&str] = &[
        "\n",
        "\r",
        "\r\n",
        "\n.\n",
        "\n..",
        "\nFrom ",
        "\n\n",
        "\t",
        " ",
        "  ",
        " \n",
        "\t\n",
        "\0",
        "\x1b[31m",
        "=",
        "=\n",
        "=3D",
        "=?utf-8?q?a?=",
        "?=",
        "--",
        "=_0123456789abcdef0123456789abcdefa",
        "Bcc: x@y\r\n",
        "\r\n\r\n",
        "ä",
        "日本語",
        "😀",
        "\u{202e}",
        "\u{2028}",
        "\u{feff}",
        "\u{fffd}",
        "a",
        "word",
        "job 'x'",
        ",",
        "\"",
        "\\",
        "<a@b>",
        "(c)",
        ";",
        ":",
        "&amp;",
        "\u{85}",
        "\u{7f}",
    ];
    let piece = prop_oneof![
        6 => select(NASTY).prop_map(str::to_owned),
        2 => "[ -~]{0,20}",
        1 => any::<String>(),
        1 => (select(vec!["x", "é", "日", "a b "]), 1..400_usize).prop_map(|(s, n)| s.repeat(n)),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Names without controls: an address with those is refused.
fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| {
        let name = text.chars().filter(|c| !c.is_control());
        name.take(120).collect()
    })
}

fn address(may_be_quoted: bool) -> impl Strategy<Value = String> {
    let local = prop_oneof![
        3 => "[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\\.[a-z0-9+_-]{1,20}){0,2}",
        u32::from(may_be_quoted) => "[ -~]{1,30}".prop_map(|text| quoted(&text)),
    ];
    let domain = prop_oneof![
        "[a-z0-9]{1,20}(-[a-z0-9]{1,20})?(\\.[a-z]{2,10}){0,3}",
        Just("xn--bcher-kva.example".to_owned()),
        Just("[192.0.2.1]".to_owned()),
    ];
    (local, domain).prop_map(|(local, domain)| {
        let whole = format!("{local}@{domain}");
        // In the form that is written.
        Address::read(&whole).map_or_else(|_| "a@b".to_owned(), |a| a.to_string())
    })
}

/// The value of a header of a person's own: one line that begins and ends with no blank, and
/// holds no encoded word of its own.
fn value() -> impl Strategy<Value = String> {
    text().prop_map(|text| {
        let line: String = text.chars().filter(|c| !c.is_control()).collect();
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = words.join(" ").replace("=?", "=");
        if line.is_empty() {
            "x".to_owned()
        } else {
            line
        }
    })
}

/// Anything; with quotes before an @ if they may be there.
pub(super) fn any_case(quotes: bool) -> impl Strategy<Value = Case> {
    let people = move || (name(), address(quotes));
    let log = prop_oneof![
        text().prop_map(String::into_bytes),
        vec(any::<u8>(), 0..300)
    ];
    (
        text(),
        text(),
        any::<bool>(),
        vec(people(), 1..4),
        vec(people(), 0..3),
        value(),
        proptest::option::of(log),
    )
        .prop_map(|(subject, body, html, to, cc, extra, log)| Case {
            subject,
            body,
            html,
            to,
            cc,
            extra,
            log,
        })
}
