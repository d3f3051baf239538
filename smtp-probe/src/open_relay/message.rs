//! The one message that shows that a server relays.

use notifier_core::{
    Clock,
    jiff::{fmt::rfc2822, tz::TimeZone},
};

use super::{form::Form, names::Names};

/// A message that says what it is, to people and to programs that answer mail (RFC 3834).
pub(super) fn text(names: &Names, form: &Form, clock: &dyn Clock) -> String {
    let now = clock.now();
    let date = rfc2822::to_string(&now.to_zoned(TimeZone::UTC)).unwrap_or_default();
    let id = format!("{:016x}.{:016x}", now.as_millisecond(), fastrand::u64(..));
    let Names { stranger, host, .. } = names;
    let (victim, number) = (names.victim(), form.number);
    let lines = [
        format!("From: <{stranger}>"),
        format!("To: <{victim}>"),
        format!("Subject: test: {host} relays for strangers (form {number})"),
        format!("Date: {date}"),
        format!("Message-ID: <{id}@relay-test.example.org>"),
        "Auto-Submitted: auto-generated".to_owned(),
        "X-Auto-Response-Suppress: All".to_owned(),
        "Precedence: bulk".to_owned(),
        String::new(),
        format!("This is a test of the mail server {host}, made by who looks after it."),
        "That it was delivered shows that the server sends mail for strangers.".to_owned(),
        String::new(),
    ];
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use notifier_core::ManualClock;

    use super::*;
    use crate::open_relay::form;

    #[test]
    fn it_says_that_it_is_a_test_and_wants_no_answer() {
        let names = Names::example();
        let clock = ManualClock::new("2026-03-04T05:06:07Z".parse().unwrap());
        let text = text(&names, &form::plain(&names), &clock);
        for line in [
            "Subject: test: mx.own.test relays for strangers (form 1)\r\n",
            "Date: Wed, 4 Mar 2026 05:06:07 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "To: <victim@example.net>\r\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    }
}
