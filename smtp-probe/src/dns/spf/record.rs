//! The text of an SPF record: RFC 7208 section 4.6.1 and 12.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// How an address matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(String),
    A(Option<String>, Bits),
    Mx(Option<String>, Bits),
    Ptr(Option<String>),
    Ip4(Ipv4Net),
    Ip6(Ipv6Net),
    Exists(String),
}

/// The bits that must be the same, of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// A record that is well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) directives: Vec<(Qualifier, Mechanism)>,
    pub(super) redirect: Option<String>,
}

/// Whether a text is an SPF record at all, well formed or not.
pub(super) fn is_spf(text: &str) -> bool {
    let start = text
        .get(..6)
        .is_some_and(|s| s.eq_ignore_ascii_case("v=spf1"));
    start && (text.len() == 6 || text[6..].starts_with(' '))
}

/// Reads it; what is wrong in it, else.
pub(super) fn parse(text: &str) -> Result<Record, String> {
    let mut record = Record::default();
    let mut has_explanation = false;
    for term in text.split(' ').skip(1).filter(|t| !t.is_empty()) {
        if let Some((name, value)) = modifier(term) {
            match name.to_ascii_lowercase().as_str() {
                "redirect" if record.redirect.is_some() => {
                    return Err("it has two redirect=".into());
                }
                "redirect" => record.redirect = Some(spec(term, value)?),
                "exp" if has_explanation => return Err("it has two exp=".into()),
                "exp" => {
                    spec(term, value)?;
                    has_explanation = true;
                }
                // Unknown ones are ignored.
                _ => {}
            }
        } else {
            record.directives.push(directive(term)?);
        }
    }
    Ok(record)
}

/// `name=value`, the name being one.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    is_name.then_some((name, value))
}

fn directive(term: &str) -> Result<(Qualifier, Mechanism), String> {
    let wrong = || format!("its term {:?} is wrong", super::super::ask::printable(term));
    let (qualifier, rest) = match term.chars().next() {
        Some('+') => (Qualifier::Pass, &term[1..]),
        Some('-') => (Qualifier::Fail, &term[1..]),
        Some('~') => (Qualifier::SoftFail, &term[1..]),
        Some('?') => (Qualifier::Neutral, &term[1..]),
        _ => (Qualifier::Pass, term),
    };
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let value = rest.strip_prefix(':');
    let needs = || value.ok_or_else(wrong).and_then(|v| spec(term, v));
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(needs()?),
        "exists" => Mechanism::Exists(needs()?),
        "ptr" if rest.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(needs()?)),
        "ip4" => {
            let text = value.ok_or_else(wrong)?;
            let net = if text.contains('/') {
                text.parse().ok()
            } else {
                text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from)
            };
            Mechanism::Ip4(net.ok_or_else(wrong)?)
        }
        "ip6" => {
            let text = value.ok_or_else(wrong)?;
            let net = if text.contains('/') {
                text.parse().ok()
            } else {
                text.parse::<Ipv6Addr>().ok().map(Ipv6Net::from)
            };
            Mechanism::Ip6(net.ok_or_else(wrong)?)
        }
        "a" | "mx" => {
            let (domain, bits) = bits(value.unwrap_or(rest)).ok_or_else(wrong)?;
            let domain = match (value, domain) {
                (Some(_), "") => return Err(wrong()),
                (Some(_), domain) => Some(spec(term, domain)?),
                (None, "") => None,
                (None, _) => return Err(wrong()),
            };
            match name.eq_ignore_ascii_case("a") {
                true => Mechanism::A(domain, bits),
                false => Mechanism::Mx(domain, bits),
            }
        }
        _ => return Err(wrong()),
    };
    Ok((qualifier, mechanism))
}

/// What comes before `/24`, `//64` or `/24//64`, and these.
fn bits(text: &str) -> Option<(&str, Bits)> {
    let number = |text: &str, most: u8| {
        let is_plain =
            text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
        text.parse::<u8>().ok().filter(|n| is_plain && *n <= most)
    };
    let mut bits = Bits { v4: 32, v6: 128 };
    let mut rest = text;
    if let Some((before, v6)) = rest.split_once("//") {
        bits.v6 = number(v6, 128)?;
        rest = before;
    }
    // A slash may be within a macro's braces too.
    if let Some((before, v4)) = rest.rsplit_once('/')
        && !v4.contains('}')
    {
        bits.v4 = number(v4, 32)?;
        rest = before;
    }
    Some((rest, bits))
}

/// A domain, with macros perhaps.
fn spec(term: &str, text: &str) -> Result<String, String> {
    match !text.is_empty() && super::macros::is_well_formed(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "its term {:?} names no domain",
            super::super::ask::printable(term)
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_terms() {
        let text = "v=spf1 a A:x.example/24 mx//64 mx:m.example/28//96 ip4:203.0.113.9 -ip6:2001:db8::/32 ?exists:%{i}._spf.%{d2} ptr include:y.example redirect=z.example unknown=1 exp=e.example ~all";
        let record = parse(text).unwrap();
        assert_eq!(record.redirect.as_deref(), Some("z.example"));
        let kinds: Vec<&Mechanism> = record.directives.iter().map(|(_, m)| m).collect();
        assert_eq!(kinds.len(), 10);
        assert_eq!(
            *kinds[1],
            Mechanism::A(Some("x.example".into()), Bits { v4: 24, v6: 128 })
        );
        assert_eq!(*kinds[2], Mechanism::Mx(None, Bits { v4: 32, v6: 64 }));
        assert_eq!(
            *kinds[3],
            Mechanism::Mx(Some("m.example".into()), Bits { v4: 28, v6: 96 })
        );
        assert_eq!(record.directives[9], (Qualifier::SoftFail, Mechanism::All));
    }

    #[test]
    fn what_is_wrong() {
        for text in [
            "v=spf1 foo",
            "v=spf1 all:x",
            "v=spf1 include",
            "v=spf1 ip4:1.2.3",
            "v=spf1 ip4:1.2.3.4/33",
            "v=spf1 a/33",
            "v=spf1 a:",
            "v=spf1 exists:%{z}",
            "v=spf1 redirect=a redirect=b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_one() {
        assert!(is_spf("v=spf1") && is_spf("V=SPF1 -all"));
        assert!(!is_spf("v=spf10 -all") && !is_spf("spf2.0/pra"));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r"v=spf1( [+~?-]?(a|mx|ip4|ip6|include|exists|ptr|all|redirect=)[:/]?[%{}a-z0-9./:-]{0,12}){0,8}|\PC{0,80}") {
            let _ = (is_spf(&text), parse(&text));
        }
    }
}
