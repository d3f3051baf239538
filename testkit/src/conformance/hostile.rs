//! Failures as nobody wants them.

use notifier_core::{FailureRecord, LogStream, jiff::Timestamp};

/// A secret in a label of each hostile failure; no error or `Debug` may show it.
pub(crate) const LABEL_SECRET: &str = "canary-label-secret-0451";

/// Failures that break what was written for ordinary ones, with a name for each:
/// empty, long, with control characters, other scripts, markup of every kind.
pub fn hostile_failures() -> Vec<(&'static str, FailureRecord)> {
    let long = "long-".repeat(20_000);
    let markup = "<!channel> <@U0001> &amp; <http://evil.example|click> *b* _i_ `c` ```x``` @here \
                  <script>alert(1)</script> [link|http://evil.example] {code} {{ .failure.Name }} %s %n \\";
    let texts: Vec<(&'static str, String)> = vec![
        ("empty", String::new()),
        ("blank", " \t\r\n ".to_owned()),
        ("100 kB", long),
        ("100 000 wide characters", "🦀".repeat(100_000)),
        ("NUL", "a\0b".to_owned()),
        ("every control character", ('\0'..='\u{9f}').collect()),
        (
            "ANSI",
            "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}\u{9b}2J".to_owned(),
        ),
        (
            "right to left",
            "\u{202e}gnp.exe\u{202c} שלום مرحبا".to_owned(),
        ),
        ("emoji", "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 e\u{301}\u{200d}\u{feff}".to_owned()),
        ("combining marks", format!("a{}", "\u{301}".repeat(5000))),
        ("markup", markup.to_owned()),
        (
            "line breaks",
            "a\r\nSubject: evil\nBcc: evil@example.com\r\rb\u{2028}c\u{85}d".to_owned(),
        ),
        (
            "quotes",
            r#"" ' ` \" \\ \n </textarea> --> ]]> ; rm -rf / $(x) ${x}"#.to_owned(),
        ),
        (
            "not characters",
            "\u{fffe}\u{ffff}\u{10ffff}\u{fffd}".to_owned(),
        ),
    ];
    let mut out: Vec<(&'static str, FailureRecord)> = texts
        .into_iter()
        .map(|(name, text)| {
            let mut f = FailureRecord::new(
                text.clone(),
                text.clone(),
                text.clone(),
                Timestamp::UNIX_EPOCH,
            );
            f.host.clone_from(&text);
            f.framework.clone_from(&text);
            f.image.clone_from(&text);
            f.message = Some(text.clone());
            f.reason = Some(text.clone());
            f.owners = vec![text.clone()];
            f.labels.insert("team".to_owned(), text);
            (name, f)
        })
        .collect();

    let plain = || FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    out.push((
        "a label of 1 MB",
        plain().with_label("big", "x".repeat(1 << 20)),
    ));
    let mut many = plain();
    for i in 0..10_000 {
        many.labels.insert(format!("label-{i}"), "x".to_owned());
    }
    out.push(("10 000 labels", many));
    let mut early = plain();
    early.finished = Timestamp::MIN;
    early.started = Some(Timestamp::MAX);
    out.push(("ended before the beginning of time", early));
    let mut logs = plain();
    logs.log_streams = vec![
        LogStream::new("stdout", "not a url"),
        LogStream::new("", "http://a/?x=|>"),
    ];
    out.push(("strange logs", logs));
    for (_, f) in &mut out {
        f.labels
            .insert("db_password".to_owned(), LABEL_SECRET.to_owned());
    }
    out
}
