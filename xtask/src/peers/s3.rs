//! S3: Ceph's gateway.

use super::Peers;

pub(super) fn install(_may_install: bool, _peers: &mut Peers) {}
