//! Files that are read.

use std::{
    fs::File,
    io::{self, Read},
};

use notifier_runtime::{Exit, Fatal};
use notifiers::FailureRecord;

/// The largest input that is read.
const MAX: u64 = 16 << 20;

/// The text of a file, or of the standard input for `-`.
pub(crate) fn read(path: &str) -> Result<String, Fatal> {
    let name = if path == "-" {
        "the standard input"
    } else {
        path
    };
    let bytes =
        bytes(path).map_err(|e| Fatal::new(Exit::Io, format!("cannot read {name}: {e}")))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to() + 1;
        Fatal::new(Exit::Data, format!("{name}: byte {at} is not UTF-8"))
    })
}

fn bytes(path: &str) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if path == "-" {
        io::stdin().lock().take(MAX + 1).read_to_end(&mut out)?;
    } else {
        File::open(path)?.take(MAX + 1).read_to_end(&mut out)?;
    }
    if out.len() as u64 > MAX {
        return Err(io::Error::other(format!("it is larger than {MAX} bytes")));
    }
    Ok(out)
}

/// A failure from a file, or from the standard input for `-`.
pub(crate) fn failure(path: &str) -> Result<FailureRecord, Fatal> {
    let text = read(path)?;
    serde_json::from_str(&text).map_err(|e| {
        let name = if path == "-" {
            "the standard input"
        } else {
            path
        };
        Fatal::new(
            Exit::Data,
            format!("{name} is not a failure: {}", without_value(&e.to_string())),
        )
    })
}

/// serde says `invalid type: string "…", expected …`: the value may be a secret.
fn without_value(message: &str) -> String {
    match (
        message.split_once(": string \""),
        message.rsplit_once("\", expected"),
    ) {
        (Some((before, _)), Some((_, after))) => format!("{before}: string \"…\", expected{after}"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_quote_values() {
        assert_eq!(
            without_value(
                "invalid type: string \"s\", expected\", expected a map at line 1 column 9"
            ),
            "invalid type: string \"…\", expected a map at line 1 column 9"
        );
        assert_eq!(without_value("missing field `id`"), "missing field `id`");
    }
}
