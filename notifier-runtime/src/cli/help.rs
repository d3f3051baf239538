//! The text of `-help`, made from the declarations.

use super::{Cli, Place, Section};

/// Lines are at most this long.
const WIDTH: usize = 100;
const INDENT: &str = "        ";

pub(super) fn help(cli: &Cli) -> String {
    let command = cli.usage().map(|c| format!(" {c}")).unwrap_or_default();
    let mut out = format!("Usage: {}{command} [flags]\n\n", cli.name());
    wrap(&mut out, cli.about(), "");
    out.push('\n');
    wrap(
        &mut out,
        "A flag is written -flag=value, -flag value or --flag=value; a boolean -flag or -flag=false. \
         For each option a flag beats the environment, the environment beats the file of -config, \
         and an empty value counts as unset. Labels of a task beat all of them for options that \
         labels may set.",
        "",
    );
    for s in cli.sections() {
        out.push_str(&format!("\n{}:\n", heading(s)));
        for o in s.group.options {
            out.push_str(&format!("  -{}", s.group.flag(o)));
            for a in o
                .aliases
                .iter()
                .copied()
                .chain(cli.synonyms(&s.group.flag(o)))
            {
                out.push_str(&format!(", -{a}"));
            }
            let kind = o.kind.describe();
            if kind != "bool" {
                out.push_str(&format!(" {kind}"));
            }
            out.push('\n');
            wrap(&mut out, o.help, INDENT);
            let mut notes = Vec::new();
            if s.place == Place::Program && cli.is_required(o.key) {
                notes.push("required".to_owned());
            }
            if o.repeated {
                notes.push("may be given several times".to_owned());
            }
            if o.secret {
                notes.push("secret".to_owned());
            }
            if let Some(env) = s.group.env(o) {
                notes.push(format!("env {env}"));
            }
            if o.label {
                notes.push("task label".to_owned());
            }
            let default = cli.preset_of(&s.group.flag(o)).or(o.default);
            if let (Some(d), false) = (default, o.secret) {
                notes.push(format!("default {d:?}"));
            }
            if !notes.is_empty() {
                wrap(&mut out, &format!("({})", notes.join(", ")), INDENT);
            }
            for switch in cli.switches().iter().filter(|w| w.flag == s.group.flag(o)) {
                out.push_str(&format!("  -{}\n", switch.name));
                let text = format!("the same as -{}={}", switch.flag, switch.value);
                wrap(&mut out, &text, INDENT);
            }
        }
    }
    out.push_str("\nOthers:\n  -h, -help\n");
    wrap(&mut out, "print this text", INDENT);
    out.push_str("  -version\n");
    wrap(&mut out, "print the version", INDENT);
    out.push_str("\nExit codes:\n");
    for (code, what) in crate::exit::TABLE {
        wrap(&mut out, &format!("{code:>3}  {what}"), "  ");
    }
    out
}

fn heading(s: &Section) -> String {
    match s.place {
        Place::Program | Place::Section => s.title.to_owned(),
        Place::Reporter | Place::Uploader => format!("{} {}", s.title, s.group.name),
    }
}

/// Adds a text in lines of at most [`WIDTH`] characters. A longer word is cut.
fn wrap(out: &mut String, text: &str, indent: &str) {
    let room = WIDTH - indent.len();
    let mut line = String::new();
    let mut length = 0;
    let mut flush = |line: &mut String, length: &mut usize| {
        if *length > 0 {
            out.push_str(indent);
            out.push_str(line.trim_end());
            out.push('\n');
            line.clear();
            *length = 0;
        }
    };
    for word in text.split_inclusive(' ') {
        let n = word.trim_end().chars().count();
        if length + n > room {
            flush(&mut line, &mut length);
        }
        for c in word.chars() {
            if length == room {
                flush(&mut line, &mut length);
            }
            line.push(c);
            length += 1;
        }
    }
    flush(&mut line, &mut length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_nothing_is_lost() {
        let text = format!("{} {} end", "word ".repeat(40), "x".repeat(250));
        let mut out = String::new();
        wrap(&mut out, &text, "    ");
        assert!(out.lines().all(|l| l.chars().count() <= WIDTH), "{out}");
        let squeeze = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(squeeze(&out), squeeze(&text));
    }
}
