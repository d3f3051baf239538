//! `notifierctl options`.

use clap::ArgMatches;
use notifier_runtime::{
    Cli, Exit,
    table::{Table, tables},
};
use serde_json::{Value, json};

use crate::{NAME, print};

pub(crate) fn run(m: &ArgMatches) -> Exit {
    let tables = tables(&Cli::every_watcher(env!("CARGO_PKG_VERSION")));
    let as_json = m.get_flag("json") || m.get_one::<String>("format").is_some_and(|f| f == "json");
    if as_json {
        let groups: Vec<Value> = tables.iter().map(Table::json).collect();
        return print(NAME, &format!("{:#}\n", json!({ "groups": groups })));
    }
    let text: Vec<String> = tables.iter().map(Table::markdown).collect();
    print(NAME, &format!("# Options\n\n{}", text.join("\n")))
}
