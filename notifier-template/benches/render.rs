//! Compiling and rendering one message, beside two other engines that give the same text.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use notifier_template::{Context, Engine, Escape, Value};
use serde_json::json;

/// For this crate and for gotmpl.
const GO: &str = "Task {{ .failure.Name }} ({{ .failure.ID }}) died with status {{ .failure.State }}:{{ .nl }}\
    {{ range $k, $v := .failure.Labels }}{{ $k }}={{ $v }};{{ end }}\
    {{ if eq .failure.State \"TASK_LOST\" }}lost{{ else if gt (len .failure.Name) 3 }} {{ printf \"%-12s|%5d\" .failure.Slave 42 }}{{ else }}?{{ end }}";

/// The same in minijinja's language.
const JINJA: &str = "Task {{ failure.Name }} ({{ failure.ID }}) died with status {{ failure.State }}:{{ nl }}\
    {% for k, v in failure.Labels|items %}{{ k }}={{ v }};{% endfor %}\
    {% if failure.State == \"TASK_LOST\" %}lost{% elif failure.Name|length > 3 %} {{ \"%-12s|%5d\"|pad(failure.Slave, 42) }}{% else %}?{% endif %}";

fn data() -> serde_json::Value {
    json!({
        "nl": "\n",
        "failure": {
            "ID": "foo.bar.3f9c1b2e-33a1-11e6-9c2d-0242ac110002", "Name": "foo.bar", "State": "TASK_FAILED",
            "Slave": "agent-17", "Labels": {"complainer_slack_mentions": "@devs", "team": "core", "tier": "1"},
        },
    })
}

fn jinja() -> minijinja::Environment<'static> {
    let mut environment = minijinja::Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_filter("pad", |_: &str, text: &str, number: i64| {
        format!("{text:<12}|{number:>5}")
    });
    environment
}

fn compile(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    let engine = Engine::new();
    group.bench_function("notifier-template", |b| {
        b.iter(|| engine.parse("t", black_box(GO)).unwrap())
    });
    group.bench_function("gotmpl", |b| {
        b.iter(|| gotmpl::Template::new("t").parse(black_box(GO)).unwrap())
    });
    let environment = jinja();
    group.bench_function("minijinja", |b| {
        b.iter(|| drop(environment.template_from_str(black_box(JINJA)).unwrap()))
    });
    group.finish();
}

fn render(c: &mut Criterion) {
    let mut group = c.benchmark_group("render");

    let context = Context::new(Value::from(data()));
    let ours = Engine::new().parse("t", GO).unwrap();
    let text = ours.render(&context).unwrap();
    group.bench_function("notifier-template", |b| {
        b.iter(|| ours.render(black_box(&context)).unwrap())
    });
    let html = Escape::html();
    group.bench_function("notifier-template/html", |b| {
        b.iter(|| ours.render_escaped(black_box(&context), &html).unwrap())
    });

    let gotmpl_data = gotmpl_value(&data());
    let theirs = gotmpl::Template::new("t").parse(GO).unwrap();
    assert_eq!(theirs.execute_to_string(&gotmpl_data).unwrap(), text);
    group.bench_function("gotmpl", |b| {
        b.iter(|| theirs.execute_to_string(black_box(&gotmpl_data)).unwrap())
    });

    let environment = jinja();
    let jinja_data = minijinja::Value::from_serialize(data());
    let template = environment.template_from_str(JINJA).unwrap();
    assert_eq!(template.render(&jinja_data).unwrap(), text);
    group.bench_function("minijinja", |b| {
        b.iter(|| template.render(black_box(&jinja_data)).unwrap())
    });
    group.finish();
}

fn gotmpl_value(value: &serde_json::Value) -> gotmpl::Value {
    match value {
        serde_json::Value::Object(map) => gotmpl::Value::Map(std::sync::Arc::new(
            map.iter()
                .map(|(k, v)| (k.as_str().into(), gotmpl_value(v)))
                .collect(),
        )),
        serde_json::Value::String(text) => gotmpl::Value::String(text.as_str().into()),
        _ => gotmpl::Value::Nil,
    }
}

criterion_group!(benches, compile, render);
criterion_main!(benches);
