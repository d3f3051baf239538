//! `/debug/pprof/`, as far as `go tool pprof` needs it.

use std::{
    collections::HashMap,
    hash::Hash,
    io::{self, Write},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};
use tokio::sync::Mutex;

use super::{FRESH, Interface};

/// Samples a second. Go takes 100; a number that shares no factor with common
/// periods does not see the same moment of a periodic task again and again.
const FREQUENCY: i32 = 99;
const DEFAULT_SECONDS: u64 = 30;
const MAX_SECONDS: u64 = 300;

/// There is one signal timer in a process, so there is one profile at a time.
static RUNNING: Mutex<()> = Mutex::const_new(());

pub(super) fn routes(state: Arc<Interface>) -> Router<Arc<Interface>> {
    Router::new()
        .route(
            "/debug/pprof",
            get(|| async { Redirect::permanent("/debug/pprof/") }),
        )
        .route("/debug/pprof/", get(index))
        .route("/debug/pprof/cmdline", get(cmdline))
        .route("/debug/pprof/profile", get(profile))
        .route("/debug/pprof/{other}", get(other))
        .route_layer(middleware::from_fn_with_state(state, guard))
}

/// Lets in only whom `-pprof` lets in. A connection whose peer is not known is refused.
async fn guard(State(i): State<Arc<Interface>>, request: Request, next: Next) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<std::net::SocketAddr>>();
    let anywhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    match i.access.check(peer.map_or(anywhere, |p| p.0)) {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, why).into_response(),
    }
}

async fn index() -> Response {
    const PAGE: &str = "<!DOCTYPE html>
<html><head><title>/debug/pprof/</title></head><body>
<p>Profiles of this program:</p>
<ul>
<li><a href=\"profile?seconds=30\">profile</a>: CPU, for <code>go tool pprof URL</code>; seconds=1 to 300</li>
<li><a href=\"cmdline\">cmdline</a>: the command line, secrets masked</li>
</ul>
</body></html>
";
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (FRESH, html, PAGE).into_response()
}

async fn cmdline(State(i): State<Arc<Interface>>) -> Response {
    let line: Vec<_> = i.command_line.iter().map(|a| i.masker.mask(a)).collect();
    (FRESH, line.join("\0")).into_response()
}

async fn other() -> Response {
    (
        StatusCode::NOT_FOUND,
        "There is no such profile here; there is profile, for CPU.\n",
    )
        .into_response()
}

async fn profile(request: Request) -> Response {
    let seconds = match seconds(request.uri().query().unwrap_or("")) {
        Ok(s) => s,
        Err(why) => return (StatusCode::BAD_REQUEST, why).into_response(),
    };
    let Ok(_one) = RUNNING.try_lock() else {
        let why = "A profile is being taken already; one at a time.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    match take(Duration::from_secs(seconds)).await {
        Ok(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"profile\"",
                ),
            ];
            (FRESH, headers, bytes).into_response()
        }
        Err(why) => {
            let body = format!("Cannot take a profile: {why}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}

fn seconds(query: &str) -> Result<u64, String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    match pairs.find(|(k, _)| k == "seconds") {
        None => Ok(DEFAULT_SECONDS),
        Some((_, v)) => v
            .parse()
            .ok()
            .filter(|s| (1..=MAX_SECONDS).contains(s))
            .ok_or_else(|| format!("seconds is a whole number from 1 to {MAX_SECONDS}.\n")),
    }
}

/// Samples the whole process. Dropping the future stops the sampling.
async fn take(time: Duration) -> Result<Vec<u8>, String> {
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(FREQUENCY)
        // Unwinding out of these from a signal handler is not safe.
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build()
        .map_err(|e| e.to_string())?;
    tokio::time::sleep(time).await;
    // Looking up symbols reads the program's file and takes a while.
    tokio::task::spawn_blocking(move || {
        let report = guard.report().build().map_err(|e| e.to_string())?;
        drop(guard);
        gzip(&encode(&report)).map_err(|e| e.to_string())
    })
    .await
    .map_err(|e| e.to_string())?
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes)?;
    out.finish()
}

