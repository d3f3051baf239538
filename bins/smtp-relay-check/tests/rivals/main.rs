//! What others that check mail relays find, and what this program finds, of the same servers in
//! the same run: real Postfix, well and broken.
//!
//! The table is in `docs/smtp-relay-check.md`. With `NOTIFIER_WRITE_TABLES=1` it is written there;
//! else it must be the same, where the others have the versions that it names.

mod blackbox;
mod cases;
mod docs;
mod tools;

use std::thread;

use notifier_testkit::{peer, postfix::Postfix};

use crate::{
    cases::{Case, Scene},
    tools::{Said, Tools},
};

/// A case, and what each tool said of it.
struct Row {
    case: Case,
    said: Vec<Said>,
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_is_right_where_others_are_not() {
    if let Some(why) = Postfix::missing() {
        peer::skipped("the comparison with other checks", &why);
        return;
    }
    let Some(scene) = Scene::start().await else {
        return;
    };
    let tools = Tools::find(&scene);
    let tools = &tools;
    let cases = scene.cases();
    // Some wait until their time is over: all at once.
    let rows: Vec<Row> = thread::scope(|s| {
        let running: Vec<_> = cases
            .into_iter()
            .map(|case| {
                s.spawn(move || {
                    let said = tools.ask(&case);
                    Row { case, said }
                })
            })
            .collect();
        running.into_iter().map(|r| r.join().unwrap()).collect()
    });
    let table = docs::table(tools, &rows);
    say(&format!("{table}\n{}", docs::times(tools, &rows)));
    for Row { case, said } in &rows {
        let ours = said.last().unwrap();
        assert!(
            ours.is_right(case) && case.checks.contains(&ours.decisive.as_str()),
            "{}: {} {}",
            case.name,
            ours.decisive,
            ours.text
        );
    }
    docs::compare(tools, &table);
    for tool in tools.names() {
        peer::ran(&tool);
    }
}

#[expect(clippy::print_stdout, reason = "the table is what this is for")]
fn say(text: &str) {
    println!("{text}");
}
