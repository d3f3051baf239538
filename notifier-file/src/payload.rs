//! The record as it is written.

/// Makes control characters but line feed and tab visible, `\x1b`, so that a record
/// read on a terminal cannot steer it.
///
/// Those of data are visible already, line feeds included: see
/// [`Markup::Lines`](notifier_core::Markup::Lines). What is left is the template's own, and
/// so are its line feeds, which decide where records end.
pub(crate) fn record(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            out.push_str(&format!("\\x{:02x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(
            record("a\u{1b}[31mb\0\r\n\tc\u{9b}"),
            "a\\x1b[31mb\\x00\\x0d\n\tc\\x9b"
        );
    }

    proptest! {
        #[test]
        fn no_control_character_is_left(text in any::<String>()) {
            prop_assert!(record(&text).chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }

        #[test]
        fn other_text_is_unchanged(text in "[^\\p{Cc}]*") {
            prop_assert_eq!(record(&text), text);
        }
    }
}
