//! Hostile templates end in an error, soon, and never in a panic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use notifier_template::{Context, Engine, Error, Escape, Limits, Stage, Value};

use crate::support;

/// What an answer may take: 50 ms for an optimised build, much more for others, which
/// may run beside each other.
const LONGEST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2_000 } else { 50 });

fn run(source: &str) -> Result<String, Error> {
    let started = Instant::now();
    let context = support::context(&serde_json::json!({}));
    let result = support::engine().parse("t", source).and_then(|template| {
        template.render_escaped(&context, &Escape::html())?;
        template.render(&context)
    });
    let took = started.elapsed();
    let start: String = source.chars().take(80).collect();
    assert!(took < LONGEST * 2, "{took:?} for {start}");
    result
}

fn doubled(times: usize, then: &str) -> String {
    format!(
        "{{{{$x := \"0123456789abcdef\"}}}}{}{then}",
        "{{$x = printf \"%s%s\" $x $x}}".repeat(times)
    )
}

#[test]
fn hostile_templates_hit_a_limit() {
    let nested =
        |open: &str, close: &str, count: usize| open.repeat(count) + "x" + &close.repeat(count);
    let big = doubled(14, "");
    let hostile = [
        "{{define \"T\"}}{{template \"T\" .}}{{end}}{{template \"T\" .}}".to_owned(),
        format!(
            "{{{{define \"T\"}}}}{}{{{{end}}}}{{{{template \"T\" .}}}}",
            nested("{{if 1}}", "{{end}}", 40).replace('x', "{{template \"T\" .}}")
        ),
        "{{define \"T\"}}{{template \"U\" .}}{{template \"U\" .}}{{end}}\
         {{define \"U\"}}{{template \"T\" .}}{{template \"T\" .}}{{end}}{{template \"T\" .}}"
            .to_owned(),
        doubled(40, ""),
        nested("{{if 1}}", "{{end}}", 3_000),
        nested("{{range $.failure.Labels}}", "{{end}}", 30),
        nested("{{range $.failure.Labels}}", "{{end}}", 3_000),
        format!("{{{{ {} }}}}", "(".repeat(20_000)),
        format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000)),
        nested("{{block \"B\" .}}", "{{end}}", 2_000),
        nested("{{with .}}", "{{end}}", 2_000),
        "{{ printf \"%999999d\" 1 }}".to_owned(),
        "{{ printf \"%.999999f\" 1.0 }}".to_owned(),
        format!("{{{{ printf \"{}\" 1 }}}}", "%99999[1]d".repeat(1_000)),
        format!("{big}{}", "{{$x}}".repeat(200)),
        format!("{big}{}", "{{html $x}}".repeat(200)),
        format!("{big}{}", "{{if eq $x $x}}{{end}}".repeat(1_000)),
        format!("{big}{}", "{{if contains \"z\" $x}}{{end}}".repeat(1_000)),
        format!("{big}{{{{ replace \"0\" $x $x }}}}"),
        format!("{big}{{{{ reReplaceAll \"\" $x $x }}}}"),
        format!("{big}{{{{ join $x (split \"\" $x) }}}}"),
        format!("{big}{{{{ indent 100000 (replace \"0\" \"\\n\" $x) }}}}"),
        format!("{big}{{{{ match \"(?:a?){{400}}(?:[a-z0-9]*){{20}}$\" $x }}}}"),
        "{{ match \"(((a{100}){100}){100})\" \"a\" }}".to_owned(),
        "{{if match \"(a|b)*[ab]{12}c\" \"abab\"}}{{end}}".repeat(1_500),
        format!(
            "{big}{{{{range split \"\" $x}}}}{{{{range split \"\" $x}}}}{{{{end}}}}{{{{end}}}}"
        ),
        "{{$a := 1}}".repeat(5_000),
        "x".repeat(70_000),
        format!(
            "{}{}",
            "{{$aaaaaaaa := 1}}".repeat(240),
            "{{range $.failure.Labels}}{{$a := $}}{{end}}".repeat(900)
        ),
    ];
    for source in hostile {
        let start: String = source.chars().take(80).collect();
        match run(&source) {
            // Slow for other engines, but not beyond the limits here.
            Ok(_) => assert!(
                source.contains("match") || start.starts_with("{{$aaaa"),
                "{start} was rendered"
            ),
            Err(error) => assert!(error.is_limit(), "{start}: {error}"),
        }
    }
}

