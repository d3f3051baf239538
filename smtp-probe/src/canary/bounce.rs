//! A report that a mail was not delivered (RFC 3464).

use super::{head::Head, hop::prefix};

/// What it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounce {
    /// Who gave up.
    pub(crate) reporter: Option<String>,
    /// The enhanced status: `5.1.1`.
    pub(crate) status: Option<String>,
    /// What the next server said, or the reporter itself.
    pub(crate) why: Option<String>,
}

/// Reads the report in a mail that may be one; one of a delay or of a success is none.
pub(crate) fn read(head: &Head<'_>) -> Option<Bounce> {
    let kind = head.get("content-type")?.to_ascii_lowercase();
    if !kind.starts_with("multipart/report") || kind.contains("disposition-notification") {
        return None;
    }
    let body = String::from_utf8_lossy(head.body);
    let mut bounce = Bounce::default();
    let mut action = None;
    let mut last = None;
    for line in body.lines() {
        if line.starts_with([' ', '\t']) {
            // The rest of what the line before says.
            if let (Some("diagnostic-code"), Some(why)) = (last.as_deref(), bounce.why.as_mut())
                && why.len() < 500
            {
                why.push(' ');
                why.push_str(prefix(line.trim(), 500));
            }
            continue;
        }
        last = None;
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        let value = prefix(value.trim(), 500);
        // `rfc822; name` and `smtp; text`.
        let bare = || {
            value
                .split_once(';')
                .map_or(value, |(_, v)| v.trim())
                .to_owned()
        };
        let slot = match name.as_str() {
            "action" => &mut action,
            "reporting-mta" => &mut bounce.reporter,
            "status" => &mut bounce.status,
            "diagnostic-code" => &mut bounce.why,
            _ => continue,
        };
        slot.get_or_insert_with(bare);
        last = Some(name);
    }
    let failed = action.is_some_and(|a| a.eq_ignore_ascii_case("failed"));
    failed.then_some(bounce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(action: &str) -> String {
        format!(
            "From: MAILER-DAEMON@relay.example\n\
             Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"x\"\n\n\
             --x\nContent-Type: text/plain\n\nThis is the mail system.\n\n\
             --x\nContent-Type: message/delivery-status\n\n\
             Reporting-MTA: dns; relay.example\n\n\
             Final-Recipient: rfc822; nosuch@mail.example\n\
             Action: {action}\nStatus: 5.1.1\n\
             Diagnostic-Code: smtp; 550 5.1.1 <nosuch@mail.example>: Recipient address\n    rejected: User unknown\n\n\
             --x\nContent-Type: text/rfc822-headers\n\nX-Canary: a b c\n\n--x--\n"
        )
    }

    #[test]
    fn a_failure_is_read() {
        let mail = report("failed");
        let bounce = read(&Head::read(mail.as_bytes())).unwrap();
        assert_eq!(bounce.reporter.as_deref(), Some("relay.example"));
        assert_eq!(bounce.status.as_deref(), Some("5.1.1"));
        assert_eq!(
            bounce.why.as_deref(),
            Some("550 5.1.1 <nosuch@mail.example>: Recipient address rejected: User unknown")
        );
    }

    #[test]
    fn a_delay_and_other_mails_are_none() {
        for mail in [
            report("delayed"),
            report("relayed"),
            "A: b\n\nAction: failed\n".to_owned(),
        ] {
            assert_eq!(read(&Head::read(mail.as_bytes())), None);
        }
    }
}
