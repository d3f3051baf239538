//! Tables of options, for the docs and for `notifierctl options`.

use notifiers::{DEFAULT_PREFIX, OptionGroup};
use serde_json::{Value, json};

use crate::{Cli, cli::Place};

/// One group of options and where it stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Table {
    /// The heading: `Watcher`, `Reporter slack`.
    pub title: String,
    /// The options.
    pub group: OptionGroup,
    /// The table of the file, empty for its top: `reporters.slack`.
    pub file_table: String,
}

/// The tables of a command line, in the order of its help.
pub fn tables(cli: &Cli) -> Vec<Table> {
    cli.sections()
        .iter()
        .map(|s| {
            let name = s.group.name;
            let (title, file_table) = match s.place {
                Place::Program => (s.title.to_owned(), String::new()),
                Place::Section => (s.title.to_owned(), name.to_owned()),
                Place::Reporter => (format!("Reporter {name}"), format!("reporters.{name}")),
                Place::Uploader => (format!("Uploader {name}"), format!("uploaders.{name}")),
            };
            Table {
                title,
                group: s.group,
                file_table,
            }
        })
        .collect()
}

impl Table {
    /// The key as a file has it: `reporters.slack.hook_url`.
    fn file_key(&self, key: &str) -> String {
        if self.file_table.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.file_table)
        }
    }

    /// As Markdown: a heading and a table.
    pub fn markdown(&self) -> String {
        let mut out = format!(
            "## {}\n\n| flag | environment | file | label | value | default | what |\n|---|---|---|---|---|---|---|\n",
            self.title
        );
        let code = |s: &str| {
            if s.is_empty() {
                String::new()
            } else {
                code_span(s)
            }
        };
        for o in self.group.options {
            let mut flags = vec![self.group.flag(o)];
            flags.extend(o.aliases.iter().map(|a| (*a).to_owned()));
            let flags: Vec<String> = flags.iter().map(|f| code(&format!("-{f}"))).collect();
            let mut what = cell(o.help);
            if o.secret {
                what.push_str(" (secret)");
            }
            if o.repeated {
                what.push_str(" (several times)");
            }
            out.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {what} |\n",
                flags.join(", "),
                code(&self.group.env(o).unwrap_or_default()),
                code(&self.file_key(o.key)),
                code(&self.group.label(o, DEFAULT_PREFIX).unwrap_or_default()),
                cell(&o.kind.describe()),
                code(o.default.filter(|_| !o.secret).unwrap_or_default()),
            ));
        }
        out
    }

    /// As JSON: `name`, `title` and `options`, each with `key`, `flag`, `aliases`,
    /// `env`, `file`, `label`, `kind`, `default`, `secret`, `repeated` and `help`.
    pub fn json(&self) -> Value {
        let options: Vec<Value> = self
            .group
            .options
            .iter()
            .map(|o| {
                json!({
                    "key": o.key,
                    "flag": self.group.flag(o),
                    "aliases": o.aliases,
                    "env": self.group.env(o),
                    "file": self.file_key(o.key),
                    "label": self.group.label(o, DEFAULT_PREFIX),
                    "kind": o.kind.describe(),
                    "default": o.default.filter(|_| !o.secret),
                    "secret": o.secret,
                    "repeated": o.repeated,
                    "help": o.help,
                })
            })
            .collect();
        json!({ "name": self.group.name, "title": self.title, "options": options })
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// A code span; a bar must be escaped in a table even there.
fn code_span(text: &str) -> String {
    let shown = cell(&text.replace('\n', "\\n"));
    if shown.contains('`') {
        format!("`` {shown} ``")
    } else {
        format!("`{shown}`")
    }
}
