//! The subject, by SNS's rules.

/// The most characters of a subject.
pub const MAX_SUBJECT: usize = 100;

/// A text as a subject: ASCII, one line, at most [`MAX_SUBJECT`] characters, the first no blank
/// (docs.aws.amazon.com/sns/latest/api/API_Publish.html, read 2026). `None` if nothing is left
/// that says anything.
pub(crate) fn subject(text: &str) -> Option<String> {
    let mut out = String::with_capacity(MAX_SUBJECT);
    for c in text.trim().chars() {
        let plain = match c {
            ' '..='~' => c,
            // Blanks, line breaks and what separates lines elsewhere.
            c if c.is_whitespace() || c.is_control() => ' ',
            '\u{2018}' | '\u{2019}' | '\u{201b}' => '\'',
            '\u{201c}'..='\u{201f}' | '«' | '»' => '"',
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            '…' => '.',
            _ => '?',
        };
        let again = out.ends_with(plain);
        // One for a run of blanks, and one for a run of what ASCII does not have.
        if (plain == ' ' && (out.is_empty() || again)) || (plain == '?' && c != '?' && again) {
            continue;
        }
        if out.len() == MAX_SUBJECT {
            // The end says that there was more.
            out.truncate(MAX_SUBJECT - 3);
            out.push_str("...");
            break;
        }
        out.push(plain);
    }
    out.truncate(out.trim_end().len());
    out.bytes()
        .any(|b| b.is_ascii_alphanumeric())
        .then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_breaks_the_rules_is_mended() {
        for (text, expected) in [
            ("web failed", Some("web failed")),
            ("  web\r\n failed\t", Some("web failed")),
            ("„web“ – gestört…", Some("\"web\" - gest?rt.")),
            ("a\u{2028}b\0c\u{85}d", Some("a b c d")),
            ("web 🦀🦀🦀 down??", Some("web ? down??")),
            ("日本", None),
            ("", None),
            (" \n", None),
            ("?!", None),
        ] {
            assert_eq!(subject(text).as_deref(), expected, "{text:?}");
        }
        let most = "x".repeat(MAX_SUBJECT);
        assert_eq!(subject(&most), Some(most.clone()));
        assert_eq!(subject(&format!("{most}\r\n")), Some(most.clone()));
        assert_eq!(
            subject(&format!("{most}y")),
            Some(format!("{}...", &most[..97]))
        );
    }

    proptest! {
        #[test]
        fn a_subject_keeps_every_rule(text in "\\PC{0,300}|[\\x00-\\x20a-z]{0,300}") {
            if let Some(s) = subject(&text) {
                prop_assert!((1..=MAX_SUBJECT).contains(&s.len()));
                prop_assert!(s.bytes().all(|b| (b' '..=b'~').contains(&b)));
                prop_assert!(s.as_bytes()[0].is_ascii_graphic());
            }
        }

        #[test]
        fn what_keeps_them_stays(text in "[!-~]([!-~ ][!-~]){0,49}") {
            prop_assume!(text.bytes().any(|b| b.is_ascii_alphanumeric()));
            prop_assert_eq!(subject(&text), Some(text));
        }
    }
}
