//! Parses and renders any text, in every escaping mode.
//!
//! ```text
//! cargo +nightly fuzz run template
//! ```
//!
//! Without cargo-fuzz and on stable, for as long as one likes:
//! `cargo run --release -p notifier-template --example fuzz -- SEED SECONDS`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use notifier_template::{Context, Engine, Escape, Function, Time, Value};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().with_function("config"));

static CONTEXT: LazyLock<Context> = LazyLock::new(|| {
    let mut data = std::collections::BTreeMap::new();
    let plain = serde_json::json!({"a": "<b> é", "list": [1, "x", null, 1.5], "failure": {"Name": "n", "Labels": {"a": "1"}}});
    for (key, value) in plain.as_object().into_iter().flatten() {
        data.insert(key.clone(), Value::from(value.clone()));
    }
    let time = Time::from_unix(1_466_138_472, 123_456_789);
    data.insert("t".to_owned(), Value::from(time.clone()));
    let mut context = Context::new(Value::from(data)).with_now(time);
    context.bind(
        "config",
        Function::new("config", |key: &str| format!("<{key}>")),
    );
    context
});

fuzz_target!(|source: &str| {
    let Ok(template) = ENGINE.parse("fuzz", source) else {
        return;
    };
    for escape in [Escape::plain(), Escape::slack(), Escape::html()] {
        let _ = template.render_escaped(&CONTEXT, &escape);
    }
});
