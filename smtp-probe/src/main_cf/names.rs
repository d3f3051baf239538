//! Which parameters there are.

use std::{cmp::Reverse, collections::BTreeSet, sync::LazyLock};

/// A name a line; `#` begins a comment.
static KNOWN: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("parameters.txt").lines();
    lines
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .collect()
});

/// Parameters that each transport has (postconf(5)).
const OF_TRANSPORTS: &[&str] = &[
    "_delivery_slot_cost",
    "_delivery_slot_discount",
    "_delivery_slot_loan",
    "_destination_concurrency_failed_cohort_limit",
    "_destination_concurrency_limit",
    "_destination_concurrency_negative_feedback",
    "_destination_concurrency_positive_feedback",
    "_destination_rate_delay",
    "_destination_recipient_limit",
    "_extra_recipient_limit",
    "_initial_destination_concurrency",
    "_minimum_delivery_slots",
    "_recipient_limit",
    "_recipient_refill_delay",
    "_recipient_refill_limit",
    "_service_name",
    "_time_limit",
    "_transport_rate_delay",
];

/// Names that are no longer, and what is there instead.
const OBSOLETE: &[(&str, &str)] = &[
    ("authorized_verp_clients", "smtpd_authorized_verp_clients"),
    ("lmtp_use_tls", "lmtp_tls_security_level"),
    ("postscreen_blacklist_action", "postscreen_denylist_action"),
    (
        "program_directory",
        "command_directory and daemon_directory",
    ),
    ("smtp_enforce_tls", "smtp_tls_security_level = encrypt"),
    ("smtp_tls_per_site", "smtp_tls_policy_maps"),
    ("smtp_use_tls", "smtp_tls_security_level = may"),
    ("smtpd_enforce_tls", "smtpd_tls_security_level = encrypt"),
    ("smtpd_sasl_application_name", "smtpd_sasl_path"),
    ("smtpd_use_tls", "smtpd_tls_security_level = may"),
    ("virtual_maps", "virtual_alias_maps"),
];

/// Whether Postfix has such a parameter of its own.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(name)
        || OBSOLETE.iter().any(|(old, _)| *old == name)
        || OF_TRANSPORTS
            .iter()
            .any(|end| name.len() > end.len() && name.ends_with(end))
}

/// What is there instead of a name that is no longer.
pub(super) fn instead(name: &str) -> Option<&'static str> {
    let found = OBSOLETE.iter().find(|(old, _)| *old == name);
    found.map(|(_, new)| *new)
}

/// The known name that is nearest to one that is not.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let most = (name.len() / 5).clamp(1, 3);
    let near = KNOWN.iter().filter_map(|known| {
        let distance = distance(name, known, most)?;
        Some((distance, Reverse(common_start(name, known)), *known))
    });
    near.min().map(|(_, _, known)| known)
}

fn common_start(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// Insertions, deletions, replacements and swaps of neighbours that make one the other, if not
/// more than `most`.
pub(super) fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > most || a.len().max(b.len()) > 255 {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    let all = last.last().copied()?;
    (all <= most).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_neighbours() {
        assert!(is_known("relay_domains"));
        assert!(is_known("local_destination_recipient_limit"));
        assert!(is_known("sendgrid_destination_rate_delay"));
        assert!(!is_known("replay_domains"));
        assert_eq!(nearest("replay_domains"), Some("relay_domains"));
        assert_eq!(nearest("mynetwroks"), Some("mynetworks"));
        assert_eq!(
            nearest("smtpd_recipient_restriction"),
            Some("smtpd_recipient_restrictions")
        );
        assert_eq!(nearest("what_is_this"), None);
    }

    #[test]
    fn a_swap_is_one_step() {
        assert_eq!(distance("yourdoamin", "yourdomain", 2), Some(1));
        assert_eq!(distance("same", "same", 2), Some(0));
        assert_eq!(distance("abc", "xyz", 2), None);
    }
}
