use super::*;
use crate::rig::reply;

fn who() -> Who {
    Who::new("relay:587", Redactor::new(["s3cr3t-word"]))
}

fn rcpt() -> Step {
    Step::Rcpt("a@b".to_owned())
}

fn mail() -> Step {
    Step::Mail("f@b".to_owned())
}

#[test]
fn the_table() {
    use ErrorKind as K;
    use Scope::{Destination as D, Message as M, Target as T};
    let never = Retry::Never;
    let later = Retry::Later { after: None };
    let after = |s| Retry::Later {
        after: Some(Duration::from_secs(s)),
    };
    for (step, line, kind, retry, scope) in [
        (
            Step::Banner,
            "421 4.7.0 too many connections",
            K::RateLimited,
            later,
            M,
        ),
        (
            Step::Banner,
            "421 try again in 5 minutes",
            K::RateLimited,
            after(300),
            M,
        ),
        (Step::Banner, "450 busy", K::Unavailable, later, M),
        (Step::Banner, "554 5.7.1 no", K::Unavailable, later, M),
        (Step::Banner, "521 none here", K::Unavailable, later, M),
        (Step::Ehlo, "554 not now", K::Unavailable, later, M),
        (
            Step::Ehlo,
            "504 5.5.2 need a full name",
            K::Config,
            never,
            D,
        ),
        (Step::Ehlo, "421 bye", K::Unavailable, later, M),
        (
            Step::StartTls,
            "454 4.7.0 no TLS now",
            K::Unavailable,
            later,
            M,
        ),
        (Step::StartTls, "502 no", K::Unavailable, later, M),
        (Step::Auth, "535 5.7.8 no", K::Unauthenticated, never, D),
        (Step::Auth, "550 5.7.1 no", K::Unauthenticated, never, D),
        (Step::Auth, "454 4.7.0 later", K::Unavailable, later, M),
        (Step::Auth, "421 4.3.0 bye", K::Unavailable, later, M),
        (Step::Auth, "534 5.7.9 no", K::Config, never, D),
        (Step::Auth, "538 5.7.11 no", K::Config, never, D),
        (Step::Auth, "502 5.5.1 no", K::Config, never, D),
        (Step::Auth, "503 5.5.1 no", K::Config, never, D),
        (mail(), "530 5.7.0 log in", K::Config, never, D),
        (mail(), "535 5.7.8 no", K::Unauthenticated, never, D),
        (mail(), "450 4.7.1 too much mail", K::RateLimited, later, M),
        (mail(), "451 4.3.0 no", K::Unavailable, later, M),
        (mail(), "452 4.3.1 disk", K::Unavailable, later, M),
        (mail(), "552 5.3.4 large", K::TooLarge, never, M),
        (mail(), "552 large", K::TooLarge, never, M),
        (mail(), "554 5.7.1 no", K::PermissionDenied, never, M),
        (mail(), "503 5.5.1 nested", K::Rejected, never, M),
        (mail(), "555 what", K::Rejected, never, M),
        (rcpt(), "550 5.1.1 <helo@b>: nobody", K::Rejected, never, T),
        (rcpt(), "550 5.1.1 nobody", K::Rejected, never, T),
        (
            rcpt(),
            "554 5.7.1 relay access denied",
            K::PermissionDenied,
            never,
            T,
        ),
        (rcpt(), "556 5.1.10 null MX", K::Rejected, never, T),
        (
            rcpt(),
            "504 5.5.2 <x>: Helo command rejected",
            K::Config,
            never,
            D,
        ),
        (rcpt(), "552 5.2.2 full", K::Unavailable, after(60), T),
        (rcpt(), "552 too many", K::Unavailable, after(60), T),
        (rcpt(), "552 5.3.4 large", K::TooLarge, never, T),
        (rcpt(), "452 4.2.2 full", K::Unavailable, after(60), T),
        (rcpt(), "450 4.2.0 Greylisted", K::RateLimited, after(60), T),
        (
            rcpt(),
            "451 4.7.1 try again in 300 seconds",
            K::RateLimited,
            after(300),
            T,
        ),
        (rcpt(), "421 4.3.2 bye", K::Unavailable, later, M),
        (rcpt(), "530 5.7.0 log in", K::Config, never, D),
        (Step::Data, "451 no", K::Unavailable, later, M),
        (Step::Data, "554 5.5.1 no", K::Rejected, never, M),
        (Step::Body, "451 4.3.0 no", K::Unavailable, later, M),
        (Step::Body, "421 4.3.0 bye", K::Unavailable, later, M),
        (Step::Body, "552 5.2.3 large", K::TooLarge, never, M),
        (Step::Body, "554 5.6.0 no", K::Rejected, never, M),
        (Step::Body, "550 5.7.1 spam", K::PermissionDenied, never, M),
    ] {
        let f = who().refused(&step, &reply(line));
        let name = format!("{line} to {step}: {f:?}");
        assert_eq!((f.kind, f.retry, f.scope), (kind, retry, scope), "{name}");
        assert_eq!(f.delivery, Delivery::NotDelivered, "{name}");
        assert!(f.code.is_some_and(|c| line.starts_with(&c)), "{name}");
    }
}

#[test]
fn a_later_attempt_waits_longer() {
    let mut who = who();
    who.set_attempt(3);
    let f = who.refused(&rcpt(), &reply("450 4.2.1 no"));
    assert_eq!(
        f.retry,
        Retry::Later {
            after: Some(Duration::from_secs(300))
        }
    );
}

#[test]
fn texts_are_one_line_without_secrets() {
    let f = who().refused(&rcpt(), &reply("550 5.1.1 User unknown"));
    assert_eq!(
        f.text,
        "relay:587 answered 550 5.1.1 to RCPT TO:<a@b>: User unknown"
    );
    let long = format!("550 \u{1b}[31m s3cr3t-word \u{202e}{}", "x".repeat(900));
    let f = who().refused(&rcpt(), &reply(&long));
    assert!(
        f.text.contains("\\u{1b}[31m *** \\u{202e}xxx"),
        "{}",
        f.text
    );
    assert!(
        f.text.chars().count() < 270 && f.text.ends_with("x…"),
        "{}",
        f.text
    );
    assert_eq!(
        who().refused(&Step::Data, &reply("451")).text,
        "relay:587 answered 451 to DATA"
    );
}

#[test]
fn a_connection_that_fails_is_a_double_only_after_the_dot() {
    for fault in [
        Fault::Closed,
        Fault::Stalled(Duration::from_millis(1500)),
        Fault::Broken("reset".to_owned()),
        Fault::Malformed("a reply without a code".to_owned()),
    ] {
        let before = who().broken(&Step::Data, &fault);
        assert_eq!(before.delivery, Delivery::NotDelivered);
        let after = who().lost(&fault);
        assert_eq!(after.delivery, Delivery::Unknown);
        for f in [before, after] {
            assert!(f.error().is_retryable() && !f.text.contains('\n'), "{f:?}");
        }
    }
    let f = who().broken(&Step::Data, &Fault::Stalled(Duration::from_millis(1500)));
    assert_eq!(f.text, "relay:587 was silent for 1.5s at DATA");
    assert_eq!(
        who().lost(&Fault::Closed).retry,
        Retry::Later {
            after: Some(Duration::from_secs(60))
        }
    );
    assert_eq!(
        who().lost(&Fault::Closed).text,
        "relay:587 closed the connection at the message, and may have taken it"
    );
}
