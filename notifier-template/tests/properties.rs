//! What holds for any text whatever.

use notifier_template::{Context, Engine, Escape, Limits, Stage, Time, Value};
use proptest::prelude::*;

use crate::support;
use crate::support::generate::Generator;

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{{"),
        Just("}}"),
        Just("{{- "),
        Just(" -}}"),
        Just("("),
        Just(")"),
        Just(" | "),
        Just("."),
        Just(".failure"),
        Just(".Name"),
        Just(".Started"),
        Just("$x"),
        Just(" := "),
        Just("if "),
        Just("else"),
        Just("end"),
        Just("range "),
        Just("with "),
        Just("define \"T\""),
        Just("template \"T\" ."),
        Just("block \"T\" ."),
        Just("break"),
        Just("printf "),
        Just("\"%d%v\""),
        Just("\""),
        Just("'"),
        Just("`"),
        Just(" 1"),
        Just(" -0x1p4i"),
        Just("é"),
        Just("\n"),
        Just("/*"),
        Just("*/"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn survives(source: &str) -> Result<(), TestCaseError> {
    let context = support::context(&serde_json::json!({}));
    let result = support::engine().parse("t", source).and_then(|template| {
        template.render_escaped(&context, &Escape::html())?;
        template.render_escaped(&context, &Escape::slack())?;
        template.render(&context)
    });
    if let Err(error) = result {
        let shown = error.to_string();
        prop_assert!(
            shown.contains(&format!("{}:{}", error.line(), error.column())),
            "{shown}"
        );
        prop_assert!(
            shown.contains("parse") || shown.contains("execute"),
            "{shown}"
        );
        prop_assert!(!shown.contains('\n') && shown.len() < 500, "{shown}");
        prop_assert!(error.line() <= 1 + source.matches('\n').count());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_template_or_an_error(source in "\\PC*") {
        survives(&source)?;
    }

    #[test]
    fn any_heap_of_pieces_is_a_template_or_an_error(source in pieces()) {
        survives(&source)?;
    }

    #[test]
    fn any_generated_template_survives(seed: u64) {
        survives(&Generator::new(seed).template())?;
    }

    #[test]
    fn text_without_actions_is_itself(source in "[^{]*") {
        let template = Engine::new().parse("t", &source).unwrap();
        prop_assert_eq!(template.render_escaped(&Context::new(Value::Nil), &Escape::html()).unwrap(), source);
    }

    #[test]
    fn any_format_survives(format in "(%[-+# 0]{0,3}[0-9*]{0,3}(\\.[0-9*]{0,3})?(\\[[0-9]\\])?[a-zA-Z%é])*", int: i64, float: f64, text: String) {
        let context = Context::new(Value::from(vec![
            Value::from(format), Value::from(int), Value::from(float), Value::from(text),
            Value::from(Time::from_unix(int, 0)),
        ]));
        let source = "{{ printf (index . 0) (index . 1) (index . 2) (index . 3) (index . 4) }}";
        let rendered = Engine::new().parse("t", source).unwrap().render(&context);
        prop_assert!(rendered.is_ok_and(|text| text.len() < 1 << 20));
    }

    #[test]
    fn any_layout_survives(layout: String, unix: i64, nanos in 0u32..2_000_000_000) {
        let time = Time::from_unix(unix, nanos);
        prop_assert!(time.format(&layout).len() <= 32 * layout.len().max(1));
    }

    #[test]
    fn no_output_is_longer_than_its_limit(seed: u64, longest in 0usize..200) {
        let limits = Limits::default().with_output_bytes(longest);
        let engine = Engine::new().with_function("config").with_limits(limits);
        let context = support::context(&serde_json::json!({}));
        let rendered = engine.parse("t", &Generator::new(seed).template()).and_then(|template| template.render(&context));
        match rendered {
            // A broken byte becomes three.
            Ok(text) => prop_assert!(text.replace(char::REPLACEMENT_CHARACTER, "x").len() <= longest),
            Err(error) => prop_assert!(!error.is_limit() || error.stage() == Stage::Execute),
        }
    }

    #[test]
    fn html_values_leave_no_markup(value: String) {
        let template = Engine::new().parse("t", "<a title=\"{{ . }}\" x={{ . }}>{{ . }}</a>").unwrap();
        let html = template.render_escaped(&Context::new(Value::from(value)), &Escape::html()).unwrap();
        prop_assert_eq!(html.matches('<').count(), 2);
        prop_assert_eq!(html.matches('>').count(), 2);
        prop_assert!(html.split('>').next().unwrap().matches('"').count() == 2);
    }
}
