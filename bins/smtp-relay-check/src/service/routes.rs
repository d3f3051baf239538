//! `/probe`, `/metrics`, `/health`, `/livez`, `/readyz`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use notifiers::{Clock, Engine, SystemClock};
use serde_json::json;
use smtp_probe::{
    Check, Class, Phase, Prober, Report, Target,
    format::{Labelled, Table, json as as_json, prometheus},
};
use tokio::time::{Instant, timeout_at};

use super::{Board, Pattern, board::server};
use crate::{
    NAME,
    plan::{Plan, place_of},
};

/// How long a probe may take where nobody says it.
const PATIENCE: Duration = Duration::from_secs(120);
/// So much earlier than Prometheus gives up there is an answer.
const HEADROOM: Duration = Duration::from_millis(500);

/// What answers.
#[derive(Debug)]
pub(crate) struct App {
    plan: Arc<Plan>,
    board: Arc<Board>,
    allowed: Vec<Pattern>,
    /// Who tells of changes, where that is done.
    engine: Option<Engine>,
}

impl App {
    pub(crate) fn new(plan: Arc<Plan>, board: Arc<Board>, engine: Option<Engine>) -> Self {
        let said = plan.run.list("probe-targets").unwrap_or_default();
        // All were checked when they came in.
        let allowed = said.iter().filter_map(|p| Pattern::parse(p).ok()).collect();
        Self {
            plan,
            board,
            allowed,
            engine,
        }
    }
}

/// The routes.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", any(index))
        .route("/probe", any(probe))
        .route("/metrics", any(metrics))
        .route("/health", any(health))
        .route("/livez", any(|| async { (FRESH, "ok\n") }))
        .route("/readyz", any(ready))
        .route(
            "/version",
            any(|| async { (FRESH, format!("{NAME} v{}\n", env!("CARGO_PKG_VERSION"))) }),
        )
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here.\n") })
        .with_state(Arc::new(app))
}

/// Answers hold for the moment only.
const FRESH: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

const EXPOSITION: [(header::HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    ),
];

const JSON: [(header::HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_TYPE, "application/json"),
];

async fn index() -> Response {
    let text = "/probe?target=HOST:PORT&module=NAME checks a relay now; debug=true says more\n\
                /metrics is what was found last\n\
                /health is 200 while all targets can take mail\n\
                /readyz is 200 while all targets are checked in time\n\
                /livez is 200\n";
    (FRESH, text).into_response()
}

fn refusal(status: StatusCode, why: &str) -> Response {
    (status, FRESH, format!("{why}\n")).into_response()
}

async fn probe(
    State(app): State<Arc<App>>,
    Query(asked): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let begun = Instant::now();
    let word = |name: &str| {
        asked
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    };
    let Some(wanted) = word("target") else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "target is missing: /probe?target=HOST:PORT",
        );
    };
    let mut target = match app.wanted(wanted, word("module")) {
        Ok(target) => target,
        Err((status, why)) => return refusal(status, &why),
    };
    let budget = budget(&headers);
    target.limits.total = target.limits.total.min(budget);
    target.limits.connect = target.limits.connect.min(budget);
    target.limits.canary = target.limits.canary.min(budget);
    target.limits.canary_warn = target.limits.canary_warn.min(budget);
    let end = begun + budget;
    let Ok(leave) = timeout_at(end, app.board.leave(&server(&target))).await else {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "other probes are under way, and there was no time left; ask less often or with more time",
        );
    };
    let name = target.name.clone();
    let mut prober = Prober::new(target);
    let report = match timeout_at(end, prober.run()).await {
        Ok(report) => report,
        Err(_) => late(name, begun.elapsed()),
    };
    drop(leave);
    let reports = std::slice::from_ref(&report);
    if word("debug") == Some("true") {
        let mut table = Table::default();
        table.all = true;
        return (FRESH, table.render(reports)).into_response();
    }
    match word("format") {
        Some("json") => (JSON, as_json(reports)).into_response(),
        _ => (EXPOSITION, prometheus(reports, Labelled::No)).into_response(),
    }
}

/// What is known of a probe that took too long.
fn late(name: String, took: Duration) -> Report {
    let text = format!("it was not over after {:.1} s", took.as_secs_f64());
    let check = Check::crit("deadline", Phase::Quit, Class::Timeout, text)
        .hint("give the probe more time, or ask for less at once");
    let mut report = Report::new(name, SystemClock.now(), vec![check]);
    report
        .timings
        .insert("total".to_owned(), took.as_secs_f64() * 1e3);
    report
}

/// The time that there is for a probe: what Prometheus says, less a little.
fn budget(headers: &HeaderMap) -> Duration {
    let said = headers
        .get("x-prometheus-scrape-timeout-seconds")
        .and_then(|v| v.to_str().ok()?.parse::<f64>().ok())
        .filter(|s| *s > 0.0)
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    match said {
        None => PATIENCE,
        Some(said) if said > HEADROOM * 2 => (said - HEADROOM).min(PATIENCE),
        Some(said) => said / 2,
    }
}

