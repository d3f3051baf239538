//! What goes in is what a parser reads.

use mail_parser::{Addr, HeaderForm, MessageParser, MimeHeaders as _};
use proptest::prelude::*;

use super::{
    Mail,
    cases::{Case, any_case},
    support::{names, parse},
    wire,
};

/// Compares a mail with what it was made of; the first difference.
fn difference(case: &Case, mail: &Mail) -> Result<(), String> {
    let same = |what: &str, read: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
        let (read, wanted) = (format!("{read:?}"), format!("{wanted:?}"));
        if read == wanted {
            Ok(())
        } else {
            Err(format!("{what}: read {read}, wanted {wanted}"))
        }
    };
    same(
        "on the wire",
        &wire::fault(&mail.data, false),
        &None::<String>,
    )?;
    same("names", &names(mail), &case.names())?;
    let parsed = MessageParser::default()
        .parse(&mail.data)
        .ok_or("it cannot be parsed")?;
    let subject = parsed.subject().unwrap_or_default().trim();
    same("subject", &subject, &case.read_subject().trim())?;
    let to = Case::shown(&case.to, &[]);
    let cc = Case::shown(&case.cc, &case.to);
    let read = |list: Option<&mail_parser::Address<'_>>| -> Vec<(String, String)> {
        let list = list.into_iter().flat_map(|list| list.iter());
        list.map(person).collect()
    };
    same("to", &read(parsed.to()), &to)?;
    same("cc", &read(parsed.cc()), &cc)?;
    let extra = parsed.header_as("X-Extra", HeaderForm::Text);
    let extra: Vec<Option<&str>> = extra.iter().map(|value| value.as_text()).collect();
    same("extra", &extra, &[Some(&case.extra)])?;
    let lines = |text: &str| text.replace("\r\n", "\n");
    same(
        "body",
        &parsed.body_text(0).map(|t| lines(&t)),
        &Some(case.read_body()),
    )?;
    if let Some(html) = case.read_html() {
        same("html", &parsed.body_html(0).map(|t| lines(&t)), &Some(html))?;
    }
    let files: Vec<(String, Vec<u8>)> = parsed
        .attachments()
        .map(|part| {
            let name = part.attachment_name().unwrap_or_default().to_owned();
            let bytes = match part.text_contents() {
                Some(text) if part.is_text() => lines(text).into_bytes(),
                _ => part.contents().to_vec(),
            };
            (name, bytes)
        })
        .collect();
    let log = case.log.iter().filter(|log| !log.is_empty());
    let log: Vec<_> = log
        .map(|log| ("stdout.txt".to_owned(), log.clone()))
        .collect();
    same("files", &files, &log)
}

fn person(addr: &Addr<'_>) -> (String, String) {
    let text =
        |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    (text(&addr.name), text(&addr.address))
}

// This parser takes a quoted `(` before an @ for a comment; Python's takes it for what it is.
proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_mail_reads_back_as_what_it_was_made_of(case in any_case(false)) {
        let mail = case.mail();
        if let Err(difference) = difference(&case, &mail) {
            return Err(TestCaseError::fail(difference));
        }
    }
}

/// A mail, and how it is broken.
fn broken(change: impl Fn(String) -> String) -> Result<(), String> {
    let case = Case {
        subject: "Grüße".to_owned(),
        body: "a body\n".to_owned(),
        html: false,
        to: vec![("Jürgen".to_owned(), "a@b.example".to_owned())],
        cc: Vec::new(),
        extra: "core".to_owned(),
        log: None,
    };
    let mut mail = case.mail();
    difference(&case, &mail).unwrap();
    let data = String::from_utf8(mail.data).unwrap();
    mail.data = change(data.clone()).into_bytes();
    assert_ne!(mail.data, data.into_bytes(), "nothing was broken");
    difference(&case, &mail)
}

#[test]
fn broken_mails_are_seen() {
    let replaced = |from: &'static str, to: &'static str| {
        broken(move |data| data.replacen(from, to, 1)).unwrap_err()
    };
    for (from, to, what) in [
        ("Subject: ", "Bcc: x@y\r\nSubject: ", "names"),
        ("MIME-Version: 1.0\r\n", "", "names"),
        ("=C3=BC", "=C3=C3", "subject"),
        ("<a@b.example>", "<a@c.example>", "to"),
        ("X-Extra: core", "X-Extra: core\r\n more", "extra"),
        ("a body\r\n", "a body\r\n\r\n", "body"),
        ("a body\r\n", "a body\n", "on the wire"),
        ("a body", "a\rbody", "on the wire"),
        ("a body", "ä body", "on the wire"),
        ("7bit\r\n\r\n", "7bit\r\n", "names"),
    ] {
        let e = replaced(from, to);
        assert!(e.starts_with(what) || e.starts_with("to"), "{from:?}: {e}");
    }
}

#[test]
fn an_address_in_utf8_reads_back() {
    let case = Case {
        subject: "Grüße".to_owned(),
        body: "x\n".to_owned(),
        html: false,
        to: vec![("Jürgen".to_owned(), "jürgen@b.example".to_owned())],
        cc: Vec::new(),
        extra: "y".to_owned(),
        log: None,
    };
    let mail = case.mail();
    assert!(mail.needs_utf8);
    assert!(wire::fault(&mail.data, false).is_some());
    let parsed = parse(&mail);
    let to: Vec<_> = parsed.to().unwrap().iter().map(person).collect();
    assert_eq!(to, case.to);
}

#[test]
fn what_was_sent_first_and_again_is_the_same() {
    let case = Case {
        subject: "x".to_owned(),
        body: "ä".to_owned(),
        html: true,
        to: vec![(String::new(), "a@b.example".to_owned())],
        cc: Vec::new(),
        extra: "y".to_owned(),
        log: Some(b"\xff".to_vec()),
    };
    assert_eq!(case.mail().data, case.mail().data);
    assert!(parse(&case.mail()).attachment_count() == 1);
}
