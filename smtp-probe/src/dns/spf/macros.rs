//! Macros in domains: RFC 7208 section 7.

use std::net::IpAddr;

/// What a DNS name may have (RFC 1035 2.3.4).
const LONGEST: usize = 253;
/// Octets of an expansion before it is cut.
const MOST: usize = 8 * 1024;

/// What macros stand for.
#[derive(Clone, Debug)]
pub(super) struct Values<'a> {
    pub(super) ip: IpAddr,
    /// `local@domain`.
    pub(super) sender: &'a str,
    /// The domain whose record it is.
    pub(super) domain: &'a str,
    pub(super) helo: &'a str,
}

/// A part of a text.
enum Part<'a> {
    Plain(&'a str),
    Macro {
        letter: char,
        keep: Option<usize>,
        is_reversed: bool,
        delimiters: &'a str,
    },
}

/// Whether all its macros are ones of domains.
pub(super) fn is_well_formed(text: &str) -> bool {
    text.chars().all(|c| ('!'..='~').contains(&c)) && parts(text).is_some()
}

/// Puts values in place of macros; the left end of what gets too long is cut off (7.3). Nothing
/// if it is not well formed.
pub(super) fn expand(text: &str, values: &Values<'_>) -> Option<String> {
    let mut out = String::new();
    for part in parts(text)? {
        match part {
            Part::Plain(text) => out.push_str(text),
            Part::Macro {
                letter,
                keep,
                is_reversed,
                delimiters,
            } => {
                let value = value(letter, values);
                let value = cut(&value, keep, is_reversed, delimiters);
                match letter.is_ascii_uppercase() {
                    true => out.extend(escaped(&value)),
                    false => out.push_str(&value),
                }
            }
        }
        if out.len() > MOST {
            return None;
        }
    }
    let mut name = out.as_str();
    while name.len() > LONGEST {
        name = name.split_once('.')?.1;
    }
    Some(name.trim_end_matches('.').to_owned())
}

fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        parts.push(Part::Plain(before));
        rest = match after.chars().next()? {
            '%' => {
                parts.push(Part::Plain("%"));
                &after[1..]
            }
            '_' => {
                parts.push(Part::Plain(" "));
                &after[1..]
            }
            '-' => {
                parts.push(Part::Plain("%20"));
                &after[1..]
            }
            '{' => {
                let (inner, after) = after[1..].split_once('}')?;
                parts.push(parse(inner)?);
                after
            }
            _ => return None,
        };
    }
    parts.push(Part::Plain(rest));
    Some(parts)
}

fn parse(inner: &str) -> Option<Part<'_>> {
    let letter = inner.chars().next()?;
    if !"slodipvh".contains(letter.to_ascii_lowercase()) {
        return None;
    }
    let rest = &inner[1..];
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let keep = match &rest[..end] {
        "" => None,
        digits => Some(digits.parse().unwrap_or(usize::MAX)),
    };
    if keep == Some(0) {
        return None;
    }
    let rest = &rest[end..];
    let delimiters = rest.strip_prefix(['r', 'R']);
    let is_reversed = delimiters.is_some();
    let delimiters = delimiters.unwrap_or(rest);
    let is_fine = delimiters.chars().all(|c| ".-+,/_=".contains(c));
    is_fine.then_some(Part::Macro {
        letter,
        keep,
        is_reversed,
        delimiters,
    })
}

fn value(letter: char, values: &Values<'_>) -> String {
    let (local, domain) = values
        .sender
        .rsplit_once('@')
        .unwrap_or(("postmaster", values.sender));
    match letter.to_ascii_lowercase() {
        's' => values.sender.to_owned(),
        'l' => local.to_owned(),
        'o' => domain.to_owned(),
        'd' => values.domain.to_owned(),
        'h' => values.helo.to_owned(),
        'v' => match values.ip {
            IpAddr::V4(_) => "in-addr".to_owned(),
            IpAddr::V6(_) => "ip6".to_owned(),
        },
        'i' => match values.ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => {
                let nibbles = ip.octets().into_iter().flat_map(|o| [o >> 4, o & 15]);
                let nibbles: Vec<String> = nibbles.map(|n| format!("{n:x}")).collect();
                nibbles.join(".")
            }
        },
        // The validated name is not to be used (5.5), and may be this.
        _ => "unknown".to_owned(),
    }
}

fn cut(value: &str, keep: Option<usize>, is_reversed: bool, delimiters: &str) -> String {
    let delimiters = if delimiters.is_empty() {
        "."
    } else {
        delimiters
    };
    let mut labels: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
    if is_reversed {
        labels.reverse();
    }
    let skip = labels.len().saturating_sub(keep.unwrap_or(usize::MAX));
    labels[skip..].join(".")
}

fn escaped(value: &str) -> impl Iterator<Item = char> {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out.chars().collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str, ip: &str) -> Option<String> {
        expand(
            text,
            &Values {
                ip: ip.parse().unwrap(),
                sender: "strong-bad@email.example.com",
                domain: "email.example.com",
                helo: "mail.example.com",
            },
        )
    }

    /// RFC 7208 section 7.4.
    #[test]
    fn the_rfcs_examples() {
        for (text, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            (
                "%{ir}.%{v}._spf.%{d2}",
                "3.2.0.192.in-addr._spf.example.com",
            ),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            (
                "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
                "3.2.0.192.in-addr.strong.lp._spf.example.com",
            ),
            (
                "%{d2}.trusted-domains.example.net",
                "example.com.trusted-domains.example.net",
            ),
            ("%{h}%%%_%-", "mail.example.com% %20"),
        ] {
            assert_eq!(with(text, "192.0.2.3").as_deref(), Some(expected), "{text}");
        }
        assert_eq!(
            with("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01").as_deref(),
            Some(
                "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
            )
        );
    }

    #[test]
    fn what_is_none() {
        for text in ["%", "%x", "%{", "%{q}", "%{d0}", "%{d2x}", "a b"] {
            assert!(!is_well_formed(text), "{text}");
        }
    }

    #[test]
    fn long_names_lose_their_left() {
        let name = with(&"%{d}.".repeat(40), "192.0.2.3").unwrap();
        assert!(name.len() <= LONGEST && name.ends_with("email.example.com"));
    }

    proptest! {
        #[test]
        fn expansions_are_bounded(text in r"(%\{[slodipvhSLODx][0-9]{0,20}r?[.+-]{0,3}\}|%[%_x-]|[a-z.]{1,9}){0,120}") {
            if let Some(name) = with(&text, "192.0.2.3") {
                prop_assert!(name.len() <= LONGEST);
            }
        }
    }
}
