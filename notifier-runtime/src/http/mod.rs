//! The HTTP interface: `/health`, `/version`, `/debug/pprof/`.

mod pprof;
mod serve;
mod tls;

use std::{fmt, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};

use crate::{Cli, Masker, Parsed, WatcherSettings};

pub use self::{
    serve::{HttpServer, parse_listen},
    tls::ServerTls,
};

/// Who may use `/debug/pprof/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PprofAccess {
    /// Nobody.
    Off,
    /// Programs on the same host: the other end of the connection is a loopback address.
    #[default]
    Loopback,
    /// Everybody.
    On,
}

impl PprofAccess {
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "off" => Self::Off,
            "on" => Self::On,
            _ => Self::Loopback,
        }
    }

    fn check(self, peer: SocketAddr) -> Result<(), &'static str> {
        match self {
            Self::On => Ok(()),
            Self::Loopback if peer.ip().to_canonical().is_loopback() => Ok(()),
            Self::Loopback => {
                Err("Profiles are for programs on the same host only (see -pprof).\n")
            }
            Self::Off => Err("Profiles are switched off (see -pprof).\n"),
        }
    }
}

type Health = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the HTTP interface answers.
///
/// | path | answer |
/// |---|---|
/// | `/health` | 200 `I am mostly okay, thanks.`, or 500 `Something is fishy: REASON` |
/// | `/version` | `PROGRAM (NAME) vVERSION` |
/// | `/debug/pprof/` | what there is below it |
/// | `/debug/pprof/profile?seconds=N` | a CPU profile as `go tool pprof` reads it; 30 s unless said, at most 300; one at a time |
/// | `/debug/pprof/cmdline` | the arguments, with secrets masked, a NUL between them |
#[derive(Clone)]
pub struct Interface {
    program: String,
    name: String,
    version: String,
    command_line: Vec<String>,
    access: PprofAccess,
    health: Health,
    masker: Masker,
}

impl Interface {
    /// The interface of a watcher. `health` is asked at each request to `/health` and must not block.
    pub fn new(
        cli: &Cli,
        parsed: &Parsed,
        settings: &WatcherSettings,
        masker: &Masker,
        health: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let mut command_line = vec![cli.name().to_owned()];
        command_line.extend(parsed.command_line().iter().cloned());
        Self {
            program: cli.name().to_owned(),
            name: settings.name.clone(),
            version: cli.version().to_owned(),
            command_line,
            access: settings.pprof,
            health: Arc::new(health),
            masker: masker.clone(),
        }
    }

    /// The routes, for a server of one's own. It must set
    /// [`ConnectInfo`](axum::extract::ConnectInfo) of the peer's address, or profiles are refused.
    pub fn router(self) -> Router {
        let state = Arc::new(self);
        Router::new()
            .route("/health", any(health))
            .route("/version", any(version))
            .merge(pprof::routes(Arc::clone(&state)))
            .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here.\n") })
            .with_state(state)
    }
}

impl From<Interface> for Router {
    fn from(interface: Interface) -> Self {
        interface.router()
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interface")
            .field("program", &self.program)
            .field("name", &self.name)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// Answers hold for the moment only.
const FRESH: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

async fn health(State(i): State<Arc<Interface>>) -> Response {
    match (i.health)() {
        Ok(()) => (FRESH, "I am mostly okay, thanks.\n").into_response(),
        Err(why) => {
            let body = format!("Something is fishy: {}\n", i.masker.mask(&why));
            (StatusCode::INTERNAL_SERVER_ERROR, FRESH, body).into_response()
        }
    }
}

async fn version(State(i): State<Arc<Interface>>) -> Response {
    (
        FRESH,
        format!("{} ({}) v{}\n", i.program, i.name, i.version),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_address_decides() {
        let from = |a: &str| SocketAddr::new(a.parse().unwrap(), 1);
        for local in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(PprofAccess::Loopback.check(from(local)).is_ok(), "{local}");
            assert!(PprofAccess::Off.check(from(local)).is_err(), "{local}");
        }
        for other in [
            "10.0.0.1",
            "192.168.1.1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "0.0.0.0",
        ] {
            assert!(PprofAccess::Loopback.check(from(other)).is_err(), "{other}");
            assert!(PprofAccess::On.check(from(other)).is_ok(), "{other}");
        }
    }
}
