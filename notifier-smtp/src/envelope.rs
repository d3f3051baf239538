//! Who sends to whom: the commands MAIL and RCPT with their parameters.

use lettre::transport::smtp::{
    commands::{Mail, Rcpt},
    extension::{MailBodyParameter, MailParameter},
};
use notifier_core::ErrorKind;

use smtp_wire::Offers;

use crate::{address::Address, error::Failure};

/// What the message needs of a relay.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) sender: &'a Address,
    /// How many octets the message has, without dots that are added.
    pub(crate) size: usize,
    /// The message as it goes over the wire.
    pub(crate) wire: &'a [u8],
    pub(crate) is_ascii: bool,
    /// The message or its sender cannot go without SMTPUTF8.
    pub(crate) needs_utf8: bool,
    /// The delivery's id.
    pub(crate) id: &'a str,
}

impl Envelope<'_> {
    pub(crate) fn parameters(&self, offers: &Offers, recipients: &[Address]) -> Vec<MailParameter> {
        let mut all = Vec::new();
        // RFC 1870 §3: SIZE without a number is an offer, too.
        if offers.size.is_some() {
            all.push(MailParameter::Size(self.size));
        }
        if !self.is_ascii && offers.eight_bit {
            all.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        if offers.utf8 && (self.needs_utf8 || recipients.iter().any(Address::needs_utf8)) {
            all.push(MailParameter::SmtpUtfEight);
        }
        // RFC 3461 §4.3, 4.4: what is told of the mail bears our id, at most 100 characters
        // in a form that may need three for each.
        if offers.dsn {
            let other = |keyword: &str, value: String| MailParameter::Other {
                keyword: keyword.to_owned(),
                value: Some(value),
            };
            all.push(other("RET", "HDRS".to_owned()));
            let id: String = self
                .id
                .chars()
                .filter(char::is_ascii_graphic)
                .take(33)
                .collect();
            if !id.is_empty() {
                all.push(other("ENVID", id));
            }
        }
        all
    }
}

/// What must never get into a command, whatever let it through before.
fn bare(address: &Address) -> Result<lettre::Address, Failure> {
    let text = address.to_string();
    if text.chars().any(char::is_control) || address.domain.contains(['<', '>', ' ']) {
        return Err(Failure::never(
            ErrorKind::Config,
            format!("{text:?} cannot stand in a command"),
        ));
    }
    // Checked as strictly before; a form that only this check does not know still goes.
    Ok(lettre::Address::new(&address.local, &address.domain)
        .unwrap_or_else(|_| lettre::Address::new_dangerous(&address.local, &address.domain)))
}

/// The command MAIL.
pub(crate) fn mail(sender: &Address, parameters: Vec<MailParameter>) -> Result<String, Failure> {
    Ok(Mail::new(Some(bare(sender)?), parameters).to_string())
}

/// The command RCPT.
pub(crate) fn rcpt(recipient: &Address) -> Result<String, Failure> {
    Ok(Rcpt::new(bare(recipient)?, Vec::new()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(local: &str, domain: &str) -> Address {
        Address {
            name: String::new(),
            local: local.to_owned(),
            domain: domain.to_owned(),
        }
    }

    fn all() -> Offers {
        Offers {
            eight_bit: true,
            utf8: true,
            dsn: true,
            size: Some(1000),
            ..Offers::default()
        }
    }

    fn line(offers: &Offers, is_ascii: bool, needs_utf8: bool, to: &str) -> String {
        let sender = address("f", "x");
        let envelope = Envelope {
            sender: &sender,
            size: 7,
            wire: b"",
            is_ascii,
            needs_utf8,
            id: "a+b=c",
        };
        let to = [address(to, "y")];
        mail(&sender, envelope.parameters(offers, &to)).unwrap()
    }

    #[test]
    fn only_what_is_offered_and_needed_is_said() {
        let none = Offers::default();
        assert_eq!(line(&none, true, false, "a"), "MAIL FROM:<f@x>\r\n");
        assert_eq!(line(&none, false, true, "ü"), "MAIL FROM:<f@x>\r\n");
        assert_eq!(
            line(&all(), true, false, "a"),
            "MAIL FROM:<f@x> SIZE=7 RET=HDRS ENVID=a+2Bb+3Dc\r\n"
        );
        let utf8 = "MAIL FROM:<f@x> SIZE=7 SMTPUTF8 RET=HDRS ENVID=a+2Bb+3Dc\r\n";
        assert_eq!(line(&all(), true, true, "a"), utf8);
        assert_eq!(line(&all(), true, false, "ü"), utf8);
        assert!(line(&all(), false, true, "a").contains(" BODY=8BITMIME SMTPUTF8 "));
    }

    #[test]
    fn nothing_gets_into_a_command_beside_the_address() {
        for (local, domain) in [
            ("a\r\nRCPT TO:<b@x>", "x"),
            ("a", "x\r\nDATA"),
            ("a", "x>\tSIZE=1"),
            ("a", "x> SIZE=1"),
            ("a\0", "x"),
            ("a", "x\u{85}"),
        ] {
            let failure = rcpt(&address(local, domain)).unwrap_err();
            assert!(
                failure.is_dead() && !failure.text.contains('\n'),
                "{failure:?}"
            );
        }
        assert_eq!(
            rcpt(&address("\"a b\"", "x.example")).unwrap(),
            "RCPT TO:<\"a b\"@x.example>\r\n"
        );
        assert_eq!(
            rcpt(&address("ü", "x.example")).unwrap(),
            "RCPT TO:<ü@x.example>\r\n"
        );
        assert_eq!(
            rcpt(&address("a", "[1.2.3.4]")).unwrap(),
            "RCPT TO:<a@[1.2.3.4]>\r\n"
        );
    }
}
