//! What a message of Mesos says about the end of a process.

/// The exit code in `Command exited with status 3`, the text of the built-in executors.
pub(crate) fn code(message: &str) -> Option<i32> {
    const BEFORE: &str = " exited with status ";
    let (_, after) = message.split_once(BEFORE)?;
    let digits = after
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(after.len());
    after[..digits].parse().ok()
}

/// The most bytes of a message that are kept.
const LONGEST: usize = 16 * 1024;

/// A message, cut to what is kept of it.
pub(crate) fn message(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        for (message, expected) in [
            ("Command exited with status 3", Some(3)),
            ("Container exited with status 137", Some(137)),
            ("a; Command exited with status 1; b", Some(1)),
            ("Command terminated with signal Killed", None),
            ("Command exited with status x", None),
            ("Command exited with status 99999999999", None),
            ("", None),
        ] {
            assert_eq!(code(message), expected, "{message}");
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(message("é"), "é");
        let cut = message(&"é".repeat(LONGEST));
        assert_eq!(cut.len(), LONGEST + "…".len());
    }
}
