//! The functions that go beyond Go's own, bound functions, and escaping.

use jiff::tz::TimeZone;
use notifier_template::{Context, Engine, Escape, Function, Limits, Stage, Template, Time, Value};
use serde_json::json;

use crate::support;

fn parse(source: &str) -> Template {
    support::engine()
        .parse("t", source)
        .unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn context() -> Context {
    support::context(&json!({}))
        .with_now(Time::from_unix(1_466_142_100, 0))
        .with_zones(|name| (name == "Far/East").then(|| TimeZone::fixed(jiff::tz::offset(9))))
}

#[test]
fn each_function_does_what_its_table_says() {
    for (source, want) in [
        (r#"{{ "straße é" | toUpper }}"#, "STRAßE É"),
        (r#"{{ "ÄB" | toLower }}"#, "äb"),
        (
            r#"{{ title "hello WORLD foo-bar don't a_b x.y" }}"#,
            "Hello World Foo-Bar Don't A_b X.y",
        ),
        (r#"{{ trimSpace "  a b\n" }}|{{ trim " x " }}"#, "a b|x"),
        (r#"{{ stringSlice "a" "b" | join ", " }}"#, "a, b"),
        (
            r#"{{ split "," "a,b,,c" | join "-" }} {{ index (split "," "a,b") 1 }} {{ len (split "" "äb") }}"#,
            "a-b--c b 2",
        ),
        (
            r#"{{ match "^foo.*" .failure.ID }} {{ match "\\bbar\\b" .failure.ID }} {{ match "^\\w$" "é" }}"#,
            "true true false",
        ),
        (
            r#"{{ reReplaceAll "(b)(a)r" "<$2${1}x>" .failure.ID }}"#,
            "foo.<abx>.1",
        ),
        (
            r#"{{ .failure.Started | date "2006-01-02" }}"#,
            "2016-06-17",
        ),
        (
            r#"{{ .failure.Started | tz "Far/East" | date "15:04 -0700" }}"#,
            "13:41 +0900",
        ),
        (
            r#"{{ .failure.Started | tz "UTC" }}"#,
            "2016-06-17 04:41:12 +0000 UTC",
        ),
        (
            r#"{{ since .failure.Finished }} {{ since .failure.Finished | humanizeDuration }}"#,
            "21s 21s",
        ),
        (
            r#"{{ .failure.Finished.Sub .failure.Started | humanizeDuration }}"#,
            "1h 0m 7s",
        ),
        (
            r#"{{ humanizeDuration 90061 }} {{ humanizeDuration "0.0123" }} {{ humanizeDuration 0 }}"#,
            "1d 1h 1m 1s 12.3ms 0s",
        ),
        (
            r#"{{ humanize 1234567.0 }} {{ humanize1024 1048576 }} {{ humanizePercentage 0.1234567 }}"#,
            "1.235M 1Mi 12.35%",
        ),
        (
            r#"{{ toJson .failure.Labels }} {{ toJson "a\"\n" }} {{ toJson nil }} {{ toJson 1.5 }} {{ toJson (stringSlice "x") }}"#,
            r#"{"a":"1","empty":"","team":"core \u003cx\u003e","λ":"v"} "a\"\n" null 1.5 ["x"]"#,
        ),
        (
            r#"{{ toJson .failure.Started }} {{ toJson (.failure.Started.AppendFormat nil "2006") }}"#,
            r#""2016-06-17T04:41:12Z" "MjAxNg==""#,
        ),
        (r#"{{ urlUnescape "a%20b+c%C3%A9" }}"#, "a b cé"),
        (
            r#"{{ default "none" .failure.Image }} {{ default "none" .failure.Slave }} {{ .nope | default 3 }}"#,
            "none host-1 3",
        ),
        (
            r#"{{ coalesce "" nil 0 "x" "y" }}|{{ coalesce "" }}"#,
            "x|<no value>",
        ),
        (
            r#"{{ ternary "yes" "no" (eq 1 1) }} {{ eq 1 2 | ternary "yes" "no" }}"#,
            "yes no",
        ),
        (
            r#"{{ trunc 2 "äbc" }} {{ "äbc" | trunc -2 }} {{ trunc 9 "x" }} {{ trunc 0 "x" }}"#,
            "äb bc x ",
        ),
        (
            r#"{{ .failure.ID | replace "." "/" }} {{ replace "" "-" "ab" }}"#,
            "foo/bar/1 -a-b-",
        ),
        (
            r#"{{ contains "bar" .failure.ID }} {{ hasPrefix "foo" .failure.ID }} {{ hasSuffix "foo" .failure.ID }}"#,
            "true true false",
        ),
        (
            r#"{{ indent 2 "a\nb" }}|{{ quote "a\"b" 1 nil "c" }}"#,
            "  a\n  b|\"a\\\"b\" \"1\" \"c\"",
        ),
        (
            r#"{{ raw "<" }}{{ safeHtml "<" }}{{ safeUrl "a b" }}"#,
            "<<a b",
        ),
    ] {
        let rendered = parse(source)
            .render(&context())
            .unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(rendered, want, "{source}");
    }
}

#[test]
fn wrong_uses_are_execute_errors() {
    for (source, part) in [
        (r#"{{ toUpper 1 }}"#, "expected string"),
        (
            r#"{{ .failure.Started | tz "No/Where" }}"#,
            "unknown time zone",
        ),
        (r#"{{ match "(" "x" }}"#, "error parsing regexp"),
        (r#"{{ join "," "x" }}"#, "a list is needed"),
        (r#"{{ toJson .config }}"#, "unsupported type"),
        (r#"{{ humanize "x" }}"#, "a number is needed"),
        (r#"{{ urlUnescape "%zz" }}"#, "invalid URL escape"),
        (r#"{{ trunc "a" "b" }}"#, "an integer is needed"),
    ] {
        let error = parse(source).render(&context()).unwrap_err();
        assert_eq!(error.stage(), Stage::Execute);
        assert!(error.to_string().contains(part), "{source}: {error}");
    }
    let error = parse("{{ since .failure.Started }}")
        .render(&support::context(&json!({})))
        .unwrap_err();
    assert!(error.message().contains("no clock"), "{error}");
}

#[test]
fn declared_functions_must_be_bound() {
    let engine = Engine::new().with_function("greet").with_function("len");
    let template = engine.parse("t", "{{ greet `x` }}{{ len 1 2 }}").unwrap();
    let mut context = Context::new(Value::Nil);
    let error = template.render(&context).unwrap_err();
    assert_eq!(
        error.to_string(),
        "execute error at 1:3: function \"greet\" is not bound"
    );
    context.bind(
        "greet",
        Function::variadic("greet", 0, |arguments| Ok(Value::from(arguments.len()))),
    );
    context.bind(
        "len",
        Function::from_fn("len", 2, |_| Err("no lengths today".to_owned())),
    );
    let error = template.render(&context).unwrap_err();
    assert_eq!(
        error.to_string(),
        "execute error at 1:18: error calling len: no lengths today"
    );
    assert!(Engine::new().parse("t", "{{ greet 1 }}").is_err());
    assert!(
        Engine::new()
            .with_function("1x")
            .parse("t", "{{ 1x }}")
            .is_err()
    );
}

#[test]
fn a_declared_break_is_no_keyword() {
    let engine = Engine::new().with_function("break");
    let mut context = Context::new(Value::Nil);
    context.bind(
        "break",
        Function::from_fn("break", 0, |_| Ok(Value::from("snap"))),
    );
    assert_eq!(
        engine
            .parse("t", "{{ break }}")
            .unwrap()
            .render(&context)
            .unwrap(),
        "snap"
    );
}

#[test]
fn only_final_values_are_escaped() {
    let engine = Engine::new()
        .with_function("config")
        .with_raw_function("link")
        .with_function("name");
    let mut context = Context::new(Value::from(json!({"x": "<&>", "l": ["<", ">"]})));
    for name in ["config", "link", "name"] {
        context.bind(name, Function::new(name, |key: &str| format!("<{key}>")));
    }
    for (source, want) in [
        ("<b>{{ .x }}", "<b>&lt;&amp;&gt;"),
        (
            "{{ config .x }}{{ .x | config }}{{ (config `a`) }}",
            "<<&>><<&>><a>",
        ),
        ("{{ config .x | print }}", "&lt;&lt;&amp;&gt;&gt;"),
        ("{{ link `a` }}{{ name `a` }}", "<a>&lt;a&gt;"),
        ("{{ $x := raw .x }}{{ $x }}{{ raw $x }}", "&lt;&amp;&gt;<&>"),
        (
            "{{ html .x }} {{ js .x }} {{ urlquery .x }}",
            "&lt;&amp;&gt; \\u003C\\u0026\\u003E %3C%26%3E",
        ),
        (
            "{{ range .l }}{{ . }}{{ end }}{{ define `T` }}<{{ . }}{{ end }}{{ template `T` .x }}",
            "&lt;&gt;<&lt;&amp;&gt;",
        ),
        ("{{ .nope }}", "&lt;no value&gt;"),
        (
            "{{ $y := .x }}{{ block `B` $y }}{{ . }}{{ end }}",
            "&lt;&amp;&gt;",
        ),
    ] {
        let template = engine.parse("t", source).unwrap();
        assert_eq!(
            template.render_escaped(&context, &Escape::slack()).unwrap(),
            want,
            "{source}"
        );
    }
}

#[test]
fn html_knows_attributes_across_actions() {
    let source = r#"<a href="{{ raw "/?a=" }}{{ .x }}" class={{ .x }}>{{ .x }}</a>{{ raw "<i title='" }}{{ .x }}'>{{ .x }}"#;
    let context = Context::new(Value::from(json!({"x": "a\"' b"})));
    let html = Engine::new()
        .parse("t", source)
        .unwrap()
        .render_escaped(&context, &Escape::html())
        .unwrap();
    assert_eq!(
        html,
        "<a href=\"/?a=a&#34;&#39; b\" class=a&#34;&#39;&#32;b>a\"' b</a><i title='a&#34;&#39; b'>a\"' b"
    );
}

#[test]
fn errors_say_where() {
    for (source, want) in [
        (
            "{{ 1 } }}",
            "parse error at 1:5: unexpected \"}\" in operand",
        ),
        (
            "a\n {{ .failure.Nope }}",
            "execute error at 2:12: can't evaluate field Nope in type Failure",
        ),
        ("{{ if 1 }}x", "parse error at 1:11: unexpected EOF"),
        (
            "{{ nope }}",
            "parse error at 1:3: function \"nope\" not defined",
        ),
        ("{{ $x }}", "parse error at 1:3: undefined variable \"$x\""),
        (
            "{{ template \"x\" }}",
            "execute error at 1:12: template \"x\" not defined",
        ),
        (
            "{{ break }}",
            "parse error at 1:3: {{break}} outside {{range}}",
        ),
    ] {
        let error = support::engine()
            .parse("name", source)
            .and_then(|template| template.render(&context()))
            .unwrap_err();
        assert_eq!(error.to_string(), want, "{source}");
        assert_eq!(error.template_name(), "name");
        assert!(!error.is_limit());
    }
    let long = format!("{{{{ {} }}}}", "x".repeat(5_000));
    assert!(
        support::engine()
            .parse("t", &long)
            .unwrap_err()
            .to_string()
            .len()
            < 200
    );
}

#[test]
fn parts_are_shareable_between_threads() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<Engine>();
    check::<Template>();
    check::<Context>();
    check::<Value>();
    check::<Escape>();
    check::<Limits>();
    check::<notifier_template::Error>();
}

#[test]
fn nil_in_data_is_not_a_missing_key() {
    let context = Context::new(Value::from(json!({"nil": null, "list": [null]})));
    for (source, want) in [
        ("{{ .nil }}", Ok("<no value>")),
        ("{{ .missing.x }}", Ok("<no value>")),
        ("{{ .nil.x }}", Err(())),
        ("{{ range .list }}{{ . }}{{ end }}", Ok("<no value>")),
        ("{{ . }}", Ok("map[list:[<nil>] nil:<nil>]")),
        (
            "{{ printf `%#v` . }}",
            Ok(
                "map[string]interface {}{\"list\":[]interface {}{interface {}(nil)}, \"nil\":interface {}(nil)}",
            ),
        ),
    ] {
        let rendered = Engine::new().parse("t", source).unwrap().render(&context);
        assert_eq!(rendered.as_deref().map_err(|_| ()), want, "{source}");
    }
}
