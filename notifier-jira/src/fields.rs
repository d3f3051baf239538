//! The `key:value;…` syntax of the option `fields`.

use notifier_core::{Error, Result};

/// One field of the issue, as it stands in the option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    /// The field's name in Jira, or its id.
    pub(crate) name: String,
    /// The template of its value.
    pub(crate) template: String,
}

/// The fields that every issue has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Project,
    IssueType,
    Summary,
    Description,
}

impl Known {
    /// Which one a name means, in any case, by name or by id.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let plain: String = name
            .chars()
            .filter(|c| !matches!(c, ' ' | '_' | '-'))
            .flat_map(char::to_lowercase)
            .collect();
        match plain.as_str() {
            "project" => Some(Self::Project),
            "issuetype" => Some(Self::IssueType),
            "summary" => Some(Self::Summary),
            "description" => Some(Self::Description),
            _ => None,
        }
    }
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::config(format!("jira.fields: {what}"))
}

/// The beginning of a text, for an error about it.
fn shown(text: &str) -> String {
    let mut out: String = text.trim().chars().take(40).collect();
    if text.trim().chars().nth(40).is_some() {
        out.push('…');
    }
    out
}

/// Reads the option.
///
/// A directive's name ends at its first colon; semicolons end a directive, but not inside
/// an action of a template, nor as `\;`.
pub(crate) fn parse(text: &str) -> Result<Vec<Directive>> {
    let mut out: Vec<Directive> = Vec::new();
    for part in split(text)? {
        if part.trim().is_empty() {
            continue;
        }
        let Some((name, template)) = part.split_once(':') else {
            return Err(wrong(format_args!(
                "{:?} has no colon; write Name:value",
                shown(&part)
            )));
        };
        let name = name.trim();
        if name.is_empty() {
            return Err(wrong(format_args!(
                "{:?} has no name before its colon",
                shown(&part)
            )));
        }
        if name.contains("{{") {
            return Err(wrong(format_args!(
                "{:?} has a template for a name; only values can have one",
                shown(name)
            )));
        }
        let directive = Directive {
            name: name.to_owned(),
            template: template.trim_matches(['\r', '\n']).to_owned(),
        };
        let twice = out.iter().any(|d| {
            d.name.to_lowercase() == directive.name.to_lowercase()
                || Known::of(&d.name).is_some_and(|k| Some(k) == Known::of(&directive.name))
        });
        if twice {
            return Err(wrong(format_args!("{:?} is there twice", shown(name))));
        }
        out.push(directive);
    }
    for (known, name) in [
        (Known::Project, "Project"),
        (Known::IssueType, "Issue Type"),
        (Known::Summary, "Summary"),
    ] {
        let found = out.iter().find(|d| Known::of(&d.name) == Some(known));
        match found {
            None => {
                return Err(wrong(format_args!(
                    "{name} is missing; Project, Issue Type and Summary must be there"
                )));
            }
            Some(d) if d.template.trim().is_empty() => {
                return Err(wrong(format_args!("{name} has no value")));
            }
            Some(_) => {}
        }
    }
    Ok(out)
}

/// Where a reader of the text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Text,
    Action,
    /// Inside quotes of this kind, in an action.
    Quoted(char),
    Comment,
}

