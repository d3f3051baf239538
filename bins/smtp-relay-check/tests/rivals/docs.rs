//! The table in the docs.

use std::{fs, path::Path};

use notifier_testkit::peer;

use crate::{Row, tools::Tools};

const DOCS: &str = "../../docs/smtp-relay-check.md";
const MARKS: (&str, &str) = ("<!-- rivals -->\n", "<!-- /rivals -->");

/// What each said, and whether that is right.
pub(crate) fn table(tools: &Tools, rows: &[Row]) -> String {
    let names = tools.names();
    let mut text = format!(
        "| server | is | {} | smtp-relay-check |\n",
        names.join(" | ")
    );
    text.push_str(&"|---".repeat(names.len() + 3));
    text.push_str("|\n");
    let mut right = vec![0; names.len() + 1];
    for Row { case, said } in rows {
        let mut cells = vec![case.name.to_owned(), word(case.is_well).to_owned()];
        for (said, right) in said.iter().zip(&mut right) {
            let is_right = said.is_right(case);
            *right += usize::from(is_right);
            let check = match said.decisive.as_str() {
                "" => String::new(),
                id => format!(": `{id}`"),
            };
            let mark = if is_right { "" } else { " ✗" };
            cells.push(format!("{}{check}{mark}", said.word));
        }
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    let sums: Vec<String> = right
        .iter()
        .map(|n| format!("**{n} of {}**", rows.len()))
        .collect();
    text.push_str(&format!("| right | | {} |\n", sums.join(" | ")));
    text
}

fn word(is_well: bool) -> &'static str {
    if is_well { "well" } else { "broken" }
}

/// How long each took: of this run only.
pub(crate) fn times(tools: &Tools, rows: &[Row]) -> String {
    let mut text = format!("seconds: {}, smtp-relay-check\n", tools.names().join(", "));
    for Row { case, said } in rows {
        let times: Vec<String> = said
            .iter()
            .map(|s| format!("{:.2}", s.took.as_secs_f64()))
            .collect();
        text.push_str(&format!("{:<40} {}\n", case.name, times.join("  ")));
    }
    text
}

/// Whether this is the Debian that the table was made on: with other libraries the same versions of
/// others may say another thing.
fn is_the_same_system() -> bool {
    let told = fs::read_to_string("/etc/os-release").unwrap_or_default();
    told.lines().any(|l| l == "VERSION_CODENAME=bookworm")
}

/// Holds the docs against what was found, or writes it there.
pub(crate) fn compare(tools: &Tools, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCS);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(MARKS.0).expect("the docs have a mark");
    let (old, after) = rest.split_once(MARKS.1).expect("the docs have a mark");
    #[expect(clippy::disallowed_methods, reason = "a switch of this test")]
    let is_to_write = std::env::var_os("NOTIFIER_WRITE_TABLES").is_some();
    if is_to_write {
        let (open, close) = MARKS;
        fs::write(&path, format!("{before}{open}{table}{close}{after}")).unwrap();
        return;
    }
    let head = |table: &str| table.lines().next().unwrap_or_default().to_owned();
    if head(old) != head(table) || !is_the_same_system() {
        let here = tools.names().join(", ");
        peer::skipped(
            "the table in docs/smtp-relay-check.md",
            &format!("here are {here}"),
        );
        return;
    }
    assert_eq!(old, table, "NOTIFIER_WRITE_TABLES=1 writes it anew");
}
