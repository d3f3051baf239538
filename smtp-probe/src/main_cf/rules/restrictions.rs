//! What smtpd asks before it takes a recipient, and in which order.

use std::collections::BTreeSet;

use super::{
    super::{
        finding::Review,
        tables::{self, Table},
    },
    block_lists,
};
use crate::report::State;

/// Each list, in the order of its stage.
const LISTS: &[&str] = &[
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
    "smtpd_etrn_restrictions",
];

/// Restrictions that take a word after them.
const WITH_WORD: &[&str] = &[
    "check_policy_service",
    "permit_dnswl_client",
    "permit_rhswl_client",
    "reject_rbl_client",
    "reject_rhsbl_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_recipient",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_sender",
    "sleep",
];

/// Those that take none: postconf(5).
const PLAIN: &[&str] = &[
    "check_relay_domains",
    "defer",
    "defer_if_permit",
    "defer_if_reject",
    "defer_unauth_destination",
    "permit",
    "permit_auth_destination",
    "permit_client_nexthop",
    "permit_inet_interfaces",
    "permit_mx_backup",
    "permit_mynetworks",
    "permit_naked_ip_address",
    "permit_sasl_authenticated",
    "permit_tls_all_clientcerts",
    "permit_tls_clientcerts",
    "reject",
    "reject_authenticated_sender_login_mismatch",
    "reject_invalid_helo_hostname",
    "reject_invalid_hostname",
    "reject_known_sender_login_mismatch",
    "reject_maps_rbl",
    "reject_multi_recipient_bounce",
    "reject_non_fqdn_helo_hostname",
    "reject_non_fqdn_hostname",
    "reject_non_fqdn_recipient",
    "reject_non_fqdn_sender",
    "reject_plaintext_session",
    "reject_sender_login_mismatch",
    "reject_unauth_destination",
    "reject_unauth_pipelining",
    "reject_unauthenticated_sender_login_mismatch",
    "reject_unknown_address",
    "reject_unknown_client",
    "reject_unknown_client_hostname",
    "reject_unknown_forward_client_hostname",
    "reject_unknown_helo_hostname",
    "reject_unknown_hostname",
    "reject_unknown_recipient_domain",
    "reject_unknown_reverse_client_hostname",
    "reject_unknown_sender_domain",
    "reject_unlisted_recipient",
    "reject_unlisted_sender",
    "reject_unverified_recipient",
    "reject_unverified_sender",
    "warn_if_reject",
];

/// Those that refuse a client by the name that it greets with.
const HELO: &[&str] = &[
    "reject_invalid_helo_hostname",
    "reject_invalid_hostname",
    "reject_non_fqdn_helo_hostname",
    "reject_non_fqdn_hostname",
    "reject_unknown_helo_hostname",
    "reject_unknown_hostname",
];

/// A restriction and the word after it.
#[derive(Clone, Debug)]
struct Item {
    name: String,
    word: String,
}

pub(super) fn look(review: &mut Review<'_>) {
    relaying(review);
    for list in LISTS {
        if review.config.has(list) {
            let items = items(review, list);
            helo(review, list, &items);
            for item in &items {
                if item.name.starts_with("reject_rbl") || item.name.starts_with("reject_rhsbl") {
                    block_lists::look(review, list, &item.word);
                }
            }
            names(review, list, &items);
        }
    }
    for zone in review.config.list("postscreen_dnsbl_sites") {
        block_lists::look(review, "postscreen_dnsbl_sites", &zone);
    }
}

/// The zones of addresses that it asks, without what follows a zone's name.
pub(in super::super) fn zones(review: &Review<'_>) -> Vec<String> {
    let lists = LISTS.iter().filter(|list| review.config.has(list));
    let items = lists.flat_map(|list| items(review, list));
    let asked = items.filter(|item| item.name == "reject_rbl_client");
    let asked = asked.map(|item| item.word);
    let all = asked.chain(review.config.list("postscreen_dnsbl_sites"));
    let names = all.map(|word| block_lists::name(&word));
    let names: BTreeSet<String> = names.filter(|name| !name.is_empty()).collect();
    names.into_iter().collect()
}

