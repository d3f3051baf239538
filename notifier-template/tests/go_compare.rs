//! Random templates through this crate and through Go itself, where a `go` is installed.
//!
//! `GO_COMPARE_CASES` and `GO_COMPARE_SEED` ask for more of them, or for others.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::support;
use crate::support::generate;

const DEFAULT_CASES: usize = 4_000;

/// Builds the reference program; `None` where there is no Go.
fn reference() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/reference.go");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-reference");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(&source)
        .env("GO111MODULE", "off")
        .output();
    match built {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => panic!("go build: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => None,
    }
}

/// Where Go prints the address of a function, a zone or a map, the crate prints one of
/// its own, which is right only by chance.
fn depends_on_addresses(case: &Json) -> bool {
    let (answer, _) = support::answer(case);
    let text = answer
        .unwrap_or_default()
        .to_ascii_lowercase()
        .replace([' ', '_'], "")
        .replace("0x", "");
    [0x51_2a60_u64, 0x64_7800, 0xc0_0001_40a0]
        .iter()
        .any(|address| {
            let shown = format!("{address:x}");
            let twice: String = shown.bytes().map(|byte| format!("{byte:x}")).collect();
            [
                shown,
                twice,
                format!("{address}"),
                format!("{address:o}"),
                format!("{address:b}"),
            ]
            .iter()
            .any(|form| text.contains(form))
        })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a longer comparison is asked for by the environment"
)]
fn number(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn agrees_with_go() {
    let Some(program) = reference() else {
        eprintln!("SKIPPED Go's text/template: no `go` on the path");
        return;
    };
    let count = number("GO_COMPARE_CASES", DEFAULT_CASES);
    let seed = number("GO_COMPARE_SEED", 1);
    let mut generator = generate::Generator::new(seed as u64);
    let input = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("go-compare-{seed}.jsonl"));
    let mut lines = String::new();
    for _ in 0..count {
        writeln!(
            lines,
            "{}",
            serde_json::json!({ "template": generator.template() })
        )
        .unwrap();
    }
    std::fs::write(&input, lines).unwrap();
    let output = Command::new(program)
        .env("TZ", "UTC")
        .stdin(std::fs::File::open(&input).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    eprintln!("RAN Go's text/template");
    let cases: Vec<Json> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(cases.len(), count);

    let rendered = cases.iter().filter(|case| case["want"].is_string()).count();
    let parse_errors = cases
        .iter()
        .filter(|case| case["error_stage"] == "parse")
        .count();
    let placed: Vec<&Json> = cases
        .iter()
        .filter(|case| case["error_stage"] == "execute")
        .collect();
    let same_place = placed
        .iter()
        .filter(|case| support::has_gos_place(case))
        .count();
    let compared: Vec<Json> = cases
        .iter()
        .filter(|case| !depends_on_addresses(case))
        .cloned()
        .collect();
    let bad = support::disagreements(&compared);
    eprintln!("{}", bad.join("\n"));
    eprintln!(
        "{} of {} agree with Go ({rendered} rendered, {parse_errors} parse errors, {} execute errors of which \
         {same_place} at the same line and column, {} left out for the addresses they print)",
        compared.len() - bad.len(),
        compared.len(),
        placed.len(),
        cases.len() - compared.len(),
    );
    assert!(bad.len() * 100 <= compared.len(), "fewer than 99 % agree");
}
