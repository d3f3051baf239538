//! Regular expressions in Go's dialect.

use regex::{Regex, RegexBuilder};

use super::Env;
use crate::error::{Trouble, excerpt};

/// Bytes of a compiled expression.
const LARGEST: usize = 64 << 10;
/// Bytes of a pattern as it is written.
const LONGEST: usize = 1 << 10;
/// What compiling costs, besides what the pattern's length does.
const STEPS_TO_COMPILE: usize = 2_000;

impl Env<'_, '_> {
    /// Compiles a pattern, to be searched for in so many bytes of text.
    pub(super) fn pattern(&mut self, pattern: &str, text_bytes: usize) -> Result<Regex, Trouble> {
        if pattern.len() > LONGEST {
            return Err(Trouble::limit(format!(
                "a pattern of more than {LONGEST} bytes"
            )));
        }
        // A search may take as long as text and pattern multiplied.
        let search = text_bytes.saturating_mul(8 + pattern.len()) / 128;
        self.budget
            .step(search.saturating_add(STEPS_TO_COMPILE + 32 * pattern.len()))?;
        RegexBuilder::new(&translate(pattern))
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST * 8)
            .nest_limit(64)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => {
                    Trouble::limit("a pattern that compiles to too much")
                }
                _ => format!("error parsing regexp: {:?}", excerpt(pattern)).into(),
            })
    }
}

/// Go's classes hold ASCII only, and its brackets know no set operations.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    let mut class_empty = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let Some(kind) = chars.next() else {
                    out.push('\\');
                    break;
                };
                class_empty = false;
                let class = match kind {
                    'd' => "[0-9]",
                    'D' => "[^0-9]",
                    'w' => "[0-9A-Za-z_]",
                    'W' => "[^0-9A-Za-z_]",
                    's' => "[\\t\\n\\f\\r ]",
                    'S' => "[^\\t\\n\\f\\r ]",
                    'b' if !in_class => "(?-u:\\b)",
                    'B' if !in_class => "(?:(?-u:\\B))",
                    _ => "",
                };
                if class.is_empty() {
                    out.push('\\');
                    out.push(kind);
                } else {
                    out.push_str(class);
                }
            }
            '[' if !in_class => {
                in_class = true;
                class_empty = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            '[' if chars.peek() == Some(&':') => {
                class_empty = false;
                out.push('[');
                // Up to the end of `[:name:]`.
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            ']' if in_class && !class_empty => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' | ']' if in_class => {
                class_empty = false;
                out.push('\\');
                out.push(c);
            }
            _ => {
                class_empty = false;
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, matches) in [
            (r"^\w+$", "é", false),
            (r"^\d$", "٣", false),
            (r"[[]", "[", true),
            (r"[a&&b]", "&", true),
            (r"^[]a]$", "]", true),
            (r"^[^]a]$", "b", true),
            (r"^[[:digit:]x]+$", "1x", true),
            (r"^[\d.]+$", "1.2", true),
            (r"\bfoo\b", "a foo b", true),
            (r"é\b", "é", false),
        ] {
            let regex = Regex::new(&translate(pattern))
                .unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text), matches, "{pattern} in {text}");
        }
    }
}