/// The restrictions of a list, those of its classes in their place.
fn items(review: &Review<'_>, list: &str) -> Vec<Item> {
    let classes = review.config.list("smtpd_restriction_classes");
    let mut items = Vec::new();
    add(review, &classes, list, 0, &mut items);
    items
}

fn add(review: &Review<'_>, classes: &[String], list: &str, depth: usize, items: &mut Vec<Item>) {
    let mut words = review.config.list(list).into_iter();
    while let Some(word) = words.next() {
        if items.len() > 1000 {
            return;
        }
        if classes.contains(&word) && depth < 4 {
            add(review, classes, &word, depth + 1, items);
            continue;
        }
        let name = word.to_ascii_lowercase();
        let takes_word = WITH_WORD.contains(&name.as_str())
            || (name.starts_with("check_") && name.ends_with("_access"));
        let word = if takes_word { words.next() } else { None };
        items.push(Item {
            name,
            word: word.unwrap_or_default(),
        });
    }
}

/// A way past a list for who is not to relay.
struct Leak {
    state: State,
    word: String,
    what: String,
}

/// Whether a list refuses what is for other domains, and the ways past it.
fn guard(review: &Review<'_>, list: &str) -> (bool, Vec<Leak>) {
    let mut leaks = Vec::new();
    let mut is_void = false;
    for item in items(review, list) {
        if std::mem::take(&mut is_void) {
            continue;
        }
        match item.name.as_str() {
            // What comes next is not done, only logged.
            "warn_if_reject" => is_void = true,
            "reject"
            | "defer"
            | "defer_if_permit"
            | "reject_unauth_destination"
            | "defer_unauth_destination"
            | "check_relay_domains" => return (true, leaks),
            "permit" => {
                leaks.push(Leak {
                    state: State::Crit,
                    word: "permit".to_owned(),
                    what: "permit stands before anything that refuses other domains".to_owned(),
                });
                return (false, leaks);
            }
            "permit_naked_ip_address" | "permit_mx_backup" | "permit_tls_all_clientcerts" => {
                let who = match item.name.as_str() {
                    "permit_mx_backup" => "who points an MX record here",
                    "permit_tls_all_clientcerts" => "who has any certificate of a known authority",
                    _ => "who greets with an address",
                };
                leaks.push(Leak {
                    state: State::Warn,
                    what: format!("{} lets {who} send to anywhere", item.name),
                    word: item.name,
                });
            }
            name if name.starts_with("check_") && name.ends_with("_access") => {
                leaks.extend(leak(review, &item));
            }
            _ => {}
        }
    }
    (false, leaks)
}

/// What an access table lets through.
fn leak(review: &Review<'_>, item: &Item) -> Option<Leak> {
    let table = Table::parse(&item.word)?;
    let of_client =
        item.name.contains("client") || item.name.contains("sasl") || item.name.contains("ccert");
    let crit = |what: String| Leak {
        state: if of_client { State::Warn } else { State::Crit },
        word: item.word.clone(),
        what,
    };
    if table.kind == "static" {
        let answer = table.name.trim_matches(['{', '}']);
        return is_ok(answer)
            .then(|| crit(format!("{} {} lets everyone through", item.name, item.word)));
    }
    let Some(entries) = table.entries(review) else {
        return (!of_client).then(|| Leak {
            state: State::Ok,
            word: item.word.clone(),
            what: format!(
                "what {} {} lets through could not be seen",
                item.name, item.word
            ),
        });
    };
    if of_client {
        // A list of trusted clients, as mynetworks is.
        return None;
    }
    let own = own_domains(review);
    let is_own = |key: &str| {
        let domain = key
            .rsplit_once('@')
            .map_or(key, |(_, d)| d)
            .trim_start_matches('.');
        item.name == "check_recipient_access"
            && (key.ends_with('@') || own.iter().any(|o| o.eq_ignore_ascii_case(domain)))
    };
    let (key, value, _) = entries
        .into_iter()
        .find(|(key, value, _)| is_ok(value) && !is_own(key))?;
    let what = match item.name.as_str() {
        "check_recipient_access" => format!("{} lets everyone send to {key} ({value})", item.word),
        _ => format!(
            "{} lets everyone through who says {key} ({value}), and anyone can say so",
            item.word
        ),
    };
    Some(crit(what))
}

