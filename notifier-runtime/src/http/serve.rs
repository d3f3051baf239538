use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};

use super::ServerTls;
use crate::{Exit, Fatal};

/// A request's head must be in within this time, and before it the handshake of TLS.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest head of a request.
const MAX_HEAD: usize = 16 * 1024;
/// How many connections are served at once; more wait.
const MAX_CONNECTIONS: usize = 1024;
/// How long requests under way may take at the end.
const DRAIN: Duration = Duration::from_secs(2);

/// Reads an address to listen on: `HOST:PORT`, `[::1]:PORT`, or `:PORT` for all addresses of the host.
///
/// Answers host (empty for all) and port.
///
/// # Errors
/// What is wrong with it.
///
/// ```
/// use notifier_runtime::http::parse_listen;
/// assert_eq!(parse_listen("127.0.0.1:8888"), Ok(("127.0.0.1".into(), 8888)));
/// assert_eq!(parse_listen(":8080"), Ok((String::new(), 8080)));
/// assert!(parse_listen("8080").is_err());
/// ```
pub fn parse_listen(address: &str) -> Result<(String, u16), String> {
    let wrong = |why: &str| Err(format!("{address:?} {why}"));
    let Some((host, port)) = address.rsplit_once(':') else {
        return wrong("has no port; write HOST:PORT or :PORT");
    };
    let Ok(port) = port.parse::<u16>() else {
        return wrong("does not end in a port from 0 to 65535");
    };
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
        Some(_) => return wrong("has no IPv6 address in its brackets"),
        None if host.contains([':', '/', '@', ' ']) => {
            return wrong("is not HOST:PORT; an IPv6 address stands in brackets");
        }
        None => host,
    };
    Ok((host.to_owned(), port))
}

/// A running HTTP interface.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Binds an address and serves an [`Interface`](super::Interface), or routes of one's own, in a
    /// task of its own. Each request has [`ConnectInfo`] with the peer's address.
    ///
    /// # Errors
    /// With code 69 if the address is in use, 64 if it cannot be used at all.
    pub async fn start(address: &str, routes: impl Into<Router>) -> Result<Self, Fatal> {
        Self::start_with(address, routes, None).await
    }

    /// The same over HTTPS, if there is a certificate to show.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        address: &str,
        routes: impl Into<Router>,
        tls: Option<ServerTls>,
    ) -> Result<Self, Fatal> {
        let fatal = |exit, why: &dyn std::fmt::Display| {
            Fatal::new(exit, format!("listen: cannot listen on {address:?}: {why}"))
        };
        let (host, port) = parse_listen(address)
            .map_err(|why| Fatal::new(Exit::Usage, format!("listen: {why}")))?;
        let listener = bind(&host, port).await.map_err(|e| {
            let exit = if e.kind() == io::ErrorKind::AddrInUse {
                Exit::Unavailable
            } else {
                Exit::Usage
            };
            fatal(exit, &e)
        })?;
        let address = listener
            .local_addr()
            .map_err(|e| fatal(Exit::Internal, &e))?;
        let (stop, stopped) = watch::channel(false);
        let served = if tls.is_some() { "HTTPS" } else { "HTTP" };
        tracing::info!(%address, "serving {served}");
        let task = tokio::spawn(serve(listener, routes.into(), tls, stopped));
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    /// The address it listens on, with the port that was chosen for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and ends within 2 s, cutting off what is still under way then.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Binds all addresses of a host that was not named on IPv6 and IPv4 at once, as Go does.
async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    if !host.is_empty() {
        return TcpListener::bind((host, port)).await;
    }
    match TcpListener::bind(("::", port)).await {
        Err(e) if e.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(("0.0.0.0", port)).await
        }
        other => other,
    }
}

async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<ServerTls>,
    mut stopped: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD);
    loop {
        if places.available_permits() == 0 {
            tracing::warn!(
                connections = MAX_CONNECTIONS,
                "the HTTP interface is full; more connections wait"
            );
        }
        let place = tokio::select! {
            _ = stopped.changed() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            _ = stopped.changed() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(a) => a,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors, for one: waiting helps, spinning does not.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = router.clone().layer(axum::Extension(ConnectInfo(peer)));
        let (http, watcher) = (http.clone(), graceful.watcher());
        let acceptor = tls.as_ref().map(ServerTls::acceptor);
        tokio::spawn(async move {
            let io: Box<dyn Wire> = match acceptor {
                None => Box::new(stream),
                Some(acceptor) => match timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    Ok(Err(error)) => return ended(peer, &error),
                    Err(_) => return ended(peer, &"no handshake of TLS in time"),
                },
            };
            let connection =
                http.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
            if let Err(error) = watcher.watch(connection).await {
                ended(peer, &error);
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::debug!("requests under way were cut off");
    }
}

/// A connection, with or without TLS.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

fn ended(peer: SocketAddr, error: &dyn fmt::Display) {
    tracing::debug!(%error, %peer, "a connection ended early");
}
