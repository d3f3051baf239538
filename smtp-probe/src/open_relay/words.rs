//! How some of the forms that were tried are named.

use std::net::IpAddr;

use super::{vantage::network, verdict::Tried};

/// The most families and codes that a text names.
pub(super) const MOST_NAMED: usize = 4;

/// Whether it was asked as somebody of an inner network.
pub(super) fn is_inner(tried: &Tried) -> bool {
    let address = tried.pretended.and_then(|a| a.parse::<IpAddr>().ok());
    address.is_some_and(|ip| network(ip) != "public")
}

/// `as 172.217.0.1, 10.255.0.2 by XCLIENT: relays`.
pub(super) fn relays_as(tried: &[&Tried]) -> String {
    let addresses: Vec<&str> = tried.iter().filter_map(|t| t.pretended).collect();
    format!("as {} by XCLIENT: relays", addresses.join(", "))
}

/// The families of these forms, each once.
pub(super) fn families(tried: &[&Tried]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for tried in tried {
        let word = tried.form.family.word();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let more = words.len().saturating_sub(MOST_NAMED);
    words.truncate(MOST_NAMED);
    match more {
        0 => words.join(", "),
        n => format!("{} and {n} more", words.join(", ")),
    }
}

/// `1 form`, `2 forms`.
pub(super) fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ => format!("{n} {what}s"),
    }
}
