//! What the tests share: a failure as templates see it, and cases in JSON lines.

pub(crate) mod generate;

use std::collections::BTreeMap;
use std::path::Path;

use notifier_template::{Context, Engine, Function, Object, Stage, Time, Value};
use serde_json::Value as Json;

/// The nine fields of the reference program's struct, in its order.
#[derive(Debug)]
pub(crate) struct Failure {
    fields: Vec<(&'static str, Value)>,
    text: String,
}

impl Object for Failure {
    fn type_name(&self) -> &str {
        "main.Failure"
    }

    fn to_text(&self) -> String {
        self.text.clone()
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        self.fields.clone()
    }
}

/// The same defaults as in go/reference.go.
fn default_case() -> Json {
    serde_json::json!({
        "failure": {
            "id": "foo.bar.1", "name": "näme <b>&\"q\"", "slave": "host-1", "framework": "marathon", "image": "",
            "state": "TASK_FAILED", "started_unix": 1_466_138_472, "finished_unix": 1_466_142_079,
            "labels": {"a": "1", "empty": "", "team": "core <x>", "λ": "v"},
        },
        "config": {"mentions": "<@dev> & \"all\"", "room": "42"},
        "stdout_url": "http://host/files?path=/a&b=1",
        "stderr_url": "",
    })
}

fn strings(value: &Json) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// The data that a case describes.
pub(crate) fn context(case: &Json) -> Context {
    let defaults = default_case();
    let pick = |key: &str| case.get(key).unwrap_or(&defaults[key]).clone();
    let failure = pick("failure");
    let text = |key: &str| failure[key].as_str().unwrap_or_default().to_owned();
    let time = |key: &str| {
        Value::from(Time::from_unix(
            failure[key].as_i64().unwrap_or_default(),
            0,
        ))
    };
    let object = Failure {
        text: format!("{} ({}) from {}", text("name"), text("id"), text("slave")),
        fields: vec![
            ("ID", text("id").into()),
            ("Name", text("name").into()),
            ("Slave", text("slave").into()),
            ("Framework", text("framework").into()),
            ("Image", text("image").into()),
            ("State", text("state").into()),
            ("Started", time("started_unix")),
            ("Finished", time("finished_unix")),
            ("Labels", strings(&failure["labels"]).into()),
        ],
    };
    let settings = strings(&pick("config"));
    let config = Function::new("config", move |key: &str| {
        settings.get(key).cloned().unwrap_or_default()
    });
    let data = BTreeMap::from([
        ("nl".to_owned(), Value::from("\n")),
        ("config".to_owned(), Value::from(config.clone())),
        ("failure".to_owned(), Value::from_object(object)),
        (
            "stdoutURL".to_owned(),
            Value::from(pick("stdout_url").as_str().unwrap_or_default()),
        ),
        (
            "stderrURL".to_owned(),
            Value::from(pick("stderr_url").as_str().unwrap_or_default()),
        ),
    ]);
    let mut context = Context::new(Value::from(data));
    context.bind("config", config);
    context
}

pub(crate) fn engine() -> Engine {
    Engine::new().with_function("config")
}

/// What the reference program would answer: a text, or the stage of an error.
pub(crate) fn answer(case: &Json) -> (Result<String, Stage>, String) {
    let result = engine()
        .parse("", case["template"].as_str().unwrap_or_default())
        .and_then(|template| template.render(&context(case)));
    match result {
        Ok(text) => (Ok(text), String::new()),
        Err(error) => (Err(error.stage()), error.to_string()),
    }
}

pub(crate) fn wanted(case: &Json) -> Result<String, Stage> {
    match (case["want"].as_str(), case["error_stage"].as_str()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, Some("parse")) => Err(Stage::Parse),
        (None, _) => Err(Stage::Execute),
    }
}

/// Whether the crate's error is at the line and column that Go's execute error names.
pub(crate) fn has_gos_place(case: &Json) -> bool {
    let place = |text: &str| -> Option<(usize, usize)> {
        let mut parts = text.strip_prefix("template: :")?.split(':');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    let template = case["template"].as_str().unwrap_or_default();
    let result = engine()
        .parse("", template)
        .and_then(|template| template.render(&context(case)));
    let got = result.err().map(|error| (error.line(), error.column()));
    got == place(case["go_error"].as_str().unwrap_or_default())
}

pub(crate) fn read_lines(path: &Path) -> Vec<Json> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The cases of a file on which the crate and Go differ.
pub(crate) fn disagreements(cases: &[Json]) -> Vec<String> {
    let mut out = Vec::new();
    for case in cases {
        let (got, message) = answer(case);
        let want = wanted(case);
        if got != want {
            out.push(format!(
                "{}\n   want {want:?} {}\n   got  {got:?} {message}",
                case["template"], case["go_error"]
            ));
        }
    }
    out
}