/// The directives, with `\;` as semicolons.
fn split(text: &str) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut at = At::Text;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let pair = rest.get(..2).unwrap_or_default();
        let taken = match (at, c) {
            (At::Text, ';') => {
                parts.push(std::mem::take(&mut part));
                rest = &rest[1..];
                continue;
            }
            (At::Text, '\\') if pair == "\\;" => {
                part.push(';');
                rest = &rest[2..];
                continue;
            }
            (At::Text, '{') if pair == "{{" => {
                let inner = rest[2..].trim_start_matches("- ").trim_start();
                at = if inner.starts_with("/*") {
                    At::Comment
                } else {
                    At::Action
                };
                2
            }
            (At::Action, '}') if pair == "}}" => {
                at = At::Text;
                2
            }
            (At::Action, '"' | '`' | '\'') => {
                at = At::Quoted(c);
                1
            }
            (At::Quoted(q), '\\') if q != '`' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            (At::Quoted(q), c) if c == q => {
                at = At::Action;
                1
            }
            (At::Comment, '*') if pair == "*/" => {
                at = At::Action;
                2
            }
            _ => c.len_utf8(),
        };
        part.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    if at != At::Text {
        return Err(wrong(format_args!(
            "{:?} has an action without an end; close it with }}}}",
            shown(&part)
        )));
    }
    parts.push(part);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::DEFAULT_FIELDS;

    const HEAD: &str = "Project:P;Issue Type:Bug;Summary:s;";

    fn fields(text: &str) -> Vec<(String, String)> {
        parse(&format!("{HEAD}{text}"))
            .unwrap()
            .into_iter()
            .skip(3)
            .map(|d| (d.name, d.template))
            .collect()
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_default_has_four() {
        let d = parse(DEFAULT_FIELDS).unwrap();
        let names: Vec<&str> = d.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["Project", "Issue Type", "Summary", "Description"]);
        assert_eq!(
            d[3].template,
            "[stdout|{{ .stdoutURL }}], [stderr|{{ .stderrURL }}], ID={{ .failure.ID }}"
        );
    }

    #[test]
    fn values_hold_what_they_like() {
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        for (text, expected) in [
            ("A:http://x/?y=1:2", one("A", "http://x/?y=1:2")),
            ("A:a\\;b", one("A", "a;b")),
            ("A:{{ \"x;y:z\" }}", one("A", "{{ \"x;y:z\" }}")),
            ("A:{{ \"}};\" }}", one("A", "{{ \"}};\" }}")),
            ("A:{{ \"\\\";\" }}", one("A", "{{ \"\\\";\" }}")),
            ("A:{{ `;\\` }}", one("A", "{{ `;\\` }}")),
            ("A:{{ ';' }}", one("A", "{{ ';' }}")),
            ("A:{{- /* ; it's */ -}}", one("A", "{{- /* ; it's */ -}}")),
            ("A:\\n", one("A", "\\n")),
            ("A:", one("A", "")),
            (" A : b ", one("A", " b ")),
            ("\n A:b\n;\n\n;", one("A", "b")),
            ("customfield_10010:x", one("customfield_10010", "x")),
            ("A:日本;", one("A", "日本")),
        ] {
            assert_eq!(fields(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (
                "",
                "jira.fields: Project is missing; Project, Issue Type and Summary must be there",
            ),
            (
                "Project:P;Summary:s",
                "jira.fields: Issue Type is missing; Project, Issue Type and Summary must be there",
            ),
            (
                "Project:P;Issue Type: ;Summary:s",
                "jira.fields: Issue Type has no value",
            ),
            (
                "Project:P;nonsense;",
                "jira.fields: \"nonsense\" has no colon; write Name:value",
            ),
            (
                "Project:P;:x",
                "jira.fields: \":x\" has no name before its colon",
            ),
            (
                "Project:P;project:Q",
                "jira.fields: \"project\" is there twice",
            ),
            (
                "Issue Type:a;issuetype:b",
                "jira.fields: \"issuetype\" is there twice",
            ),
            (
                "{{ .x }}:P",
                "jira.fields: \"{{ .x }}\" has a template for a name; only values can have one",
            ),
            (
                "Project:{{ .x",
                "jira.fields: \"Project:{{ .x\" has an action without an end; close it with }}",
            ),
        ] {
            assert_eq!(error(text), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn soup_of_syntax_does_not_panic(text in "[;:\\\\{}\"`'/* a\n-]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn every_text_can_be_a_value(value in "[^{}\\\\]{0,40}") {
            let escaped = value.replace(';', "\\;");
            let found = fields(&format!("A:{escaped}"));
            prop_assert_eq!(found, vec![("A".to_owned(), value.trim_matches(['\r', '\n']).to_owned())]);
        }
    }
}
