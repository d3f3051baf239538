//! The message that is sent through.

use notifier_core::jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};

use super::mark::{FIELD, Mark};

/// Who writes to whom.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    /// Empty: the null sender.
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// The name that we greeted with: the domain of what has none.
    pub(crate) helo: &'a str,
}

/// The whole message in 7 bits, its lines ended by CRLF; an address may bring UTF-8 (RFC 6532).
///
/// It says of itself that a program made it and that nothing answers (RFC 3834 §5, MS-OXCMAIL
/// for `X-Auto-Response-Suppress`).
pub(crate) fn render(mark: &Mark, envelope: &Envelope<'_>, now: Timestamp) -> String {
    let Envelope { from, to, helo } = envelope;
    let author = match *from {
        "" => format!("canary@{helo}"),
        from => from.to_owned(),
    };
    let domain = match author.rsplit_once('@') {
        Some((_, domain)) if domain.is_ascii() => domain.to_owned(),
        _ => (*helo).to_owned(),
    };
    // The printer takes all times of the years 0 to 9999.
    let date = rfc2822::to_string(&now.to_zoned(TimeZone::UTC)).unwrap_or_default();
    [
        format!("Date: {date}"),
        format!("From: <{author}>"),
        format!("To: <{to}>"),
        "Subject: Canary: please ignore".to_owned(),
        format!("Message-ID: <{}@{domain}>", mark.message()),
        format!("{FIELD}: {}", mark.value()),
        "Auto-Submitted: auto-generated".to_owned(),
        "X-Auto-Response-Suppress: All".to_owned(),
        "Precedence: bulk".to_owned(),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=us-ascii".to_owned(),
        "Content-Transfer-Encoding: 7bit".to_owned(),
        String::new(),
        "A check of this mail relay sent this to see whether it arrives; please ignore it."
            .to_owned(),
        String::new(),
    ]
    .join("\r\n")
}

/// Whether an address can stand in a command and in a header: a local part and a domain, nothing
/// that ends a line or an address.
pub(crate) fn is_address(text: &str) -> bool {
    let ends = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>');
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && text.len() <= 254
        && !text.contains(ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::head::Head;

    const NOW: &str = "2026-11-22T04:21:27Z";

    #[test]
    fn the_message_is_whole_and_reads_back() {
        let now: Timestamp = NOW.parse().unwrap();
        let mark = Mark::new(now).unwrap();
        let envelope = Envelope {
            from: "",
            to: "oncall@mail.example",
            helo: "[192.0.2.1]",
        };
        let text = render(&mark, &envelope, now);
        assert!(text.is_ascii() && text.ends_with("it.\r\n"));
        assert!(
            text.lines()
                .all(|l| l.len() <= 78 || l.starts_with("X-Canary") || !l.contains(':')),
            "{text}"
        );
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        let head = Head::read(text.as_bytes());
        assert_eq!(
            head.get("x-canary").and_then(Mark::read),
            Some(mark.clone())
        );
        assert_eq!(head.get("date"), Some("Sun, 22 Nov 2026 04:21:27 +0000"));
        assert_eq!(head.get("from"), Some("<canary@[192.0.2.1]>"));
        let id = format!("<canary.{}@[192.0.2.1]>", mark.id);
        assert_eq!(head.get("message-id"), Some(id.as_str()));
        assert_eq!(head.body.iter().filter(|b| **b == b'\n').count(), 1);
        for name in ["auto-submitted", "x-auto-response-suppress", "precedence"] {
            assert!(head.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn addresses_that_break_a_line_are_none() {
        for yes in ["a@b", "a+b@c.example", "\"a@b\"@c", "ü@ö.example"] {
            assert!(is_address(yes), "{yes}");
        }
        for no in [
            "",
            "a",
            "a@",
            "@b",
            "a@b\r\nRCPT TO:<c@d>",
            "a b@c",
            "<a@b>",
            "a@b\0",
        ] {
            assert!(!is_address(no), "{no:?}");
        }
    }
}
