//! Sentry: Bugsink, a server that speaks its protocol, and the normaliser of its relay.

use super::Peers;

pub(super) fn install(_may_install: bool, _peers: &mut Peers) {}
