//! The domains that it takes mail for.

use super::super::{finding::Review, tables};
use crate::report::State;

/// Where everybody may have a mailbox.
const PROVIDERS: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "bluewin.ch",
    "btinternet.com",
    "comcast.net",
    "docomo.ne.jp",
    "fastmail.com",
    "free.fr",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "icloud.com",
    "interia.pl",
    "laposte.net",
    "libero.it",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "o2.pl",
    "orange.fr",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rambler.ru",
    "rediffmail.com",
    "rocketmail.com",
    "sbcglobal.net",
    "seznam.cz",
    "t-online.de",
    "terra.com.br",
    "tutanota.com",
    "uol.com.br",
    "verizon.net",
    "virgilio.it",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "yandex.com",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

/// Providers with a domain in each country.
const EVERYWHERE: &[&str] = &["hotmail", "live", "outlook", "yahoo"];

/// Ends of names that belong to nobody, besides those of two letters.
const ENDS: &[&str] = &[
    "app", "asia", "biz", "cloud", "co.jp", "co.uk", "com", "com.au", "com.br", "com.cn", "dev",
    "edu", "gov", "info", "int", "io", "jobs", "mil", "mobi", "name", "net", "online", "org",
    "org.uk", "pro", "shop", "site", "tech", "xyz",
];

/// The parameters that make a domain one of its own.
const OWN: &[&str] = &[
    "mydestination",
    "virtual_alias_domains",
    "virtual_mailbox_domains",
];

pub(super) fn look(review: &mut Review<'_>) {
    relay_domains(review);
    own(review);
    statics(review);
    if review.config.is_yes("allow_untrusted_routing") {
        review.find(
            "untrusted-routing",
            State::Crit,
            "allow_untrusted_routing",
            "victim%elsewhere@domain of relay_domains is sent on: anyone can relay through it",
            "set allow_untrusted_routing = no",
        );
    }
}

/// Whether everybody may have a mailbox there.
pub(super) fn is_provider(domain: &str) -> bool {
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    if PROVIDERS.contains(&domain.as_str()) {
        return true;
    }
    let mut labels = domain.split('.');
    let first = labels.next().unwrap_or_default();
    let rest: Vec<&str> = labels.collect();
    let is_end = |label: &&str| label.len() <= 3 && !label.is_empty();
    EVERYWHERE.contains(&first) && (1..=2).contains(&rest.len()) && rest.iter().all(is_end)
}

/// Whether it is no domain of anybody: `com`, `.`, `co.uk`.
pub(super) fn is_end(domain: &str) -> bool {
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    let is_country = domain.len() == 2 && domain.chars().all(|c| c.is_ascii_alphabetic());
    domain.is_empty() || is_country || ENDS.contains(&domain.as_str())
}

fn relay_domains(review: &mut Review<'_>) {
    let (names, everything) = tables::names(review, "relay_domains");
    let hint = "relay_domains is for domains that you are a backup MX of; to send to them, none is needed: leave it out";
    if let Some(word) = everything {
        let what = format!("{word} takes in every domain: this is an open relay");
        let at = ("relay_domains", word.as_str());
        review.find_word("relay-domains-all", State::Crit, at, what, hint);
    }
    for (name, word) in names {
        let at = ("relay_domains", word.as_str());
        if is_provider(&name) {
            let what =
                format!("{name} is a public mailbox provider: anyone can send to it through here");
            review.find_word("relay-domains-provider", State::Crit, at, what, hint);
        } else if is_end(&name) {
            let what = format!("{name} takes in every domain under it: anyone can send there");
            review.find_word("relay-domains-tld", State::Crit, at, what, hint);
        }
    }
}

fn own(review: &mut Review<'_>) {
    for parameter in OWN {
        if !review.config.has(parameter) {
            continue;
        }
        let (names, _) = tables::names(review, parameter);
        for (name, word) in names {
            if is_provider(&name) {
                let what = format!(
                    "{name} is a public mailbox provider: mail for it ends here and does not reach anyone"
                );
                let hint = format!("remove {name} from {parameter}");
                let at = (*parameter, word.as_str());
                review.find_word("destination-provider", State::Warn, at, what, hint);
            }
        }
    }
}

/// `static:` maps, whose domains are by default the maps themselves.
fn statics(review: &mut Review<'_>) {
    for (maps, domains) in [
        ("virtual_mailbox_maps", "virtual_mailbox_domains"),
        ("virtual_alias_maps", "virtual_alias_domains"),
    ] {
        if review.config.has(domains) && !review.config.value(domains).contains("static:") {
            continue;
        }
        let mut words = review.config.list(maps).into_iter();
        if let Some(word) = words.find(|w| w.trim_start_matches("proxy:").starts_with("static:")) {
            let what = format!(
                "with {word} and no {domains} of its own every domain is a local one, since that is ${maps} by default: this is an open relay"
            );
            let hint = format!("set {domains} to your domains, or to nothing");
            review.find_word("virtual-static", State::Crit, (maps, &word), what, hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_and_ends() {
        for yes in [
            "gmail.com",
            ".Outlook.com",
            "yahoo.co.uk",
            "hotmail.fr",
            "web.de",
        ] {
            assert!(is_provider(yes), "{yes}");
        }
        for no in ["corp.example", "live.corp.example", "yahoo", "notgmail.com"] {
            assert!(!is_provider(no), "{no}");
        }
        for yes in [".", "com", ".de", "co.uk"] {
            assert!(is_end(yes), "{yes}");
        }
        for no in ["corp.example", "yourdomain", "x1"] {
            assert!(!is_end(no), "{no}");
        }
    }
}
