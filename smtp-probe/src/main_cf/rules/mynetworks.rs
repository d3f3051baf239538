//! Who may send to anywhere without a login.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::super::{
    finding::Review,
    networks::{
        Range, count, ingress, is_everything, is_exact, is_gateway, network, private_within,
        public, range, spelled,
    },
    tables,
};
use crate::report::State;

const OWN: &str = "name only the addresses of your own clients; let others log in";

pub(super) fn look(review: &mut Review<'_>) {
    style(review);
    if !review.config.has("mynetworks") {
        return;
    }
    let all = Entries::of(review, "mynetworks");
    for entry in &all.entries {
        judge(review, entry, &all);
    }
}

/// One entry and those that stand before it with a `!`.
struct Entry {
    /// As it is written, for a table with its name.
    written: String,
    /// The word in main.cf.
    word: String,
    what: What,
    /// How many of the exclusions stand before it.
    excluded: usize,
}

/// Entries that are looked at, those of files among them.
const MOST: usize = 5_000;

/// The entries of a list and, apart from them, its exclusions.
#[derive(Default)]
struct Entries {
    entries: Vec<Entry>,
    excluded: Vec<Range>,
}

enum What {
    Net(IpNet),
    Everyone,
    Unseen,
    /// Never matched.
    Void,
    Wrong(String),
}

impl Entries {
    /// Those of a parameter.
    fn of(review: &Review<'_>, parameter: &str) -> Self {
        let mut all = Self::default();
        for word in review.config.list(parameter) {
            all.add(review, &word, &word, 0);
        }
        all
    }

    /// What an entry has that no earlier one excludes.
    fn public(&self, net: &IpNet, entry: &Entry) -> u128 {
        count(&public(net, &self.excluded[..entry.excluded]))
    }

    /// Adds one. Files of entries may name others, to a depth of three.
    fn add(&mut self, review: &Review<'_>, written: &str, word: &str, depth: usize) {
        if self.entries.len() + self.excluded.len() >= MOST {
            return;
        }
        let (pattern, is_exclusion) = match written.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (written, false),
        };
        let mut put = |written: String, what: What| match (what, is_exclusion) {
            (What::Net(net), true) => self.excluded.push(range(&net)),
            (_, true) => {}
            (what, false) => self.entries.push(Entry {
                written: match depth {
                    0 => written,
                    _ => format!("{written} in {word}"),
                },
                word: word.to_owned(),
                what,
                excluded: self.excluded.len(),
            }),
        };
        if pattern.starts_with('/') {
            match review.files.read(&review.path(pattern)) {
                Some(text) if depth < 3 => {
                    for inner in super::super::lines::words(&tables::plain(&text)) {
                        let not = if is_exclusion { "!" } else { "" };
                        self.add(review, &format!("{not}{inner}"), word, depth + 1);
                    }
                }
                _ => put(pattern.to_owned(), What::Unseen),
            }
        } else if let Some(net) = network(pattern)
            && (net.addr().is_ipv4() || pattern.starts_with('['))
        {
            let what = match is_exact(&net) {
                true => What::Net(net),
                false => What::Wrong(format!(
                    "its address has bits that /{} does not cover, and Postfix refuses all mail for it",
                    net.prefix_len()
                )),
            };
            put(pattern.to_owned(), what);
        } else if let Some(table) = tables::Table::parse(pattern) {
            match table.keys(review) {
                Some(tables::Keys::All) => put(pattern.to_owned(), What::Everyone),
                Some(tables::Keys::Some(keys)) => {
                    for key in keys.into_iter().take(MOST) {
                        if let Some(net) = partial(&key) {
                            put(format!("{key} in {pattern}"), What::Net(net));
                        }
                    }
                }
                None => put(pattern.to_owned(), What::Unseen),
            }
        } else if pattern.contains(':') || looks_numeric(pattern) {
            let why = match pattern.contains(':') {
                true => "an address of IPv6 stands in brackets, as [::1]/128",
                false => "it is no address, no network and no table",
            };
            put(pattern.to_owned(), What::Wrong(why.to_owned()));
        } else {
            put(pattern.to_owned(), What::Void);
        }
    }
}

/// Whether it is a network or nothing. What has other letters in it, Postfix passes over.
fn looks_numeric(pattern: &str) -> bool {
    let is_part = |c: char| c.is_ascii_hexdigit() || ".[]/".contains(c);
    pattern.contains('/') && pattern.chars().all(is_part)
}

/// A key of a table: a network, an address, or its first octets (access(5)).
fn partial(key: &str) -> Option<IpNet> {
    if let Some(net) = network(key) {
        return Some(net);
    }
    let octets: Vec<&str> = key.split('.').collect();
    let is_start = octets.len() < 4 && octets.iter().all(|o| o.parse::<u8>().is_ok());
    let missing = ".0".repeat(4_usize.checked_sub(octets.len())?);
    is_start
        .then(|| network(&format!("{key}{missing}/{}", octets.len() * 8)))
        .flatten()
}

