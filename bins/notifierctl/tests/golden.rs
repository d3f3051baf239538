//! `render` against what Go printed for the original, where those recordings are.

use std::path::Path;

use assert_cmd::Command;
use notifiers::jiff::Timestamp;
use serde_json::{Value, json};

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test is said aloud")]
fn render_prints_what_go_printed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    let Ok(lines) = std::fs::read_to_string(golden.join("templates.jsonl")) else {
        eprintln!("SKIPPED templates through notifierctl: ../shared/golden is not here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (file, template) = (
        folder.path().join("failure.json"),
        folder.path().join("template"),
    );
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let mut failure = case["failure"].clone();
        for name in ["started", "finished"] {
            let unix = failure[format!("{name}_unix")].as_i64().unwrap();
            failure[name] = json!(Timestamp::from_second(unix).unwrap().to_string());
        }
        std::fs::write(&file, failure.to_string()).unwrap();
        std::fs::write(&template, case["template"].as_str().unwrap()).unwrap();
        let mut c = Command::new(env!("CARGO_BIN_EXE_notifierctl"));
        c.env_clear()
            .env("TZ", "UTC")
            .arg("render")
            .arg("--failure")
            .arg(&file);
        c.arg("--template-file").arg(&template);
        for (flag, key) in [
            ("--stdout-url", "stdout_url"),
            ("--stderr-url", "stderr_url"),
        ] {
            c.arg(flag).arg(case[key].as_str().unwrap());
        }
        for (k, v) in case["config"].as_object().unwrap() {
            c.arg("--config")
                .arg(format!("{k}={}", v.as_str().unwrap()));
        }
        let out = c.output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        let good = match (case["want"].as_str(), case["error_stage"].as_str()) {
            (Some(want), _) => out.status.success() && out.stdout == want.as_bytes(),
            (None, Some(stage)) => out.status.code() == Some(65) && stderr.contains(stage),
            _ => false,
        };
        count += 1;
        if !good {
            wrong.push(format!("{}: {stderr}", case["name"]));
        }
    }
    assert!(
        count >= 100 && wrong.is_empty(),
        "{} of {count}: {wrong:#?}",
        wrong.len()
    );
}
