//! The original's answers, where the folder with them lies beside the workspace.

use std::path::PathBuf;

use notifier_template::{Duration, Time, Zone};

use crate::support;

fn shared(file: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/golden")
        .join(file);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED {file}: ../shared is not here");
    None
}

fn check(file: &str) {
    let Some(path) = shared(file) else { return };
    let cases = support::read_lines(&path);
    let bad = support::disagreements(&cases);
    eprintln!(
        "{file}: {} of {} agree",
        cases.len() - bad.len(),
        cases.len()
    );
    assert!(
        bad.is_empty(),
        "{} of {} differ:\n{}",
        bad.len(),
        cases.len(),
        bad.join("\n")
    );
}

#[test]
fn templates_render_as_the_original_does() {
    check("templates.jsonl");
}

#[test]
fn mutated_templates_render_as_the_original_does() {
    check("templates-mutated.jsonl");
}

#[test]
fn times_look_as_the_originals_do() {
    let Some(path) = shared("time-layouts.jsonl") else {
        return;
    };
    for case in support::read_lines(&path) {
        let nanos = u32::try_from(case["nanos"].as_u64().unwrap()).unwrap();
        let time = Time::from_unix(case["unix"].as_i64().unwrap(), nanos).in_zone(Zone::Utc);
        let duration = Duration::from_nanos(case["duration_ns"].as_i64().unwrap());
        assert_eq!(
            time.format(case["layout"].as_str().unwrap()),
            case["formatted"],
            "{case}"
        );
        assert_eq!(time.to_string(), case["time_string"], "{case}");
        assert_eq!(duration.to_string(), case["duration_string"], "{case}");
    }
}