fn judge(review: &mut Review<'_>, entry: &Entry, among: &Entries) {
    let (at, written) = (("mynetworks", entry.word.as_str()), &entry.written);
    let net = match &entry.what {
        What::Net(net) => net,
        What::Everyone => {
            let what = format!("{written} has every address: this is an open relay");
            review.find_word("mynetworks-everyone", State::Crit, at, what, OWN);
            return;
        }
        What::Unseen => {
            let what = format!("what {written} holds could not be seen");
            let hint = "see that it names no public addresses";
            review.find_word("mynetworks-unseen", State::Ok, at, what, hint);
            return;
        }
        What::Void => {
            let what = format!(
                "{written} is no address, and only addresses count here: it is passed over"
            );
            let hint = "write its address instead, as 127.0.0.0/8 for this machine";
            review.find_word("mynetworks-name", State::Warn, at, what, hint);
            return;
        }
        What::Wrong(why) => {
            let what = format!("{written:?} is wrong: {why}");
            let hint = "write networks as 10.1.0.0/16 and [2001:db8::]/32";
            review.find_word("mynetworks-syntax", State::Crit, at, what, hint);
            return;
        }
    };
    let public = among.public(net, entry);
    let all = count(&[range(net)]);
    let is_host = all == 1;
    if is_everything(net) && entry.excluded == 0 {
        let what = format!("{written} is every address: this is an open relay");
        review.find_word("mynetworks-everyone", State::Crit, at, what, OWN);
    } else if public == 1 && is_host {
        let what = format!("{written} is a public address, which may send to anywhere");
        let hint = "keep it only if this one machine is yours alone";
        review.find_word("mynetworks-public", State::Warn, at, what, hint);
    } else if public > 0 {
        let what = format!(
            "contains {written}: {} of its {} addresses are public, and whoever has one may send to anywhere",
            spelled(public),
            spelled(all)
        );
        review.find_word("mynetworks-public", State::Crit, at, what, instead(net));
    } else if ingress().iter().any(|i| i.contains(net)) {
        let what = format!(
            "{written} is where Docker Swarm's ingress network is: by a port published through it, all the world comes from there"
        );
        let hint = "leave it out, or publish the port with mode: host so that clients keep their addresses";
        // One machine there may be one of a network of one's own, of which this is a common range.
        let state = if is_host && !is_swarms_alone(net) {
            State::Warn
        } else {
            State::Crit
        };
        review.find_word("mynetworks-ingress", state, at, what, hint);
    } else if is_gateway(net) {
        let what = format!(
            "{written} looks like the gateway of a Docker network: clients of a published port that pass through its proxy come from there"
        );
        let hint = "leave it out, or turn the userland proxy off (userland-proxy: false)";
        // Elsewhere than in Docker's first range it may be a router.
        let state = if is_dockers(net) {
            State::Crit
        } else {
            State::Warn
        };
        review.find_word("mynetworks-ingress", state, at, what, hint);
    } else if let Some(ingress) = ingress().iter().find(|i| net.contains(*i)) {
        let what = format!(
            "{written} contains {ingress}, from where all clients seem to come if Docker Swarm's ingress publishes the port"
        );
        let hint = "see that no port of this relay is published through Swarm's mesh";
        review.find_word("mynetworks-ingress", State::Ok, at, what, hint);
    }
}

/// What to write for a network that is too wide.
fn instead(net: &IpNet) -> String {
    let within = private_within(net);
    if within.is_empty() {
        return OWN.to_owned();
    }
    let names: Vec<String> = within
        .iter()
        .map(|w| match is_dockers(w) {
            true => format!("{w} (in which Docker's are)"),
            false => w.to_string(),
        })
        .collect();
    format!(
        "write the private network instead: {}, or the part of it that your clients are in",
        names.join(", ")
    )
}

/// Whether it is in the range from which Docker takes its networks first.
fn is_dockers(net: &IpNet) -> bool {
    let range = Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12);
    IpNet::from(range).contains(net)
}

/// Whether hardly anything else has it: the ingress network of Swarm until 18.06.
fn is_swarms_alone(net: &IpNet) -> bool {
    let [old, _] = ingress();
    old.contains(net)
}

fn style(review: &mut Review<'_>) {
    let style = review.config.value("mynetworks_style").to_ascii_lowercase();
    if !review.config.has("mynetworks_style") {
        if !review.config.has("mynetworks") && style != "host" && !review.is_local() {
            review.find(
                "mynetworks-style",
                State::Warn,
                "mynetworks",
                "without it and a compatibility_level of 2 or more, the whole subnet of each interface is trusted; in a cloud these are other people's machines",
                "set mynetworks = 127.0.0.0/8 [::1]/128 and what your clients have",
            );
        }
        return;
    }
    if review.config.has("mynetworks") {
        review.find(
            "mynetworks-style",
            State::Ok,
            "mynetworks_style",
            "is without effect, since mynetworks is set",
            "remove it",
        );
        return;
    }
    let (state, what) = match style.as_str() {
        "class" => (
            State::Crit,
            "trusts the whole class A, B or C network of each interface, most of it other people's",
        ),
        "subnet" => (
            State::Warn,
            "trusts the whole subnet of each interface; in a cloud these are other people's machines",
        ),
        _ => return,
    };
    let hint = "set mynetworks_style = host, or name the networks in mynetworks";
    review.find("mynetworks-style", state, "mynetworks_style", what, hint);
}

/// Who may say for another client where it comes from.
pub(super) fn look_at_proxies(review: &mut Review<'_>) {
    for name in [
        "smtpd_authorized_xclient_hosts",
        "smtpd_authorized_xforward_hosts",
        "qmqpd_authorized_clients",
    ] {
        let all = Entries::of(review, name);
        for entry in &all.entries {
            let is_public = match &entry.what {
                What::Net(net) => all.public(net, entry) > 0,
                What::Everyone => true,
                What::Unseen | What::Void | What::Wrong(_) => false,
            };
            if is_public {
                let what = format!(
                    "{} has public addresses: who has one may pretend to be any client, and so relay",
                    entry.written
                );
                let hint = "name only the addresses of your own proxies, or leave it empty";
                review.find_word(
                    "proxies-public",
                    State::Crit,
                    (name, &entry.word),
                    what,
                    hint,
                );
            }
        }
    }
}