fn is_ok(answer: &str) -> bool {
    let first = answer.split_whitespace().next().unwrap_or_default();
    let is_number = !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit());
    let is_code = first.len() == 3 && first.starts_with(['4', '5']);
    ["ok", "permit"].contains(&first.to_ascii_lowercase().as_str()) || (is_number && !is_code)
}

fn own_domains(review: &Review<'_>) -> Vec<String> {
    let lists = [
        "mydestination",
        "relay_domains",
        "virtual_mailbox_domains",
        "virtual_alias_domains",
    ];
    let names = lists.iter().flat_map(|list| tables::names(review, list).0);
    names.map(|(name, _)| name).collect()
}

fn relaying(review: &mut Review<'_>) {
    let (relay, recipient) = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions");
    let is_unset = |name| !review.config.has(name);
    // Of a Postfix before 3.0, whose defaults refuse; a later one does not start with neither list.
    if is_unset(relay) && is_unset(recipient) && is_unset("compatibility_level") {
        return;
    }
    let guards = [guard(review, relay), guard(review, recipient)];
    if guards
        .iter()
        .any(|(closes, leaks)| *closes && leaks.is_empty())
    {
        return;
    }
    let closing = [relay, recipient]
        .into_iter()
        .zip(&guards)
        .find(|(_, (closes, _))| *closes);
    let Some((list, (_, leaks))) = closing else {
        let list = if review.config.has(relay) || !review.config.has(recipient) {
            relay
        } else {
            recipient
        };
        let permit = guards
            .iter()
            .flat_map(|(_, leaks)| leaks)
            .find(|l| l.word == "permit");
        let what = match permit {
            Some(leak) => leak.what.clone(),
            None if is_unset(relay) => format!(
                "nothing here refuses mail for other domains, and without a compatibility_level of 1 or more {relay} is empty"
            ),
            None => "nothing here nor in the other list refuses mail for other domains".to_owned(),
        };
        review.find(
            "relay-restrictions",
            State::Crit,
            list,
            format!("{what}: this is an open relay, or smtpd does not start"),
            "set smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
        );
        return;
    };
    for leak in leaks {
        let hint = "put it after reject_unauth_destination, or let it answer DUNNO instead of OK";
        let at = (list, leak.word.as_str());
        review.find_word(
            "relay-restrictions-leak",
            leak.state,
            at,
            leak.what.clone(),
            hint,
        );
    }
}

fn helo(review: &mut Review<'_>, list: &str, items: &[Item]) {
    let mut is_void = false;
    for item in items {
        if std::mem::take(&mut is_void) {
            continue;
        }
        is_void = item.name == "warn_if_reject";
        if item.name == "permit_mynetworks" {
            return;
        }
        if HELO.contains(&item.name.as_str()) {
            let what = format!(
                "{} stands before permit_mynetworks: containers greet with their short id, and are refused",
                item.name
            );
            let hint =
                "put permit_mynetworks before it, or let your clients greet with a full name";
            review.find_word(
                "helo-before-mynetworks",
                State::Warn,
                (list, &item.name),
                what,
                hint,
            );
        }
    }
}

fn names(review: &mut Review<'_>, list: &str, items: &[Item]) {
    for Item { name, .. } in items {
        let is_access = name.starts_with("check_") && name.ends_with("_access");
        let is_known = is_access
            || PLAIN.contains(&name.as_str())
            || WITH_WORD.contains(&name.as_str())
            || name.contains(':')
            || name.contains('{')
            || name.bytes().all(|b| b.is_ascii_digit());
        if !is_known {
            let near = PLAIN
                .iter()
                .chain(WITH_WORD)
                .filter_map(|p| Some((super::super::names::distance(name, p, 3)?, *p)))
                .min();
            let hint = match near {
                Some((_, near)) => format!("write {near}"),
                None => format!("remove it, or name it in smtpd_restriction_classes ({list})"),
            };
            let what = format!("{name} is no restriction: smtpd answers 451 to every mail");
            review.find_word("restriction-unknown", State::Crit, (list, name), what, hint);
        }
    }
}
