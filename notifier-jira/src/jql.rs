//! Queries in Jira's language, made of quoted values only.
//!
//! Escapes as of support.atlassian.com, "Search syntax for text fields" and "Use advanced
//! search with JQL: reserved characters", read 2026.

/// A value in quotes: nothing in it can end them.
pub(crate) fn quote(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What means something to the search for words.
const SPECIAL: &str = "+-&|!(){}[]^~*?\\:/\"";

/// A text as a phrase of the search for words; `None` if there is no word in it.
fn phrase(text: &str) -> Option<String> {
    if !text.contains(char::is_alphanumeric) {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if SPECIAL.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Some(out)
}

/// Which issues count as closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Those with this status.
    Status(String),
    /// Those with any status of the category Done.
    Done,
}

/// Which issues a report may be about already.
#[derive(Clone, Debug)]
pub(crate) struct Alike<'a> {
    pub(crate) project: &'a str,
    pub(crate) summary: &'a str,
    /// The label that marks them.
    pub(crate) marker: &'a str,
}

impl Alike<'_> {
    /// Those that are not closed; with `None`, all. The newest first.
    pub(crate) fn query(&self, closed: Option<&Closed>) -> String {
        let mut alike = format!("labels = {}", quote(self.marker));
        if let Some(phrase) = phrase(self.summary) {
            alike = format!("({alike} OR summary ~ {})", quote(&phrase));
        }
        let open = match closed {
            None => String::new(),
            Some(Closed::Status(name)) => format!(" AND status != {}", quote(name)),
            Some(Closed::Done) => " AND statusCategory != \"Done\"".to_owned(),
        };
        format!(
            "project = {} AND {alike}{open} ORDER BY created DESC",
            quote(self.project)
        )
    }
}

/// The issues with a label.
pub(crate) fn labelled(label: &str) -> String {
    format!("labels = {} ORDER BY created DESC", quote(label))
}

/// The issues of a project with a summary like this one; `None` if that cannot be asked.
pub(crate) fn summary(project: &str, summary: &str) -> Option<String> {
    Some(format!(
        "project = {} AND summary ~ {} ORDER BY created DESC",
        quote(project),
        quote(&phrase(summary)?)
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_signs_and_quotes_are_data() {
        let alike = Alike {
            project: "OPS",
            summary: "a \"b\" OR \\ status = Done (x)",
            marker: "notifier-1",
        };
        assert_eq!(
            alike.query(Some(&Closed::Status("Won't \"do\"".into()))),
            "project = \"OPS\" AND (labels = \"notifier-1\" OR summary ~ \
             \"\\\"a \\\\\\\"b\\\\\\\" OR \\\\\\\\ status = Done \\\\(x\\\\)\\\"\") \
             AND status != \"Won't \\\"do\\\"\" ORDER BY created DESC"
        );
        assert_eq!(
            alike.query(Some(&Closed::Done)).split(" AND ").last(),
            Some("statusCategory != \"Done\" ORDER BY created DESC")
        );
        let wordless = Alike {
            summary: "!!! 🦀",
            ..alike
        };
        assert_eq!(
            wordless.query(None),
            "project = \"OPS\" AND labels = \"notifier-1\" ORDER BY created DESC"
        );
        assert_eq!(summary("OPS", "?"), None);
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Token {
        Word(String),
        Value(String),
        Sign(char),
    }

    /// Reads a query back, as its language says: words, signs, values in quotes.
    fn tokens(query: &str) -> Vec<Token> {
        let mut out = Vec::new();
        let mut chars = query.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                ' ' => {}
                '"' | '\'' => {
                    let mut value = String::new();
                    loop {
                        match chars.next().expect("the quotes end") {
                            '\\' => value.push(chars.next().expect("something is escaped")),
                            q if q == c => break,
                            other => value.push(other),
                        }
                    }
                    out.push(Token::Value(value));
                }
                c if c.is_ascii_alphabetic() => {
                    let mut word = String::from(c);
                    while let Some(c) = chars.next_if(char::is_ascii_alphabetic) {
                        word.push(c);
                    }
                    out.push(Token::Word(word));
                }
                c => out.push(Token::Sign(c)),
            }
        }
        out
    }

    /// The structure of a query: everything but its values.
    fn structure(query: &str) -> Vec<Token> {
        tokens(query)
            .into_iter()
            .map(|t| match t {
                Token::Value(_) => Token::Value(String::new()),
                other => other,
            })
            .collect()
    }

    fn nasty() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[\"'\\\\ ()a-z=~!<>\n\r\0;,\u{2028}]{0,40}",
            "( OR | AND |ORDER BY|\"|\\\\|status = Done|\\)|a){0,20}",
        ]
    }

    proptest! {
        #[test]
        fn no_data_changes_the_structure(
            project in nasty(), summary in nasty(), marker in nasty(), status in nasty(), has_status in any::<bool>(),
        ) {
            let closed = if has_status { Closed::Status(status.clone()) } else { Closed::Done };
            let query = Alike { project: &project, summary: &summary, marker: &marker }.query(Some(&closed));
            let plain_closed = if has_status { Closed::Status("Closed".into()) } else { Closed::Done };
            let plain_summary = if summary.contains(char::is_alphanumeric) { "word" } else { "!" };
            let plain = Alike { project: "OPS", summary: plain_summary, marker: "notifier-1" }.query(Some(&plain_closed));
            prop_assert_eq!(structure(&query), structure(&plain), "{}", query);
            prop_assert!(!query.contains(|c: char| c.is_control()));
        }

        #[test]
        fn a_value_reads_back(value in "[^\\p{Cc}\u{2028}\u{2029}]{0,40}") {
            prop_assert_eq!(tokens(&quote(&value)), vec![Token::Value(value)]);
        }

        #[test]
        fn no_summary_leaves_its_phrase(summary in nasty()) {
            let Some(query) = super::summary("OPS", &summary) else { return Ok(()) };
            let values: Vec<_> = tokens(&query).into_iter().filter_map(|t| match t {
                Token::Value(v) => Some(v),
                _ => None,
            }).collect();
            prop_assert_eq!(values.len(), 2);
            let inner = values[1].strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap();
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                if c == '\\' {
                    prop_assert!(chars.next().is_some());
                } else {
                    prop_assert!(!SPECIAL.contains(c), "{}", inner);
                }
            }
        }
    }
}