impl App {
    /// What to check where this was asked for.
    fn wanted(&self, wanted: &str, module: Option<&str>) -> Result<Target, (StatusCode, String)> {
        let named = self.board.jobs.iter().find(|j| j.target.name == wanted);
        if let (Some(job), None) = (named, module) {
            return Ok(harmless(job.target.clone()));
        }
        let settings = match self.plan.modules.get(module.unwrap_or_default()) {
            Some(settings) => settings,
            None => {
                let known: Vec<&str> = self
                    .plan
                    .modules
                    .keys()
                    .map(String::as_str)
                    .filter(|m| !m.is_empty())
                    .collect();
                let known = match known.is_empty() {
                    true => "none is configured".to_owned(),
                    false => format!("there is {}", known.join(", ")),
                };
                return Err((
                    StatusCode::BAD_REQUEST,
                    format!("module: there is no such one; {known}"),
                ));
            }
        };
        let address = match named {
            Some(job) if job.target.is_local() => String::new(),
            Some(job) => place_of(&job.target),
            None => wanted.to_owned(),
        };
        let wrong = |list: Vec<String>| {
            (
                StatusCode::BAD_REQUEST,
                format!("target: {}", list.join("; ")),
            )
        };
        let target = self.plan.probed(settings, &address).map_err(wrong)?;
        let is_job = |t: &Target| t.host == target.host && t.port == target.port;
        let is_allowed = self.board.jobs.iter().any(|j| is_job(&j.target))
            || self.allowed.iter().any(|p| p.takes(&target));
        if !is_allowed {
            let why = "target: it is neither configured nor one of --probe-targets";
            return Err((StatusCode::FORBIDDEN, why.to_owned()));
        }
        Ok(match module {
            Some(_) => target,
            None => harmless(target),
        })
    }

    fn gauges(&self) -> String {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
            if !samples.is_empty() {
                out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
                for (labels, value) in samples {
                    out.push_str(&format!("{name}{labels} {value}\n"));
                }
            }
        };
        let one = |value: u64| vec![(String::new(), value.to_string())];
        let info = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        family(
            "smtp_relay_check_build_info",
            "gauge",
            "The version of the program.",
            &[(info, "1".to_owned())],
        );
        let each = |value: &dyn Fn(usize) -> u64| -> Vec<(String, String)> {
            let jobs = self.board.jobs.iter().enumerate();
            jobs.map(|(i, job)| {
                let name: String = job
                    .target
                    .name
                    .chars()
                    .filter(|c| !c.is_control())
                    .collect();
                let name = name.replace('\\', "\\\\").replace('"', "\\\"");
                (format!("{{target=\"{name}\"}}"), value(i).to_string())
            })
            .collect()
        };
        family(
            "smtp_relay_check_probes_total",
            "counter",
            "How often a target was checked.",
            &each(&|i| self.board.runs(i)),
        );
        family(
            "smtp_relay_check_up_to_date",
            "gauge",
            "Whether a target was checked within two intervals.",
            &each(&|i| u64::from(!self.board.standing(i).is_stale)),
        );
        if let Some(engine) = &self.engine {
            let stats = engine.stats();
            family(
                "smtp_relay_check_reporting_healthy",
                "gauge",
                "Whether those who are told of changes can be reached.",
                &one(u64::from(engine.health().is_ok())),
            );
            family(
                "smtp_relay_check_changes_total",
                "counter",
                "Changes that were to be told.",
                &one(stats.failures),
            );
            family(
                "smtp_relay_check_messages_delivered_total",
                "counter",
                "Messages that arrived.",
                &one(stats.delivered),
            );
            family(
                "smtp_relay_check_messages_dead_total",
                "counter",
                "Messages that were given up.",
                &one(stats.dead),
            );
        }
        out
    }
}

/// A canary and other messages are sent only where a module is named that has them.
fn harmless(mut target: Target) -> Target {
    target.canary = None;
    target.send = false;
    target
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let found = prometheus(&app.board.reports(), Labelled::Target);
    (EXPOSITION, format!("{found}{}", app.gauges())).into_response()
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let mut is_well = true;
    let mut targets = Vec::new();
    for (index, job) in app.board.jobs.iter().enumerate() {
        let standing = app.board.standing(index);
        is_well &= standing.is_well();
        let report = standing.last.as_ref().map(|l| &l.report);
        let bad = report
            .and_then(|r| r.decisive())
            .filter(|c| c.state > smtp_probe::State::Ok);
        targets.push(json!({
            "target": job.target.name,
            "overall": report.map(|r| r.overall.word()),
            "age_s": standing.age.map(|a| a.as_secs_f64()),
            "stale": standing.is_stale,
            "check": bad.map(|c| c.id),
            "text": bad.map(|c| c.text.as_str()),
        }));
    }
    let mut body = json!({ "ok": is_well, "targets": targets });
    if let Some(engine) = &app.engine {
        // What is wrong there is no fault of a relay.
        body["reporting"] = match engine.health() {
            Ok(()) => json!("ok"),
            Err(why) => json!(why),
        };
    }
    let status = match is_well {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = notifier_runtime::visible_json(body.to_string());
    (status, JSON, format!("{body}\n")).into_response()
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let late: Vec<&str> = app
        .board
        .jobs
        .iter()
        .enumerate()
        .filter(|(i, _)| app.board.standing(*i).is_stale)
        .map(|(_, job)| job.target.name.as_str())
        .collect();
    match late.is_empty() {
        true => (FRESH, "ok\n").into_response(),
        false => refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("not checked within two intervals: {}", late.join(", ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_before_prometheus_gives_up() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("X-Prometheus-Scrape-Timeout-Seconds", text.parse().unwrap());
            budget(&headers)
        };
        assert_eq!(of("10"), Duration::from_millis(9500));
        assert_eq!(of("0.5"), Duration::from_millis(250));
        assert_eq!(of("1e9"), PATIENCE);
        for none in ["0", "-1", "NaN", "inf", "soon"] {
            assert_eq!(of(none), PATIENCE, "{none}");
        }
        assert_eq!(budget(&HeaderMap::new()), PATIENCE);
    }
}
