//! Block lists that it asks.

use std::path::Path;

use super::super::finding::Review;
use crate::report::State;

/// Lists that are gone, and since when: what their operators said, or found by who asked them.
const DEAD: &[(&str, &str)] = &[
    ("ahbl.org", "2015, and lists every address since"),
    ("bl.emailbasura.org", "2019"),
    ("dnsbl.inps.de", "2020"),
    ("dsbl.org", "2008"),
    ("ix.dnsbl.manitu.net", "2025"),
    ("megarbl.net", "2019, and listed every address then"),
    ("njabl.org", "2013"),
    ("ordb.org", "2006, and listed every address in 2008"),
    ("rfc-ignorant.org", "2012"),
    ("sorbs.net", "2024"),
    ("spamcannibal.org", "2018, and listed every address then"),
];

/// Resolvers for everybody, whose questions block lists do not answer.
const PUBLIC: &[&str] = &[
    "1.0.0.1",
    "1.1.1.1",
    "149.112.112.112",
    "2001:4860:4860::8844",
    "2001:4860:4860::8888",
    "208.67.220.220",
    "208.67.222.222",
    "2606:4700:4700::1001",
    "2606:4700:4700::1111",
    "2620:fe::9",
    "2620:fe::fe",
    "8.8.4.4",
    "8.8.8.8",
    "9.9.9.9",
];

/// The name of a zone as a parameter has it: with `=127.0.0.2` or `*2` after it perhaps.
pub(super) fn name(zone: &str) -> String {
    let name = zone.split(['=', '*']).next().unwrap_or(zone);
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Looks at one of them.
pub(super) fn look(review: &mut Review<'_>, parameter: &str, zone: &str) {
    let name = name(zone);
    let is_of = |end: &str| name == end || name.ends_with(&format!(".{end}"));
    if let Some((_, since)) = DEAD.iter().find(|(dead, _)| is_of(dead)) {
        let what = format!("{name} is gone since {since}: each mail waits for it, or is refused");
        let at = (parameter, zone);
        let hint = format!("remove {name} from {parameter}");
        review.find_word("dnsbl-dead", State::Warn, at, what, hint);
    }
    if is_of("spamhaus.org")
        && let Some(resolver) = public_resolver(review)
    {
        let what =
            format!("{name} gives no answers to the public resolver {resolver} of resolv.conf");
        let hint = "ask through a resolver of your own, or by the zone's key (dq.spamhaus.net)";
        let at = (parameter, zone);
        review.find_word("dnsbl-resolver", State::Warn, at, what, hint);
    }
}

/// One in the resolv.conf of the relay's chroot, or of this machine if the relay is there.
fn public_resolver(review: &Review<'_>) -> Option<&'static str> {
    let queue = review.path(&review.config.value("queue_directory"));
    let text = review.files.read(&queue.join("etc/resolv.conf"));
    let text = text.or_else(|| {
        let path = Path::new("/etc/resolv.conf");
        review.is_installed().then(|| review.files.read(path))?
    })?;
    let mut servers = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.find_map(|s| PUBLIC.iter().find(|p| **p == s.trim()).copied())
}
