//! Tables in the docs that are made from declarations, so that they cannot rot.

use std::fs;

use serde_json::Value;

use crate::run::{Result, cargo, output, root};

/// Writes the tables, or fails if one is not as it would be written.
pub(crate) fn all(check: bool) -> Result {
    let mut options = cargo();
    options.args([
        "run",
        "--quiet",
        "--locked",
        "-p",
        "notifierctl",
        "--",
        "options",
        "--format",
        "markdown",
    ]);
    let options = format!(
        "# Options\n\nMade by `cargo xtask tables` from the declarations in the code. Do not edit.\n\n{}\n",
        output(options)?
            .trim()
            .trim_start_matches("# Options")
            .trim()
    );
    put("docs/options.md", &options, check)?;
    let readme = fs::read_to_string(root().join("README.md"))
        .map_err(|e| format!("cannot read README.md: {e}"))?;
    let readme = between(&readme, "crates", &crates()?)?;
    put("README.md", &readme, check)
}

/// One row for each crate, from its manifest.
fn crates() -> Result<String> {
    let mut c = cargo();
    c.args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let metadata: Value = serde_json::from_str(&output(c)?)
        .map_err(|e| format!("cannot read cargo metadata: {e}"))?;
    let mut rows = Vec::new();
    for p in metadata["packages"].as_array().into_iter().flatten() {
        if !p["publish"].is_null() {
            continue;
        }
        let (name, path) = (
            p["name"].as_str().unwrap_or_default(),
            p["manifest_path"].as_str().unwrap_or_default(),
        );
        let folder = path
            .strip_prefix(root().to_str().unwrap_or_default())
            .unwrap_or(path)
            .trim_start_matches('/')
            .trim_end_matches("/Cargo.toml");
        rows.push(format!(
            "| [`{name}`]({folder}) | {} |",
            p["description"].as_str().unwrap_or_default()
        ));
    }
    rows.sort();
    Ok(format!(
        "| crate | what it is |\n|---|---|\n{}\n",
        rows.join("\n")
    ))
}

/// The text with what stands between two marks replaced.
fn between(text: &str, mark: &str, new: &str) -> Result<String> {
    let (open, close) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    match (text.find(&open), text.find(&close)) {
        (Some(a), Some(b)) if a < b => {
            Ok(format!("{}{new}{}", &text[..a + open.len()], &text[b..]))
        }
        _ => Err(format!("README.md has no marks {} … {close}", open.trim())),
    }
}

fn put(path: &str, text: &str, check: bool) -> Result {
    let full = root().join(path);
    let old = fs::read_to_string(&full).unwrap_or_default();
    if old == text {
        return Ok(());
    }
    if check {
        return Err(format!(
            "{path} is not up to date: run `cargo xtask tables`"
        ));
    }
    fs::write(&full, text).map_err(|e| format!("cannot write {path}: {e}"))?;
    println!("wrote {path}");
    Ok(())
}
