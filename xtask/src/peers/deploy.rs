//! What checks the files under `deploy/`.

use super::Peers;

pub(super) fn install(_may_install: bool, _peers: &mut Peers) {}
