//! Flags as Go's `flag` package reads them, <https://pkg.go.dev/flag#hdr-Command_line_flag_syntax>.

use super::{Problems, nearest};

/// What a command line says, before any value is looked at.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Flag and value in the order given. Names are known ones.
    pub(super) set: Vec<(String, String)>,
    pub(super) help: bool,
    pub(super) version: bool,
}

/// Reads a command line. `boolean` answers for a known flag whether it takes no
/// value of its own, and `None` for an unknown one.
///
/// No argument that is not a flag is ever shown: it may be a secret in the wrong place.
pub(super) fn parse(
    args: &[String],
    boolean: impl Fn(&str) -> Option<bool>,
    known: &[&str],
    problems: &mut Problems,
) -> Flags {
    let mut out = Flags::default();
    let mut i = 0;
    let mut last_boolean: Option<String> = None;
    while let Some(arg) = args.get(i) {
        i += 1;
        let Some(body) = arg.strip_prefix('-').filter(|b| !b.is_empty()) else {
            let hint = last_boolean
                .map(|f| format!("; -{f} is a boolean and takes its value with =: -{f}=false"))
                .unwrap_or_default();
            problems.push(format!("argument {i} is not a flag{hint}"));
            last_boolean = None;
            continue;
        };
        if arg == "--" {
            if i < args.len() {
                problems.push(format!("argument {}, after --, is not a flag", i + 1));
            }
            break;
        }
        let body = body.strip_prefix('-').unwrap_or(body);
        let (name, value) = match body.split_once('=') {
            Some((n, v)) => (n, Some(v)),
            None => (body, None),
        };
        last_boolean = None;
        if name.is_empty() || name.starts_with('-') {
            problems.push(format!(
                "argument {i} is not a flag: a flag is -name or --name"
            ));
            continue;
        }
        match (boolean(name), value) {
            (Some(_), Some(v)) => out.set.push((name.to_owned(), v.to_owned())),
            (Some(true), None) => {
                out.set.push((name.to_owned(), "true".to_owned()));
                last_boolean = Some(name.to_owned());
            }
            (Some(false), None) => match args.get(i) {
                Some(v) => {
                    i += 1;
                    out.set.push((name.to_owned(), v.clone()));
                }
                None => problems.push(format!("-{name} needs a value")),
            },
            (None, _) if matches!(name, "h" | "help") => out.help = true,
            (None, _) if name == "version" => out.version = true,
            (None, value) => {
                // What follows is likely its value: one message is enough.
                if value.is_none() && args.get(i).is_some_and(|n| !n.starts_with('-')) {
                    i += 1;
                }
                let shown = shown(name);
                let hint = nearest(&shown, known)
                    .map(|n| format!("; did you mean -{n}?"))
                    .unwrap_or_else(|| "; -help lists all flags".to_owned());
                problems.push(format!("unknown flag -{shown}{hint}"));
            }
        }
    }
    out
}

/// The part of an unknown flag that may be shown: a value glued to it is not.
fn shown(name: &str) -> String {
    let end = name
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
        .unwrap_or(name.len())
        .min(40);
    let cut = if end < name.len() { "…" } else { "" };
    format!("{}{cut}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> (Vec<(String, String)>, String) {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let known = ["name", "default", "slack.format"];
        let mut p = Problems::new();
        let f = parse(
            &args,
            |n| known.contains(&n).then_some(n == "default"),
            &known,
            &mut p,
        );
        (f.set, p.to_string())
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    #[test]
    fn every_form_of_a_flag_is_the_same() {
        for args in [
            &["-name=x"][..],
            &["--name=x"],
            &["-name", "x"],
            &["--name", "x"],
        ] {
            assert_eq!(
                read(args),
                (pairs(&[("name", "x")]), String::new()),
                "{args:?}"
            );
        }
    }

    #[test]
    fn a_value_may_look_like_a_flag() {
        assert_eq!(
            read(&["-slack.format", "-x"]).0,
            pairs(&[("slack.format", "-x")])
        );
        assert_eq!(
            read(&["-slack.format", "--"]).0,
            pairs(&[("slack.format", "--")])
        );
        assert_eq!(
            read(&["-slack.format=a=b"]).0,
            pairs(&[("slack.format", "a=b")])
        );
        assert_eq!(
            read(&["-name=", "-default"]).0,
            pairs(&[("name", ""), ("default", "true")])
        );
    }

    #[test]
    fn a_boolean_never_takes_the_next_argument() {
        let (set, problems) = read(&["-default", "false", "-name=x"]);
        assert_eq!(set, pairs(&[("default", "true"), ("name", "x")]));
        assert_eq!(
            problems,
            "argument 2 is not a flag; -default is a boolean and takes its value with =: -default=false"
        );
    }

    #[test]
    fn wrong_ones_are_named_without_their_values() {
        assert_eq!(
            read(&["-nmae=s3cret"]).1,
            "unknown flag -nmae; did you mean -name?"
        );
        assert_eq!(
            read(&["-zzzzzzzz", "s3cret"]).1,
            "unknown flag -zzzzzzzz; -help lists all flags"
        );
        assert_eq!(read(&["s3cret"]).1, "argument 1 is not a flag");
        assert_eq!(read(&["-name"]).1, "-name needs a value");
        assert_eq!(
            read(&["---name"]).1,
            "argument 1 is not a flag: a flag is -name or --name"
        );
        assert_eq!(read(&["-"]).1, "argument 1 is not a flag");
        assert_eq!(
            read(&["--", "s3cret"]).1,
            "argument 2, after --, is not a flag"
        );
        assert_eq!(read(&["--"]).1, "");
        assert!(
            !read(&["-slack.formathttps://s3cret/x"])
                .1
                .contains("s3cret")
        );
    }
}