/// The message `perftools.profiles.Profile` of
/// <https://github.com/google/pprof/blob/main/proto/profile.proto>. Six small messages
/// are written here by hand, since the codecs that the crate `pprof` offers bring a
/// protobuf compiler into the build.
fn encode(report: &pprof::Report) -> Vec<u8> {
    let period = 1_000_000_000 / i64::from(FREQUENCY);
    let mut strings = Table::default();
    strings.id(String::new());
    let mut functions: Table<(String, String, String)> = Table::default();
    let mut locations: Table<(u64, u64)> = Table::default();
    let mut out = Message::default();

    let value_type = |strings: &mut Table<String>, kind: &str, unit: &str| {
        let mut m = Message::default();
        m.number(1, strings.id(kind.to_owned()));
        m.number(2, strings.id(unit.to_owned()));
        m
    };
    out.message(1, &value_type(&mut strings, "samples", "count"));
    out.message(1, &value_type(&mut strings, "cpu", "nanoseconds"));
    for (stack, count) in &report.data {
        let count = i64::try_from(*count).unwrap_or(0).max(0);
        let mut ids = Vec::new();
        // On top of each stack stands the sampling itself.
        let own = |frame: &&Vec<pprof::Symbol>| {
            frame.iter().any(|s| {
                let name = s.name();
                name.starts_with("backtrace::") || name.contains("pprof::backtrace")
            })
        };
        for symbol in stack.frames.iter().skip_while(own).flatten() {
            let function = (
                symbol.name(),
                symbol.sys_name().into_owned(),
                symbol.filename().into_owned(),
            );
            // Numbers of functions and locations begin at 1.
            let function = functions.id(function) + 1;
            ids.push(locations.id((function, u64::from(symbol.lineno()))) + 1);
        }
        let mut label = Message::default();
        label.number(1, strings.id("thread".to_owned()));
        label.number(2, strings.id(stack.thread_name_or_id()));
        let mut sample = Message::default();
        sample.packed(1, &ids);
        sample.packed(
            2,
            &[
                count.unsigned_abs(),
                (count.saturating_mul(period)).unsigned_abs(),
            ],
        );
        sample.message(3, &label);
        out.message(2, &sample);
    }
    for (i, (function, line)) in locations.list().enumerate() {
        let mut at = Message::default();
        at.number(1, *function);
        at.number(2, *line);
        let mut location = Message::default();
        location.number(1, i as u64 + 1);
        location.message(4, &at);
        out.message(4, &location);
    }
    for (i, (name, system, file)) in functions.list().enumerate() {
        let mut function = Message::default();
        function.number(1, i as u64 + 1);
        function.number(2, strings.id(name.clone()));
        function.number(3, strings.id(system.clone()));
        function.number(4, strings.id(file.clone()));
        out.message(5, &function);
    }
    let cpu = value_type(&mut strings, "cpu", "nanoseconds");
    for s in strings.list() {
        out.bytes(6, s.as_bytes());
    }
    let since = report
        .timing
        .start_time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    out.number(9, u64::try_from(since.as_nanos()).unwrap_or(0));
    out.number(
        10,
        u64::try_from(report.timing.duration.as_nanos()).unwrap_or(0),
    );
    out.message(11, &cpu);
    out.number(12, period.unsigned_abs());
    out.0
}

/// Numbers things in the order they are met, from 0.
#[derive(Debug)]
struct Table<T>(HashMap<T, u64>, Vec<T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(HashMap::new(), Vec::new())
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    fn id(&mut self, value: T) -> u64 {
        let next = self.1.len() as u64;
        *self.0.entry(value).or_insert_with_key(|v| {
            self.1.push(v.clone());
            next
        })
    }

    fn list(&self) -> impl Iterator<Item = &T> {
        self.1.iter()
    }
}

/// A protobuf message in the making.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn message(&mut self, field: u64, value: &Self) {
        self.bytes(field, &value.0);
    }

    fn packed(&mut self, field: u64, values: &[u64]) {
        let mut inner = Self::default();
        for v in values {
            inner.varint(*v);
        }
        self.message(field, &inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds(""), Ok(30));
        assert_eq!(seconds("debug=1&seconds=5"), Ok(5));
        for wrong in [
            "seconds=0",
            "seconds=301",
            "seconds=x",
            "seconds=-1",
            "seconds=",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn varints_are_little_endian_groups_of_seven() {
        let mut m = Message::default();
        m.number(1, 150);
        m.bytes(2, b"testing");
        m.packed(4, &[3, 270, 86942]);
        assert_eq!(
            m.0,
            [
                &[0x08, 0x96, 0x01, 0x12, 0x07][..],
                b"testing",
                &[0x22, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]
            ]
            .concat()
        );
    }
}
