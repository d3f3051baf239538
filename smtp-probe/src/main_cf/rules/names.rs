//! Parameters that are none, and lines that are none.

use std::collections::BTreeSet;

use super::super::{finding::Review, names, tables::Table};
use crate::report::State;

/// Looks at the names of all settings.
pub(super) fn look(review: &mut Review<'_>) {
    let own = own_names(review);
    let all: Vec<String> = review.config.settings().map(|s| s.name.clone()).collect();
    for name in all {
        if let Some(new) = names::instead(&name) {
            let what = "is the name of an older Postfix";
            let hint = format!("write {new} instead");
            review.find("obsolete", State::Ok, &name, what, hint);
        } else if name == "sample_directory" {
            let what = "is without effect since Postfix 2.1";
            review.find("obsolete", State::Ok, &name, what, "remove it");
        } else if !names::is_known(&name) && !is_own(&own, &name) {
            let hint = match names::nearest(&name) {
                Some(near) => format!("write {near}, if that is meant"),
                None => "remove it; postconf -n warns of it too".to_owned(),
            };
            let what = "Postfix has no such parameter, and does nothing with it";
            review.find("unknown-parameter", State::Warn, &name, what, hint);
        }
    }
}

/// Names that settings use themselves, and those that begin with the name of a table.
fn own_names(review: &Review<'_>) -> BTreeSet<String> {
    let mut own: BTreeSet<String> = review
        .config
        .list("smtpd_restriction_classes")
        .into_iter()
        .collect();
    let services = review
        .master
        .map(|m| m.services.as_slice())
        .unwrap_or_default();
    let overrides = services.iter().flat_map(|s| &s.overrides);
    for setting in review.config.settings().chain(overrides) {
        let mut rest = setting.value.as_str();
        while let Some((_, after)) = rest.split_once('$') {
            let after = after.trim_start_matches(['{', '(']);
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, left) = after.split_at(end.unwrap_or(after.len()));
            own.insert(name.to_owned());
            rest = left;
        }
        for word in super::super::lines::words(&setting.value) {
            if let Some(table) = Table::parse(&word)
                && !table.name.starts_with('/')
            {
                own.insert(format!("{}_", table.name));
            }
        }
    }
    own
}

fn is_own(own: &BTreeSet<String>, name: &str) -> bool {
    let begins = |o: &String| o.len() > 1 && o.ends_with('_') && name.starts_with(o.as_str());
    own.contains(name) || own.iter().any(begins)
}

/// Looks at what is no setting, or one twice.
pub(super) fn look_at_lines(review: &mut Review<'_>) {
    let config = review.config;
    for place in &config.malformed {
        let what = "is no setting: it has no name and =, and Postfix does not start with it";
        let hint = "write name = value, or begin the line with a space to continue the one before";
        review.find_at("syntax", State::Crit, ("main.cf", place), what, hint);
    }
    for (undone, line) in &config.undone {
        let what = format!("is set again in line {line}, and that one counts");
        let hint = format!("remove line {} or line {line}", undone.place.line);
        review.find_at(
            "duplicate",
            State::Warn,
            (&undone.name, &undone.place),
            what,
            hint,
        );
    }
}
