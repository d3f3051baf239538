//! What `$name` and its relatives stand for: postconf(5), "The syntax".

use std::cmp::Ordering;

/// Names within names.
const DEPTH: usize = 24;
/// Octets of a value: as many as are read of a file.
const LENGTH: usize = 1024 * 1024;
/// Names looked up for one value.
const LOOKUPS: usize = 4096;

/// Puts values in place of names. What a name that nobody set stands for, `lookup` says. A value
/// that contains itself, or grows without end, is cut off.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expansion = Expansion {
        lookup,
        left: LOOKUPS,
        out: String::new(),
    };
    expansion.text(text, 0);
    expansion.out
}

struct Expansion<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    left: usize,
    out: String,
}

impl Expansion<'_> {
    fn text(&mut self, text: &str, depth: usize) {
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            self.push(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.chars().next() {
                Some('$') => {
                    self.push("$");
                    rest = &rest[1..];
                }
                Some(open @ ('{' | '(')) => match balanced(rest, open) {
                    Some((inner, after)) => {
                        self.form(inner, depth);
                        rest = after;
                    }
                    None => {
                        self.push("$");
                        self.push(rest);
                        return;
                    }
                },
                _ => {
                    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                    if end == 0 {
                        self.push("$");
                    } else {
                        self.name(&rest[..end], depth);
                    }
                    rest = &rest[end..];
                }
            }
        }
        self.push(rest);
    }

    fn push(&mut self, text: &str) {
        // Filled up to the end, so that it is known to be full.
        let room = LENGTH - self.out.len();
        let end = (0..=room.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        self.out.push_str(&text[..end.unwrap_or_default()]);
    }

    fn name(&mut self, name: &str, depth: usize) {
        if let Some(value) = self.value(name, depth) {
            self.text(&value, depth + 1);
        }
    }

    fn value(&mut self, name: &str, depth: usize) -> Option<String> {
        if depth >= DEPTH || self.left == 0 || self.out.len() >= LENGTH {
            return None;
        }
        self.left -= 1;
        (self.lookup)(name)
    }

    /// The inner of `${…}`: `name`, `name?then`, `name:else`, `name?{then}:{else}`, or a comparison.
    fn form(&mut self, inner: &str, depth: usize) {
        let inner = inner.trim();
        let (is_true, rest) = if inner.starts_with('{') {
            let Some((is_true, rest)) = self.comparison(inner, depth) else {
                return;
            };
            (is_true, rest)
        } else {
            let end = inner.find(|c| !is_name(c)).unwrap_or(inner.len());
            let (name, rest) = (&inner[..end], inner[end..].trim_start());
            if rest.is_empty() {
                self.name(name, depth);
                return;
            }
            let value = self.value(name, depth);
            (value.is_some_and(|v| !v.is_empty()), rest)
        };
        let (then, otherwise) = branches(rest);
        if let Some(text) = if is_true { then } else { otherwise }
            && depth < DEPTH
        {
            self.text(text, depth + 1);
        }
    }

    fn comparison<'t>(&mut self, inner: &'t str, depth: usize) -> Option<(bool, &'t str)> {
        let (left, rest) = balanced(inner, '{')?;
        let rest = rest.trim_start();
        let end = rest.find('{')?;
        let operator = rest[..end].trim();
        let (right, rest) = balanced(&rest[end..], '{')?;
        let (left, right) = (self.apart(left, depth), self.apart(right, depth));
        let order = compare(&left, &right, operator.ends_with("level"));
        let is_true = match operator.trim_end_matches("level") {
            "==" => order == Ordering::Equal,
            "!=" => order != Ordering::Equal,
            "<" => order == Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">" => order == Ordering::Greater,
            ">=" => order != Ordering::Less,
            _ => return None,
        };
        Some((is_true, rest.trim_start()))
    }

    /// Expands without adding to what is there.
    fn apart(&mut self, text: &str, depth: usize) -> String {
        let kept = std::mem::take(&mut self.out);
        if depth < DEPTH {
            self.text(text, depth + 1);
        }
        let apart = std::mem::replace(&mut self.out, kept);
        apart.trim().to_owned()
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What is between the bracket at the start and its end, and what comes after.
fn balanced(text: &str, open: char) -> Option<(&str, &str)> {
    let close = if open == '(' { ')' } else { '}' };
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some((&text[1..at], &text[at + 1..]));
            }
        }
    }
    None
}

/// `?{a}:{b}`, `?a`, `:b`.
fn branches(rest: &str) -> (Option<&str>, Option<&str>) {
    if let Some(then) = rest.strip_prefix('?') {
        let then = then.trim_start();
        if then.starts_with('{')
            && let Some((inner, after)) = balanced(then, '{')
        {
            let otherwise = after.trim_start().strip_prefix(':').map(plain);
            return (Some(inner.trim()), otherwise);
        }
        return (Some(then), None);
    }
    (None, rest.strip_prefix(':').map(plain))
}

fn plain(text: &str) -> &str {
    super::lines::unbraced(text).unwrap_or(text)
}

/// Numbers as numbers, levels part by part, all else as texts.
fn compare(left: &str, right: &str, is_level: bool) -> Ordering {
    if is_level {
        let parts = |text: &str| -> Vec<u64> {
            let mut parts: Vec<u64> = text.split('.').map(|p| p.parse().unwrap_or(0)).collect();
            parts.resize(3, 0);
            parts
        };
        return parts(left).cmp(&parts(right));
    }
    match (left.parse::<i64>(), right.parse::<i64>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        _ => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str) -> String {
        expand(text, &|name| match name {
            "myhostname" => Some("mail.$mydomain".to_owned()),
            "mydomain" => Some("corp.example".to_owned()),
            "empty" => Some(String::new()),
            "level" => Some("3.6".to_owned()),
            "loop" => Some("$loop $loop x".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn all_forms() {
        for (text, value) in [
            ("$myhostname ESMTP", "mail.corp.example ESMTP"),
            ("${mydomain}x $(mydomain)", "corp.examplex corp.example"),
            ("a$$b $", "a$b $"),
            ("$nothing.", "."),
            ("${empty?yes}${mydomain?yes}", "yes"),
            ("${empty:no}${mydomain:no}", "no"),
            ("${empty?{a}:{b}} ${mydomain?{$level}:{b}}", "b 3.6"),
            ("${{$level} <level {3.10} ? {old} : {new}}", "old"),
            ("${{10} > {9} ? {more}}", "more"),
            ("${{a} == {b} ? {same} : {other}}", "other"),
            ("${unclosed", "${unclosed"),
        ] {
            assert_eq!(with(text), value, "{text}");
        }
    }

    #[test]
    fn what_contains_itself_ends() {
        assert!(with("$loop").len() <= LENGTH);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in r"([${}()?:<>= a-z]|\$loop|\$\{loop\?|\{mydomain\}){0,60}") {
            prop_assert!(with(&text).len() <= LENGTH);
        }
    }
}
