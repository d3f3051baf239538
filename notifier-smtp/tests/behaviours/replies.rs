//! Replies in forms that are legal and forms that are not.

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::Row;

const WHOLE: &str = "EHLO MAIL RCPT DATA .";

#[tokio::test]
async fn legal_forms() {
    let good = |name: &str, script| Row::new(name, script).all(Want::Delivered).got(WHOLE);
    let split = || Action::Split(String::new());
    let lines = "250-2.1.0 Ok\n250-2.1.0 in\n250 2.1.0 three lines";
    table(
        "legal replies",
        vec![
            good(
                "in single bytes",
                Script::new()
                    .on(Verb::Ehlo, split())
                    .on(Verb::Mail, split())
                    .on(Verb::Rcpt, split())
                    .on(Verb::Data, split())
                    .on(Verb::Body, split()),
            ),
            good(
                "of three lines",
                Script::new().on(Verb::Mail, lines).on(Verb::Rcpt, lines),
            ),
            good(
                "of three lines, to the dot",
                Script::new().on(Verb::Body, lines),
            ),
            good(
                "a code alone",
                Script::new().on(Verb::Mail, "250").on(Verb::Body, "250"),
            ),
            good(
                "no space after the code, an end without CR",
                Script::new().on(Verb::Mail, Action::Bytes(b"250 ok\n".to_vec())),
            ),
            good(
                "8-bit octets in the text",
                Script::new().on(Verb::Mail, Action::Bytes(b"250 caf\xe9 \xff\r\n".to_vec())),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn illegal_forms() {
    let mut endless = b"250 ".to_vec();
    endless.resize(1 << 20, b'x');
    let mut many = Vec::new();
    for _ in 0..10_000 {
        many.extend_from_slice(b"250-more\r\n");
    }
    // With how many mails the relay has that answers so after the dot.
    let bad = [
        ("a line of 1 MB without an end", Action::Bytes(endless), 1),
        ("10 000 lines", Action::Bytes(many), 1),
        ("two codes in one reply", "250-one\n550 two".into(), 1),
        ("a code of two digits", "25 ok".into(), 0),
        ("a code beyond 5yz", "650 what?".into(), 0),
        ("an empty line", Action::Bytes(b"\r\n".to_vec()), 0),
        ("NUL", Action::Bytes(b"\0\0\0\0\r\n".to_vec()), 0),
        ("354 where 250 was due", "354 go on".into(), 0),
    ];
    let mut rows = Vec::new();
    for (name, action, kept) in bad {
        let at_mail = Script::new().on(Verb::Mail, action.clone());
        rows.push(Row::new(format!("{name}, to MAIL"), at_mail).all(Want::Retry));
        let at_dot = Script::new().on(Verb::Body, action);
        let at_dot = Row::new(format!("{name}, to the dot"), at_dot);
        rows.push(at_dot.all(Want::Ambiguous).kept(kept).got(WHOLE));
    }
    let half = || Action::Bytes(b"250 o".to_vec());
    rows.push(
        Row::new("half a line, to MAIL", Script::new().on(Verb::Mail, half()))
            .hasty()
            .all(Want::Retry),
    );
    rows.push(
        Row::new(
            "half a line, to the dot",
            Script::new().on(Verb::Body, half()),
        )
        .set("final_timeout", "1s")
        .all(Want::Ambiguous)
        .kept(1)
        .got(WHOLE),
    );
    table("illegal replies", rows).await;
}
