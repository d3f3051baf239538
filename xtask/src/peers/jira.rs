//! Jira: a proxy that holds what passes against the OpenAPI documents, and the schema of its documents.

use super::{Peers, npm};

/// The proxy, pinned: later ones need a newer Node.js.
const PRISM: &str = "@stoplight/prism-cli@5.14.2";

/// The schema of the Atlassian Document Format, and what checks by it.
const ADF: &[&str] = &[
    "@atlaskit/adf-schema@57.7.22",
    "ajv@8.20.0",
    "ajv-draft-04@1.0.0",
];

pub(super) fn install(may_install: bool, peers: &mut Peers) {
    let prism = npm(may_install, "prism", &[PRISM], "node_modules/.bin/prism");
    peers.note("NOTIFIER_TEST_PRISM", "the OpenAPI proxy", prism);
    let adf = npm(
        may_install,
        "adf",
        ADF,
        "node_modules/@atlaskit/adf-schema/dist/json-schema/v1/full.json",
    );
    peers.note("NOTIFIER_TEST_ADF", "the schema of Jira's documents", adf);
}
