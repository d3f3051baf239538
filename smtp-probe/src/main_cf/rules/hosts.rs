//! The names that it has, and what it greets with.

use super::super::{finding::Review, tables};
use crate::report::State;

/// What examples have where a name of one's own belongs.
const SAMPLES: &[&str] = &[
    "changeme",
    "domain.com",
    "domain.tld",
    "example.com",
    "example.net",
    "example.org",
    "host.domain",
    "mydomain",
    "mydomain.com",
    "mydomain.tld",
    "my-domain.com",
    "your-domain",
    "your-domain.com",
    "your.domain",
    "yourcompany.com",
    "yourdomain",
    "yourdomain.com",
    "yourdomain.tld",
    "yourhostname",
];

pub(super) fn look(review: &mut Review<'_>) {
    for name in ["myhostname", "mydomain"] {
        if !review.config.has(name) {
            continue;
        }
        let value = review.config.value(name);
        let bare = value.trim_end_matches('.').to_ascii_lowercase();
        let what = if let Some(sample) = sample(&bare) {
            format!("{sample} is a name out of an example")
        } else if bare.starts_with("localhost") {
            "servers refuse who greets as localhost".to_owned()
        } else if !bare.contains('.') || bare.parse::<std::net::IpAddr>().is_ok() {
            format!("{value:?} is no full name, and servers refuse who greets with it")
        } else {
            continue;
        };
        let hint = match name {
            "mydomain" => "set mydomain to the domain that is yours, or leave it out",
            _ => "set myhostname to the relay's full name, one that the DNS knows",
        };
        review.find("hostname", State::Warn, name, what, hint);
    }
    for list in [
        "mydestination",
        "relay_domains",
        "virtual_mailbox_domains",
        "virtual_alias_domains",
        "myorigin",
    ] {
        let Some(setting) = review.config.setting(list) else {
            continue;
        };
        // What it has from myhostname is told there.
        let written = setting.value.to_ascii_lowercase();
        let (names, _) = tables::names(review, list);
        for (name, word) in names {
            let lower = name.to_ascii_lowercase();
            if let Some(sample) = sample(&lower)
                && (written.contains(&lower) || word != name)
            {
                let what = format!("{sample} is a name out of an example");
                let hint = "write a domain of your own";
                review.find_word("sample-name", State::Warn, (list, &word), what, hint);
            }
        }
    }
    banner(review);
}

/// The sample name that a name is, or is under.
fn sample(name: &str) -> Option<&'static str> {
    let is_of = |p: &&&str| {
        name == **p
            || name
                .strip_suffix(**p)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    SAMPLES.iter().find(is_of).copied()
}

fn banner(review: &mut Review<'_>) {
    let Some(setting) = review.config.setting("smtpd_banner") else {
        return;
    };
    let raw = setting.value.clone();
    let value = review.config.value("smtpd_banner");
    let host = review.config.value("myhostname");
    let begins = ["$myhostname", "${myhostname}", "$(myhostname)"]
        .iter()
        .any(|n| raw.starts_with(n))
        || (!host.is_empty() && value.starts_with(&host));
    let has_esmtp = value
        .split_whitespace()
        .any(|w| w.eq_ignore_ascii_case("ESMTP"));
    let what = match (begins, has_esmtp) {
        (true, true) => return,
        (false, true) => "it does not begin with $myhostname, as RFC 5321 4.2 wants",
        (true, false) => "it lacks ESMTP, which some clients and checks look for",
        (false, false) => {
            "it neither begins with $myhostname nor has ESMTP, which clients and checks look for"
        }
    };
    let hint = "set smtpd_banner = $myhostname ESMTP";
    review.find("banner", State::Ok, "smtpd_banner", what, hint);
}
