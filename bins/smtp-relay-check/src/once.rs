//! One check of all targets.

use std::io::IsTerminal;

use futures_util::{StreamExt, stream};
use notifier_runtime::{Env, Exit, Fatal, print};
use smtp_probe::{
    Prober, Report, State,
    format::{self, Labelled, Table},
};

use crate::{NAME, cli::ExitForm, past::Store, plan::Plan, service::MOST_AT_ONCE};

/// What Docker keeps of the output of a health check.
const MOST_OF_A_PROBE: usize = 4000;

/// Checks each target once, prints what was found, and answers the exit code.
pub(crate) fn run(plan: Plan, env: &Env, form: ExitForm) -> Result<u8, Fatal> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot start: {e}")))?;
    let mut store = Store::open(plan.run.path("state"));
    let reports = runtime.block_on(check(&plan, &mut store));
    // A look-up of a name that hangs does not hold up the end.
    runtime.shutdown_background();
    store.save();
    let text = render(&plan, env, form, &reports);
    let overall = format::overall(&reports);
    let code = match form {
        ExitForm::Plugin => overall.plugin_code(),
        ExitForm::Probe => overall.probe_code(),
    };
    Ok(match print(NAME, &text) {
        Exit::Ok => code,
        // Nobody has seen what was found. What is critical stays so: nothing is worse.
        _ if overall == State::Crit => code,
        _ => form.wrong(),
    })
}

/// The reports, in the order of the targets.
async fn check(plan: &Plan, store: &mut Store) -> Vec<Report> {
    let probes = plan.jobs.iter().map(|job| {
        let past = store.take(&job.target.name);
        let mut prober = Prober::new(job.target.clone()).with_past(past);
        async move {
            let report = prober.run().await;
            (prober.past().clone(), report)
        }
    });
    let probes: Vec<_> = probes.collect();
    let mut done = stream::iter(probes).buffered(MOST_AT_ONCE);
    let mut reports = Vec::with_capacity(plan.jobs.len());
    while let Some((past, report)) = done.next().await {
        if let Some(job) = plan.jobs.get(reports.len()) {
            store.put(&job.target.name, past);
        }
        reports.push(report);
    }
    reports
}

fn render(plan: &Plan, env: &Env, form: ExitForm, reports: &[Report]) -> String {
    match plan.run.text("format") {
        Some("json") => format::json(reports),
        Some("nagios") => format::nagios(reports),
        Some("prometheus") => format::prometheus(reports, Labelled::Target),
        _ => {
            let mut table = Table::default();
            table.all = plan.run.bool("all");
            table.quiet = plan.run.bool("quiet") || (form == ExitForm::Probe && !table.all);
            table.colour = match plan.run.text("color") {
                Some("always") => true,
                Some("never") => false,
                _ => std::io::stdout().is_terminal() && env.get("NO_COLOR").is_none(),
            };
            let text = table.render(reports);
            match form {
                ExitForm::Plugin => text,
                ExitForm::Probe => shortened(text),
            }
        }
    }
}

/// The first and the last lines, as much as is kept.
fn shortened(text: String) -> String {
    if text.len() <= MOST_OF_A_PROBE {
        return text;
    }
    let last = text.lines().next_back().unwrap_or_default();
    let last: String = last.chars().take(500).collect();
    let mut out = String::new();
    for line in text.lines() {
        if out.len() + line.len() + last.len() + 8 > MOST_OF_A_PROBE {
            break;
        }
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("…\n");
    out.push_str(&last);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_probe_is_short_and_ends_with_the_verdict() {
        let long = format!("{}last line\n", "something is wrong here ü\n".repeat(1000));
        let out = shortened(long);
        assert!(out.len() <= MOST_OF_A_PROBE, "{}", out.len());
        assert!(out.starts_with("something") && out.ends_with("…\nlast line\n"));
        assert_eq!(shortened("a\n".to_owned()), "a\n");
        let wide = shortened("ü".repeat(9000));
        assert!(wide.len() <= MOST_OF_A_PROBE, "{}", wide.len());
    }
}
