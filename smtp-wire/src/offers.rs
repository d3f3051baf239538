//! What a relay offers in its answer to EHLO.

use crate::{Reply, auth::Mechanism};

/// The extensions that we know (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// The most octets of a message (RFC 1870); `None` where it names none, or 0.
    pub size: Option<usize>,
    /// The mechanisms of AUTH, in capitals.
    pub mechanisms: Vec<String>,
}

impl Offers {
    /// Reads the answer; its first line is the relay's name.
    pub fn read(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines().skip(1) {
            // `AUTH=PLAIN` is an old form that some relays still have.
            let line = line.to_ascii_uppercase().replacen("AUTH=", "AUTH ", 1);
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("PIPELINING") => offers.pipelining = true,
                Some("8BITMIME") => offers.eight_bit = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                Some("DSN") => offers.dsn = true,
                Some("SIZE") => {
                    let most = words.next().and_then(|n| n.parse().ok());
                    offers.size = most.filter(|n| *n > 0);
                }
                Some("AUTH") => offers.mechanisms.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        offers.mechanisms.sort();
        offers.mechanisms.dedup();
        offers
    }

    /// Those of these mechanisms that are offered, in the order given.
    pub fn common(&self, wanted: &[Mechanism]) -> Vec<Mechanism> {
        let is_offered = |m: &&Mechanism| self.mechanisms.iter().any(|o| o == m.name());
        wanted.iter().filter(is_offered).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parts;

    fn read(lines: &[&str]) -> Offers {
        let mut parts = Parts::default();
        let last = lines
            .iter()
            .map(|l| parts.add(l.as_bytes()).unwrap())
            .last();
        Offers::read(&last.flatten().unwrap())
    }

    #[test]
    fn extensions_are_read_in_any_case_and_the_name_is_none() {
        let o = read(&[
            "250-STARTTLS greets you",
            "250-pipelining",
            "250-Size 1000",
            "250-AUTH LOGIN plain",
            "250-AUTH=PLAIN XOAUTH2",
            "250-8BITMIME",
            "250-DSN",
            "250-",
            "250 SMTPUTF8",
        ]);
        assert!(!o.starttls && o.pipelining && o.eight_bit && o.dsn && o.utf8);
        assert_eq!(o.size, Some(1000));
        assert_eq!(o.mechanisms, ["LOGIN", "PLAIN", "XOAUTH2"]);
        assert_eq!(
            o.common(&[Mechanism::Plain, Mechanism::Login]),
            [Mechanism::Plain, Mechanism::Login]
        );
    }

    #[test]
    fn a_size_that_is_no_limit_is_none() {
        for line in [
            "250 SIZE",
            "250 SIZE 0",
            "250 SIZE x",
            "250 SIZE 99999999999999999999999",
        ] {
            assert_eq!(read(&["250-relay", line]).size, None, "{line}");
        }
        assert_eq!(read(&["250 relay"]), Offers::default());
    }
}
