//! Where a canary stopped that the relay took and that did not come.

use super::hop::prefix;
use crate::report::Class;

/// A message that waits in the relay's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// `incoming`, `active`, `deferred`, `hold`, `maildrop`.
    pub(crate) queue: String,
    /// Why the last try did not work; none was made yet if unset.
    pub(crate) reason: Option<String>,
}

/// What the queue says of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// No queue is set.
    NoQueue,
    /// The relay did not say under which id it has it.
    NoId,
    /// The queue cannot be looked into, and why not.
    Unseen(String),
    /// It is no more there.
    Gone,
    Waiting(Waiting),
}

/// The place in words, the kind of fault, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// For programs: `deferred`, `incoming`, `active`, `hold`, `left`, `unknown`.
    pub(crate) stopped_at: String,
    pub(crate) class: Class,
    pub(crate) text: String,
    pub(crate) hint: String,
}

/// Judges. `relay` is what the target is called, `id` the queue's id.
pub(crate) fn judge(seen: &Seen, relay: &str, id: Option<&str>, has_sender: bool) -> Verdict {
    let named = match id {
        Some(id) => format!("{relay} took it as {id}"),
        None => format!("{relay} took it"),
    };
    let verdict = |stopped_at: &str, class, text: String, hint: &str| Verdict {
        stopped_at: stopped_at.to_owned(),
        class,
        text,
        hint: hint.to_owned(),
    };
    match seen {
        Seen::NoQueue => verdict(
            "unknown",
            Class::Timeout,
            format!("{named}, and it never came"),
            "set --queue to the relay's queue or showq socket, so that the hop where it stopped is found",
        ),
        Seen::NoId => verdict(
            "unknown",
            Class::Timeout,
            format!("{named} without saying an id, and it never came"),
            "look for the recipient in the relay's log",
        ),
        Seen::Unseen(why) => verdict(
            "unknown",
            Class::Timeout,
            format!("{named}, and it never came; the queue cannot be looked into: {why}"),
            "let this user look into the queue, so that the hop where it stopped is found",
        ),
        Seen::Gone => {
            let hint = match has_sender {
                true => {
                    "look for this id in the relay's log, then at the next hop and the mailbox it delivers to"
                }
                false => {
                    "look for this id in the relay's log, then at the next hop; a null sender gets no bounce: set --from to an address of the same mailbox"
                }
            };
            verdict(
                "left",
                Class::Timeout,
                format!("{named}; it left the relay's queue, and never came"),
                hint,
            )
        }
        Seen::Waiting(waiting) => wait(waiting, &named),
    }
}

fn wait(waiting: &Waiting, named: &str) -> Verdict {
    let queue = waiting.queue.as_str();
    let why = waiting.reason.as_deref().map(|r| prefix(r.trim(), 400));
    let (class, state, hint) = match (queue, why) {
        ("hold", _) => (
            Class::Local,
            "is held".to_owned(),
            "look why it is held (header_checks, a milter, postsuper -h), and release it with postsuper -H".to_owned(),
        ),
        (_, Some(why)) => {
            let (class, hint) = cause(why);
            (class, format!("is {queue}: {why}"), hint)
        }
        ("active", None) => (
            Class::Timeout,
            "is active, and no try has ended: the queue manager does not move it, or the next hop does not answer".to_owned(),
            "is qmgr alive, and does the next hop answer? See the relay's log and its delivery agents".to_owned(),
        ),
        ("deferred", None) => (
            Class::Timeout,
            "is deferred without a reason".to_owned(),
            "look for this id in the relay's log".to_owned(),
        ),
        ("maildrop", None) => (
            Class::Timeout,
            "is in maildrop: nothing picks it up".to_owned(),
            "is the relay's pickup alive? See the relay's log".to_owned(),
        ),
        (_, None) => (
            Class::Timeout,
            format!("is {queue}: the queue manager does not move it"),
            "is qmgr alive? It takes messages, and delivers none: see the relay's log, and restart Postfix".to_owned(),
        ),
    };
    Verdict {
        stopped_at: queue.to_owned(),
        class,
        text: format!("{named}, where it {state}"),
        hint,
    }
}

/// The kind of fault by Postfix' words for it, or the next server's.
fn cause(why: &str) -> (Class, String) {
    let lower = why.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    let next = next_hop(why).map_or_else(
        || "the next hop".to_owned(),
        |n| format!("the next hop {n}"),
    );
    if has(&["certificate", "not trusted", "untrusted"]) {
        let hint = format!(
            "mend the certificate of {next}: its dates, its name and its authority as the relay checks them"
        );
        (Class::Cert, hint)
    } else if has(&["sasl", "authentication failed", "said: 535"]) {
        let hint = format!("mend the relay's login at {next}: see smtp_sasl_password_maps");
        (Class::Reply5, hint)
    } else if has(&["tls", "ssl"]) {
        let hint = format!(
            "mend TLS between the relay and {next}: see smtp_tls_security_level and what it offers"
        );
        (Class::Tls, hint)
    } else if has(&[
        "no space left",
        "insufficient system storage",
        "insufficient disk",
        "disk full",
        "quota",
    ]) {
        let hint = format!("make room on the disk or in the mailbox of {next}");
        (Class::Reply4, hint)
    } else if has(&["connection refused"]) {
        let hint = format!("start {next}, or correct relayhost");
        (Class::Refused, hint)
    } else if has(&[
        "host or domain name not found",
        "name service error",
        "host not found",
    ]) {
        let hint = "mend the relay's resolver, or correct relayhost".to_owned();
        (Class::Dns, hint)
    } else if has(&["timed out", "no route", "unreachable"]) {
        let hint = format!("see whether a firewall or the network keeps the relay from {next}");
        (Class::Timeout, hint)
    } else if has(&["lost connection"]) {
        let hint = format!("look at the log of {next}");
        (Class::Eof, hint)
    } else if has(&["said: 5"]) {
        let hint = format!("{next} refuses it: see to what it says");
        (Class::Reply5, hint)
    } else {
        let hint = format!("{next} does not take it now: see to what it says");
        (Class::Reply4, hint)
    }
}

