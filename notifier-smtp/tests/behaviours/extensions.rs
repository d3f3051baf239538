//! Extensions that are not offered.

use notifier_testkit::smtp::{ReceivedMail, Script, Verb};

use crate::outcome::{Outcome, Want};
use crate::rig::table;
use crate::row::{A, B, Row};

type Checked = Result<(), String>;

fn without(parameter: &'static str) -> impl Fn(&[ReceivedMail], &Outcome) -> Checked + Send + Sync {
    move |mails, _| {
        let mut said = mails.iter().map(|mail| &mail.from_parameters);
        match said.find(|parameters| parameters.contains(parameter)) {
            None => Ok(()),
            Some(parameters) => Err(format!("MAIL said {parameters}")),
        }
    }
}

fn ascii(mails: &[ReceivedMail], _: &Outcome) -> Checked {
    match mails.iter().all(|mail| mail.data.is_ascii()) {
        true => Ok(()),
        false => Err("8-bit octets".to_owned()),
    }
}

#[tokio::test]
async fn extensions() {
    let whole = "EHLO MAIL RCPT DATA .";
    let row = |name: &str, script: Script| Row::new(name, script).all(Want::Delivered).got(whole);
    let text = "caf\u{e9} {{ .failure.Name }}";
    table(
        "extensions",
        vec![
            row("none at all", Script::new().extensions(&[]).without("SIZE"))
                .check(without("SIZE"))
                .check(without("BODY")),
            row("no PIPELINING", Script::new().without("PIPELINING")),
            row(
                "no 8BITMIME, and a text of 8 bits",
                Script::new().without("8BITMIME"),
            )
            .set("format", text)
            .check(without("BODY"))
            .check(ascii),
            row("8BITMIME, and a text of 8 bits", Script::new()).set("format", text),
            row("a subject of 8 bits", Script::new())
                .set("subject", text)
                .check(ascii),
            row(
                "extensions in small letters",
                Script::new().extensions(&["pipelining", "8bitmime"]),
            ),
            row(
                "extensions that nobody knows",
                Script::new().extensions(&["X-FOO", "CHUNKING", "XCLIENT NAME"]),
            ),
            row("SIZE 0 is no limit", Script::new().size(0)),
            row(
                "SIZE is too small for all of a log",
                Script::new().size(20_000),
            )
            .logs(200_000)
            .check(|mails, _| match mails[0].data.len() {
                10_000..=20_000 => Ok(()),
                n => Err(format!("{n} octets")),
            }),
            Row::new("SIZE is too small for anything", Script::new().size(100)).all(Want::Dead),
            Row::new(
                "552 5.3.4 at MAIL",
                Script::new().on(Verb::Mail, "552 5.3.4 message too large"),
            )
            .all(Want::Dead)
            .says("552 5.3.4"),
            Row::new(
                "552 after the dot",
                Script::new().on(Verb::Body, "552 5.3.4 message too large"),
            )
            .all(Want::Dead)
            .says("552 5.3.4"),
        ],
    )
    .await;
}

/// The text arrives as it was written, whatever was done to it on its way.
fn reads(text: &str) -> impl Fn(&[ReceivedMail], &Outcome) -> Checked + Send + Sync + use<> {
    let wanted = text.to_owned();
    move |mails, _| {
        let parsed = mail_parser::MessageParser::default().parse(&mails[0].data);
        let text = parsed.as_ref().and_then(|mail| mail.body_text(0));
        let text = text.unwrap_or_default().replace("\r\n", "\n");
        match text.trim_end() == wanted.trim_end() {
            true => Ok(()),
            false => Err(format!("the text reads {text:?}")),
        }
    }
}

#[tokio::test]
async fn texts_that_must_not_go_as_they_are() {
    let row = |name: &str, script: Script, text: &str| {
        Row::new(name, script)
            .set("format", text)
            .all(Want::Delivered)
            .check(reads(text))
    };
    let plain = || Script::new().without("8BITMIME");
    let long = "0123456789".repeat(500);
    let wide = "\u{65e5}\u{672c}".repeat(600);
    let dots = ".\n..\n.hidden\nand a . within\n.";
    table(
        "texts",
        vec![
            row("a line of 5000 octets", Script::new(), &long),
            row("a line of 5000 octets, no 8BITMIME", plain(), &long),
            row("a line of 3600 octets of 8 bits", Script::new(), &wide),
            row(
                "a line of 3600 octets of 8 bits, no 8BITMIME",
                plain(),
                &wide,
            )
            .check(ascii),
            row("lines that begin with dots", Script::new(), dots),
            row(
                "lines that begin with dots, no PIPELINING",
                Script::new().without("PIPELINING"),
                dots,
            ),
            row(
                "blanks at the ends of lines",
                Script::new(),
                "one \ntwo\t\nthree",
            ),
            row(
                "a line that is the start of a header",
                Script::new(),
                "From here\nSubject: none\n\nBcc: x@y",
            ),
            Row::new("a subject of 3000 octets", Script::new())
                .set("subject", "word ".repeat(600))
                .all(Want::Delivered),
            Row::new("a subject of 3000 octets without a space", Script::new())
                .set("subject", "0123456789".repeat(300))
                .all(Want::Delivered),
            Row::new("NUL and other controls in the text", Script::new())
                .set("format", "a\u{0}b\u{1b}[31mc\u{7f}")
                .all(Want::Delivered)
                .check(|mails, _| match mails[0].data.contains(&0) {
                    true => Err("a NUL went out".to_owned()),
                    false => Ok(()),
                }),
        ],
    )
    .await;
}

#[tokio::test]
async fn addresses_beyond_ascii() {
    const LOCAL: &str = "j\u{f6}rg@dest.example";
    const DOMAIN: &str = "a@b\u{fc}cher.example";
    const CODED: &str = "a@xn--bcher-kva.example";
    table(
        "addresses",
        vec![
            Row::new("SMTPUTF8, a local part that is not ASCII", Script::new())
                .each(&[(LOCAL, Want::Delivered)]),
            Row::new(
                "no SMTPUTF8, a local part that is not ASCII",
                Script::new().without("SMTPUTF8"),
            )
            .each(&[(LOCAL, Want::Dead), (A, Want::Delivered)])
            .check(without("SMTPUTF8")),
            Row::new(
                "no SMTPUTF8, a domain that is not ASCII",
                Script::new().without("SMTPUTF8"),
            )
            .each(&[(CODED, Want::Delivered), (B, Want::Delivered)])
            .to(&[DOMAIN, B])
            .check(without("SMTPUTF8"))
            .check(|mails, _| {
                match mails.iter().any(|mail| mail.to().contains(&CODED)) {
                    true => Ok(()),
                    false => Err(format!("{CODED} is not among {:?}", mails[0].to())),
                }
            }),
            Row::new("SMTPUTF8 is not said where nothing needs it", Script::new())
                .all(Want::Delivered)
                .check(without("SMTPUTF8")),
        ],
    )
    .await;
}