#[test]
fn long_chains_are_walked_without_depth() {
    let chain = "{{if 0}}".to_owned() + &"{{else if 0}}".repeat(2_000) + "{{else}}last{{end}}";
    assert_eq!(run(&chain).unwrap(), "last");
    let pipes = format!("{{{{ 1{} }}}}", " | print".repeat(2_000));
    assert_eq!(run(&pipes).unwrap(), "1");
    let fields = format!("{{{{ .nope{} }}}}", ".x".repeat(5_000));
    assert_eq!(run(&fields).unwrap(), "<no value>");
}

#[test]
fn unfinished_nesting_is_an_error_not_a_crash() {
    for open in [
        "{{if 1}}",
        "{{range .}}",
        "{{with 1}}",
        "{{define \"x\"}}",
        "{{block \"x\" .}}",
        "{{((((",
        "{{if 1}}{{else}}",
    ] {
        assert_eq!(
            run(&open.repeat(4_000)).unwrap_err().stage(),
            Stage::Parse,
            "{open}"
        );
    }
}

/// Every kind of nesting at the greatest depth there is, on a small stack.
#[test]
fn the_greatest_depth_fits_a_small_stack() {
    let at_depth = |depth: usize| {
        let limits = Limits::default().with_depth(depth);
        let engine = Engine::new().with_limits(limits);
        let nest = |open: &str, close: &str| {
            format!(
                "{}{{{{ . }}}}{}",
                open.repeat(depth - 1),
                close.repeat(depth - 1)
            )
        };
        let sources = [
            nest("{{if 1}}", "{{end}}"),
            nest("{{range $i, $x := .}}", "{{end}}"),
            nest("{{with .}}", "{{end}}"),
            nest("{{block \"B\" .}}", "{{end}}").replacen("\"B\"", "\"A\"", 1),
            format!(
                "{{{{ {}1{} }}}}",
                "(print ".repeat(depth - 1),
                ")".repeat(depth - 1)
            ),
            format!(
                "{{{{ {}1{} }}}}",
                "(and 1 (".repeat((depth - 1) / 2),
                "))".repeat((depth - 1) / 2)
            ),
            format!(
                "{{{{ {}nil{} }}}}",
                "(index ".repeat(depth - 1),
                ").X".repeat(depth - 1)
            ),
            format!(
                "{{{{define \"T\"}}}}{}{{{{template \"T\" .}}}}{}{{{{end}}}}{{{{template \"T\" .}}}}",
                "{{range .}}".repeat(depth - 2),
                "{{end}}".repeat(depth - 2)
            ),
        ];
        let mut data = Value::from(1);
        for _ in 0..depth {
            data = Value::from(vec![data]);
        }
        let context = Context::new(data);
        for source in &sources {
            if let Ok(template) = engine.parse("t", source) {
                drop(template.render(&context));
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(move || at_depth(100)).unwrap().join().unwrap();
}

#[test]
fn deep_data_is_refused_not_followed() {
    let mut data = Value::from(1);
    for _ in 0..500 {
        data = Value::from(BTreeMap::from([("x".to_owned(), data)]));
    }
    let context = Context::new(data);
    for source in ["{{ . }}", "{{ toJson . }}", "{{ printf \"%#v\" . }}"] {
        let error = Engine::new()
            .parse("t", source)
            .unwrap()
            .render(&context)
            .unwrap_err();
        assert!(error.is_limit(), "{source}: {error}");
    }
}

#[test]
fn each_limit_can_be_set() {
    let over = |limits: Limits, source: &str| {
        let context = Context::new(Value::from("0123456789"));
        let result = Engine::new()
            .with_limits(limits)
            .parse("t", source)
            .and_then(|template| template.render(&context));
        assert!(result.unwrap_err().is_limit(), "{source}");
    };
    over(Limits::default().with_source_bytes(4), "12345");
    over(
        Limits::default().with_depth(2),
        "{{if 1}}{{if 1}}{{if 1}}{{end}}{{end}}{{end}}",
    );
    over(
        Limits::default().with_steps(10),
        "{{ print 1 2 3 4 5 6 7 8 9 }}",
    );
    over(Limits::default().with_output_bytes(19), "{{ . }}{{ . }}");
    over(
        Limits::default().with_value_bytes(19),
        "{{ len (print . .) }}",
    );
    over(
        Limits::default().with_total_bytes(19),
        "{{ len (print . .) }}",
    );
    over(Limits::default().with_width(5), "{{ printf \"%6d\" 1 }}");
}

#[test]
fn long_values_of_the_caller_are_shared_not_copied() {
    let long: Arc<str> = "x".repeat(300_000).into();
    let context = Context::new(Value::from(long));
    let template = Engine::new()
        .parse("t", "{{ $x := . }}{{ len $x }}")
        .unwrap();
    assert_eq!(template.render(&context).unwrap(), "300000");
}
