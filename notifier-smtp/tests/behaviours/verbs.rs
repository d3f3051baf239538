//! At each verb: 421, 4yz, 5yz, silence, and each way for a connection to end.

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::outcome::Want;
use crate::rig::table;
use crate::row::{PASSWORD, Row, USER, certificates};

/// The rows of one verb. `cut` is the verdict on a link that ends there.
fn rows(
    verb: Verb,
    transient: (&str, Want),
    permanent: (&str, Want),
    cut: Want,
    script: impl Fn() -> Script,
    adapt: impl Fn(Row) -> Row,
) -> Vec<Row> {
    let at = |action: Action, name: &str| {
        let row = Row::new(format!("{verb:?}: {name}"), script().on(verb, action));
        adapt(row)
    };
    let closing = "421 4.3.2 relay.example shuts down";
    let mut rows = vec![
        at(Action::reply_then_cut(closing), "421 and closed")
            .all(Want::Retry)
            .says("421 4.3.2"),
        at(Action::reply(closing), "421 and left open")
            .all(Want::Retry)
            .says("421 4.3.2"),
        at(transient.0.into(), transient.0).all(transient.1),
        at(permanent.0.into(), permanent.0).all(permanent.1),
        at(Action::Cut, "closed")
            .all(cut)
            .says("closed the connection"),
        at(Action::Reset, "reset").all(cut),
        at(Action::HalfClose, "half closed")
            .all(cut)
            .says("closed the connection"),
        at("what do you want?".into(), "a line without a code")
            .all(cut)
            .says("without a code"),
    ];
    let stall = at(Action::Stall, "silence").all(cut).says("silent");
    rows.push(if verb == Verb::Body {
        stall.set("final_timeout", "1s")
    } else {
        stall.hasty()
    });
    rows
}

const LATER: (&str, Want) = ("451 4.3.0 local error", Want::Retry);

#[tokio::test]
async fn connections() {
    let refused = ("554 5.7.1 no service", Want::Retry);
    let all = rows(
        Verb::Connect,
        LATER,
        refused,
        Want::Retry,
        Script::new,
        |row| row,
    );
    table("the connection", all).await;
}

#[tokio::test]
async fn ehlo() {
    let refused = (
        "504 5.5.2 need fully-qualified hostname",
        Want::DeadDestination,
    );
    let script = || Script::new().on(Verb::Helo, "504 5.5.2 need fully-qualified hostname");
    let all = rows(Verb::Ehlo, LATER, refused, Want::Retry, script, |row| row);
    table("EHLO", all).await;
}

#[tokio::test]
async fn starttls() {
    let later = (
        "454 4.7.0 TLS not available due to local problem",
        Want::Retry,
    );
    let refused = ("501 5.5.4 no parameters allowed", Want::Retry);
    let script = || Script::new().certificate(certificates().valid());
    let all = rows(Verb::StartTls, later, refused, Want::Retry, script, |row| {
        row.tls("required").got("EHLO STARTTLS")
    });
    table("STARTTLS", all).await;
}

#[tokio::test]
async fn auth() {
    let later = ("454 4.7.0 temporary authentication failure", Want::Retry);
    let refused = ("535 5.7.8 bad login", Want::DeadDestination);
    let script = || {
        Script::new()
            .certificate(certificates().valid())
            .login(USER, PASSWORD)
    };
    let all = rows(Verb::Auth, later, refused, Want::Retry, script, |row| {
        row.tls("required").login().got("EHLO STARTTLS EHLO AUTH")
    });
    table("AUTH", all).await;
}

#[tokio::test]
async fn mail() {
    let refused = ("550 5.7.1 sender refused", Want::Dead);
    let all = rows(
        Verb::Mail,
        LATER,
        refused,
        Want::Retry,
        Script::new,
        |row| row,
    );
    table("MAIL", all).await;
}

#[tokio::test]
async fn rcpt() {
    let later = ("451 4.3.0 local error", Want::After(60));
    let refused = ("550 5.1.1 user unknown", Want::Dead);
    let all = rows(
        Verb::Rcpt,
        later,
        refused,
        Want::Retry,
        Script::new,
        |row| row,
    );
    table("RCPT", all).await;
}

#[tokio::test]
async fn data() {
    let refused = ("554 5.7.1 no mail from you", Want::Dead);
    let all = rows(
        Verb::Data,
        LATER,
        refused,
        Want::Retry,
        Script::new,
        |row| row,
    );
    table("DATA", all).await;
}

#[tokio::test]
async fn dot() {
    let refused = ("554 5.6.0 content refused", Want::Dead);
    let all = rows(
        Verb::Body,
        LATER,
        refused,
        Want::Ambiguous,
        Script::new,
        |row| row.got("EHLO MAIL RCPT DATA ."),
    );
    table("the dot", all).await;
}
