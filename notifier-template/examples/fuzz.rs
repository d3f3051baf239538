//! Long-running fuzzing without any tool: random and mutated templates, rendered in every
//! mode, until the time is up.
//!
//! ```text
//! cargo run --release -p notifier-template --example fuzz -- SEED SECONDS
//! ```

#![expect(clippy::print_stdout, reason = "the report is what it is for")]

#[path = "../tests/support/generate.rs"]
mod generate;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;
use generate::Generator;
use notifier_template::{Context, Engine, Escape, Function, Time, Value};

/// What a rendering may take before it is reported.
const SLOW: Duration = Duration::from_millis(50);

const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "{{end}}",
    "{{else}}",
    "{{else if .a}}",
    "{{if .a}}",
    "{{range .list}}",
    "{{with .a}}",
    "{{define \"T\"}}",
    "{{template \"T\" .}}",
    "{{block \"B\" .}}",
    "{{$x := .a}}",
    "{{$x = print $x $x}}",
    "{{break}}",
    "(",
    ")",
    " | ",
    "%",
    "%99999d",
    "%*d",
    "%[1]",
    "\"",
    "`",
    "'",
    "\\",
    "1e308",
    "0x1p-1074",
    "9223372036854775807",
    " ",
    "toUpper ",
    "title ",
    "split \"\" ",
    "join $x ",
    "replace \"a\" $x ",
    "reReplaceAll \"(.)\" \"$1$1\" ",
    "toJson ",
    "indent 999 ",
    "quote ",
    "trunc -3 ",
    "humanizeDuration ",
    "urlUnescape ",
    "match \"(a*)*b\" ",
    ".t",
    ".t.Format ",
    "\"2006-01-02T15:04:05.000Z07:00\"",
    ".t.AddDate 999999999 99 99",
    "tz \"\" .t",
    ".list",
    ".a",
    ".d.Round ",
    "\u{10ffff}",
    "\0",
];

fn context() -> Context {
    let config = Function::new("config", |key: &str| format!("<{key}>"));
    let labels = BTreeMap::from([
        ("a".to_owned(), "1".to_owned()),
        ("é".to_owned(), "<x>".to_owned()),
    ]);
    let time = Time::from_unix(1_466_138_472, 123_456_789);
    let data = BTreeMap::from([
        ("a".to_owned(), Value::from("text <b> é")),
        (
            "d".to_owned(),
            Value::from(notifier_template::Duration::from_nanos(-1_500_000_001)),
        ),
        ("t".to_owned(), Value::from(time.clone())),
        (
            "list".to_owned(),
            Value::from(vec![
                Value::Nil,
                Value::from(1),
                Value::from("x"),
                Value::from(1.5),
            ]),
        ),
        (
            "failure".to_owned(),
            Value::from(BTreeMap::from([
                ("Name".to_owned(), Value::from("n")),
                ("Labels".to_owned(), Value::from(labels)),
                ("Started".to_owned(), Value::from(time.clone())),
                ("Finished".to_owned(), Value::from(time.clone())),
            ])),
        ),
        ("config".to_owned(), Value::from(config.clone())),
    ]);
    let mut context = Context::new(Value::from(data)).with_now(time);
    context.bind("config", config);
    context
}

fn mutate(rng: &mut Rng, text: &str, other: &str) -> String {
    let at = |rng: &mut Rng, text: &str| {
        let mut at = rng.usize(..=text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (a, b) = (at(rng, text), at(rng, text));
    let (a, b) = (a.min(b), a.max(b));
    let piece = PIECES[rng.usize(..PIECES.len())];
    match rng.u8(..6) {
        0 => format!("{}{}", &text[..a], &text[b..]),
        1 => format!(
            "{}{}{}",
            &text[..a],
            text[a..b].repeat(rng.usize(2..40)),
            &text[b..]
        ),
        2 => format!("{}{}", &text[..a], &other[at(rng, other)..]),
        3 => format!(
            "{}{}{}",
            &text[..a],
            piece.repeat(rng.usize(1..60)),
            &text[a..]
        ),
        _ => format!("{}{piece}{}", &text[..a], &text[a..]),
    }
}

#[derive(Default)]
struct Report {
    executions: u64,
    rendered: u64,
    limits: u64,
    panics: u64,
    slow: u64,
    worst: Duration,
    worst_source: String,
}

fn fuzz(seed: u64, seconds: u64) -> Report {
    let (mut rng, mut generator) = (Rng::with_seed(seed), Generator::new(seed));
    let engine = Engine::new().with_function("config");
    let context = context();
    let escapes = [
        Escape::plain(),
        Escape::slack(),
        Escape::html(),
        Escape::custom(str::to_uppercase),
    ];
    let mut kept: Vec<String> = (0..500).map(|_| generator.template()).collect();
    let mut report = Report::default();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let mut source = if rng.u8(..3) == 0 {
            generator.template()
        } else {
            kept[rng.usize(..kept.len())].clone()
        };
        for _ in 0..rng.usize(0..6) {
            let other = rng.usize(..kept.len());
            source = mutate(&mut rng, &source, &kept[other]);
        }
        if source.len() > 80_000 {
            source.clear();
        }
        let escape = &escapes[rng.usize(..escapes.len())];
        let mut took = Duration::MAX;
        let mut run = || {
            let started = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| {
                engine
                    .parse("fuzz", &source)
                    .and_then(|template| template.render_escaped(&context, escape))
            }));
            took = took.min(started.elapsed());
            (result, took)
        };
        // A busy machine makes anything slow once.
        let (mut result, mut took) = run();
        for _ in 0..4 {
            if took < SLOW / 4 {
                break;
            }
            (result, took) = run();
        }
        report.executions += 1;
        match &result {
            Err(_) => {
                report.panics += 1;
                println!("PANIC: {source:?}");
            }
            Ok(Ok(_)) => report.rendered += 1,
            Ok(Err(error)) => report.limits += u64::from(error.is_limit()),
        }
        if took > SLOW {
            report.slow += 1;
            println!("SLOW {took:?}: {source:?}");
        }
        if took > report.worst {
            report.worst = took;
            report.worst_source.clone_from(&source);
        }
        // What renders, or reaches a limit, is worth changing further.
        let interesting = match &result {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => error.is_limit(),
            Err(_) => false,
        };
        if interesting && source.contains("{{") && source.len() < 5_000 && rng.u8(..4) == 0 {
            let place = rng.usize(..kept.len());
            kept[place] = source;
        }
    }
    report
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().unwrap_or(1));
    let (seed, seconds) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(10));
    let report = fuzz(seed, seconds);
    println!(
        "seed {seed}, {seconds} s: {} executions, {} rendered, {} at a limit, {} panics, {} slower than {SLOW:?}, worst {:?}",
        report.executions, report.rendered, report.limits, report.panics, report.slow, report.worst
    );
    let shown: String = report.worst_source.chars().take(300).collect();
    println!("worst: {shown:?}");
}
