//! Templates and what Go 1.19 makes of them: see go/reference.go.

use std::path::Path;

use crate::support;

#[test]
fn every_line_is_as_go_has_it() {
    let cases =
        support::read_lines(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/go119.jsonl"));
    assert!(cases.len() >= 300, "only {} cases", cases.len());
    let bad = support::disagreements(&cases);
    assert!(
        bad.is_empty(),
        "{} of {} differ:\n{}",
        bad.len(),
        cases.len(),
        bad.join("\n")
    );
}
