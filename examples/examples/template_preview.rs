//! What a template makes of a failure, before anybody is told.
//!
//! `cargo run -p notifier-examples --example template_preview`
#![expect(clippy::print_stdout, reason = "an example")]

use notifiers::{FailureRecord, Links, Markup, Report, Result, render_once};

fn main() -> Result<()> {
    let failure: FailureRecord = serde_json::from_str(
        r#"{ "id": "web.1", "name": "web <front>", "slave": "10.0.0.7", "state": "TASK_FAILED",
             "started": "2026-01-01T02:00:00Z", "finished": "2026-01-01T02:03:20Z",
             "labels": { "team": "core" } }"#,
    )
    .map_err(|e| notifiers::Error::config(e.to_string()))?;
    let report = Report::failure(failure)
        .with_links(Links::new(
            "http://10.0.0.7:5051/stdout",
            "http://10.0.0.7:5051/stderr",
        ))
        .with_config(|key| {
            if key == "mentions" {
                "@core".into()
            } else {
                String::new()
            }
        });

    let template = r#"*{{ .failure.Name }}* died on {{ .failure.Slave }} after {{ .failure.Finished.Sub .failure.Started }} <{{ .stderrURL }}|why> {{ config "mentions" }}"#;
    println!("plain: {}", render_once(template, Markup::Plain, &report)?);
    println!("slack: {}", render_once(template, Markup::Slack, &report)?);

    match render_once("{{ .failure.Nmae }}", Markup::Plain, &report) {
        Ok(text) => println!("{text}"),
        Err(e) => println!("error: {e}"),
    }
    Ok(())
}
