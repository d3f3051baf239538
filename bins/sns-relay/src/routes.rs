//! The route that SNS posts to.

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use notifiers::{
    Engine,
    sns_source::{self, Answer, Handler},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

/// A body must be in within this time. SNS itself waits 15 s for an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How many bodies are in memory at once; more wait for as long as a body may take.
const BODIES: usize = 64;
/// How much of a body that is too long is read all the same, so that who sends it reads the answer.
const SPILLED: usize = 4 * 1024 * 1024;

struct Relay {
    handler: Arc<Handler>,
    engine: Engine,
    places: Semaphore,
}

/// `POST path`. Whatever else comes there is answered with 405.
pub(crate) fn of(handler: Arc<Handler>, engine: Engine, path: &str) -> Router {
    let relay = Arc::new(Relay {
        handler,
        engine,
        places: Semaphore::new(BODIES),
    });
    Router::new().route(path, post(take)).with_state(relay)
}

async fn take(
    State(relay): State<Arc<Relay>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let deadline = Instant::now() + BODY_TIMEOUT;
    let (parts, body) = request.into_parts();
    let Ok(Ok(_place)) = timeout_at(deadline, relay.places.acquire()).await else {
        tracing::warn!(%peer, "too many requests at once: one was put off");
        return said(StatusCode::SERVICE_UNAVAILABLE);
    };
    let from = peer.to_string();
    let max = relay.handler.max_body();
    match timeout_at(deadline, read(body, max)).await {
        Ok(Some(body)) => {
            relay
                .handled(&parts.headers, &parts.uri, &body, &from)
                .await
        }
        Ok(None) => answered(relay.handler.too_large(&from)),
        Err(_) => {
            tracing::debug!(%peer, "a body did not come in time");
            said(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

impl Relay {
    async fn handled(&self, headers: &HeaderMap, uri: &Uri, body: &[u8], from: &str) -> Response {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let request = sns_source::Request::new(&header, body)
            .query(uri.query())
            .from(from);
        answered(self.handler.handle(&self.engine, &request).await)
    }
}

/// The body, or `None` if it is longer than `max` bytes. One that breaks off is what came of it.
async fn read(body: Body, max: usize) -> Option<Vec<u8>> {
    let mut body = pin!(body);
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= max {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
        if length > max.saturating_add(SPILLED) {
            break;
        }
    }
    (length <= max).then_some(bytes)
}

fn answered(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = said(status);
    if answer.challenge {
        let basic = header::HeaderValue::from_static("Basic realm=\"sns\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, basic);
    }
    response
}

/// A status with its own words: who posts forgeries learns no more.
fn said(status: StatusCode) -> Response {
    let words = status.canonical_reason().unwrap_or_default();
    (status, format!("{words}\n")).into_response()
}
