//! What is looked for. A rule looks at a review's settings and adds its findings.

mod block_lists;
mod destinations;
mod hosts;
mod mynetworks;
mod names;
mod relayhost;
mod restrictions;
mod services;
mod tables;
mod tls;
mod values;

use super::finding::Review;
pub(super) use restrictions::zones;

/// All of them, for main.cf and for each service that says something otherwise.
pub(super) fn all(review: &mut Review<'_>) {
    mynetworks::look(review);
    mynetworks::look_at_proxies(review);
    destinations::look(review);
    relayhost::look(review);
    restrictions::look(review);
    tls::look(review);
    hosts::look(review);
    values::look(review);
    tables::look(review);
    names::look(review);
}

/// Those for the files as such.
pub(super) fn once(review: &mut Review<'_>) {
    names::look_at_lines(review);
    services::look(review);
}