/// `host[address]` or `host[address]:port`, as Postfix names it.
fn next_hop(why: &str) -> Option<&str> {
    let name = |w: &&str| {
        let w = w.trim_end_matches([':', ',']);
        !w.starts_with(['[', '<', '(']) && w.contains('[') && w.contains(']')
    };
    let found = why.split_whitespace().find(name)?;
    Some(found.trim_end_matches([':', ',']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(queue: &str, reason: Option<&str>) -> Verdict {
        let waiting = Waiting {
            queue: queue.to_owned(),
            reason: reason.map(str::to_owned),
        };
        judge(
            &Seen::Waiting(waiting),
            "relay.example:25",
            Some("4jWKZS0001zabc"),
            true,
        )
    }

    #[test]
    fn reasons_tell_the_kind_of_fault_and_the_next_hop() {
        for (reason, class, hint) in [
            (
                "connect to 127.0.0.1[127.0.0.1]:2587: Connection refused",
                Class::Refused,
                "127.0.0.1[127.0.0.1]:2587",
            ),
            ("Server certificate not verified", Class::Cert, "dates"),
            (
                "SASL authentication failed; server up.example[192.0.2.1] said: 535 5.7.8 Error",
                Class::Reply5,
                "smtp_sasl_password_maps",
            ),
            (
                "Cannot start TLS: handshake failure",
                Class::Tls,
                "smtp_tls_security_level",
            ),
            (
                "Host or domain name not found. Name service error for name=up.example type=AAAA: Host not found",
                Class::Dns,
                "resolver",
            ),
            (
                "connect to up.example[192.0.2.1]:25: Connection timed out",
                Class::Timeout,
                "up.example[192.0.2.1]:25",
            ),
            (
                "lost connection with up.example[192.0.2.1] while receiving the initial server greeting",
                Class::Eof,
                "up.example[192.0.2.1]",
            ),
            (
                "host up.example[192.0.2.1] said: 450 4.2.0 Greylisted (in reply to RCPT TO command)",
                Class::Reply4,
                "up.example[192.0.2.1]",
            ),
            (
                "host up.example[192.0.2.1] said: 452 4.3.1 Insufficient system storage",
                Class::Reply4,
                "make room",
            ),
            (
                "mail system configuration error: cannot update mailbox: No space left on device",
                Class::Reply4,
                "make room",
            ),
            (
                "host up.example[192.0.2.1] said: 554 no",
                Class::Reply5,
                "up.example",
            ),
        ] {
            let v = of("deferred", Some(reason));
            assert_eq!(
                (v.class, v.stopped_at.as_str()),
                (class, "deferred"),
                "{reason}"
            );
            assert!(v.hint.contains(hint), "{reason}: {}", v.hint);
            assert!(
                v.text.contains("4jWKZS0001zabc") && v.text.contains(reason),
                "{}",
                v.text
            );
        }
    }

    #[test]
    fn a_queue_that_does_not_move_is_told_by_where_it_lies() {
        assert!(
            of("incoming", None)
                .text
                .contains("queue manager does not move it")
        );
        assert!(of("incoming", None).hint.contains("is qmgr alive?"));
        assert!(of("active", None).hint.contains("next hop"));
        assert!(of("maildrop", None).hint.contains("pickup"));
        let held = of("hold", Some("x"));
        assert!(held.hint.contains("postsuper -H"), "{}", held.hint);
    }

    #[test]
    fn what_cannot_be_seen_is_said() {
        let v = judge(&Seen::NoQueue, "h:25", Some("ID1"), true);
        assert_eq!(v.text, "h:25 took it as ID1, and it never came");
        assert!(v.hint.contains("--queue"));
        let v = judge(&Seen::Gone, "h:25", Some("ID1"), false);
        assert!(v.text.contains("left the relay's queue") && v.hint.contains("--from"));
        assert!(
            !judge(&Seen::Gone, "h:25", None, true)
                .hint
                .contains("--from")
        );
        let v = judge(&Seen::Unseen("no permission".to_owned()), "h", None, true);
        assert!(v.text.contains("no permission"));
        let v = judge(&Seen::NoId, "h", None, true);
        assert!(v.text.contains("without saying an id"));
    }
}
