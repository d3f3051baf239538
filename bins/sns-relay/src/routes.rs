//! The route that SNS posts to.

use std::{fmt, future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

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
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

/// A body must be in within this time. SNS itself waits 15 s for an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bodies up to this length are read whatever else there is: who is slow with them holds up nobody.
const SMALL: usize = 16 * 1024;
/// How many longer ones are in memory at once; more wait for as long as a body may take.
const LARGE_BODIES: usize = 64;
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
        places: Semaphore::new(LARGE_BODIES),
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
    let from = peer.to_string();
    match relay.read(body, deadline).await {
        Ok(body) => {
            relay
                .handled(&parts.headers, &parts.uri, &body.bytes, &from)
                .await
        }
        Err(Unread::TooLarge) => answered(relay.handler.too_large(&from)),
        Err(Unread::NoPlace) => {
            tracing::warn!(%peer, "too many large requests at once: one was put off");
            said(StatusCode::SERVICE_UNAVAILABLE)
        }
        Err(why) => {
            tracing::debug!(%peer, "a body {why}");
            said(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// A whole body, and its place if it is a large one.
struct Whole<'a> {
    bytes: Vec<u8>,
    _place: Option<SemaphorePermit<'a>>,
}

/// Why there is no whole body.
#[derive(Debug)]
enum Unread {
    TooLarge,
    NoPlace,
    Late,
    /// The other side left. What came is a part of the message, which must not be taken for it.
    BrokenOff,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "is too large",
            Self::NoPlace => "has no place",
            Self::Late => "did not come in time",
            Self::BrokenOff => "broke off",
        })
    }
}

impl Relay {
    async fn read(&self, body: Body, deadline: Instant) -> Result<Whole<'_>, Unread> {
        let max = self.handler.max_body();
        let mut body = pin!(body);
        let (mut bytes, mut length, mut place) = (Vec::new(), 0, None);
        loop {
            let next = timeout_at(deadline, poll_fn(|cx| body.as_mut().poll_frame(cx))).await;
            let frame = match next {
                // Late or not, what is too large is no better later.
                _ if length > max.saturating_add(SPILLED) => return Err(Unread::TooLarge),
                Err(_) | Ok(Some(Err(_))) if length > max => return Err(Unread::TooLarge),
                Err(_) => return Err(Unread::Late),
                Ok(Some(Err(_))) => return Err(Unread::BrokenOff),
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            length += data.len();
            if length > max {
                (bytes, place) = (Vec::new(), None);
                continue;
            }
            if place.is_none() && length > SMALL {
                let free = timeout_at(deadline, self.places.acquire()).await;
                place = Some(free.ok().and_then(Result::ok).ok_or(Unread::NoPlace)?);
            }
            bytes.extend_from_slice(&data);
        }
        match length > max {
            true => Err(Unread::TooLarge),
            false => Ok(Whole {
                bytes,
                _place: place,
            }),
        }
    }

    async fn handled(&self, headers: &HeaderMap, uri: &Uri, body: &[u8], from: &str) -> Response {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let request = sns_source::Request::new(&header, body)
            .query(uri.query())
            .from(from);
        answered(self.handler.handle(&self.engine, &request).await)
    }
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

#[cfg(test)]
mod tests {
    use notifiers::memory::MemoryReporter;

    use super::*;

    #[tokio::test]
    async fn small_bodies_need_no_place() {
        let topic = "arn:aws:sns:eu-west-1:123456789012:t";
        let secret = "0pen-sesame";
        let handler = Handler::builder([topic]).raw_secret(secret);
        let reporter = Arc::new(MemoryReporter::new());
        let relay = Arc::new(Relay {
            handler: Arc::new(handler.build().unwrap()),
            engine: Engine::builder("t").reporter(reporter).build().unwrap(),
            // All others are taken, and nobody gives one back.
            places: Semaphore::new(0),
        });
        relay.places.close();
        let post = async |length: usize| {
            let request = Request::post(format!("/?secret={secret}"))
                .header("x-amz-sns-rawdelivery", "true")
                .header("x-amz-sns-message-type", "Notification")
                .header("x-amz-sns-message-id", "m-1")
                .header("x-amz-sns-topic-arn", topic)
                .body(Body::from("x".repeat(length)))
                .unwrap();
            let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1)));
            take(State(Arc::clone(&relay)), peer, request)
                .await
                .status()
        };
        assert_eq!(post(SMALL).await, 200);
        assert_eq!(post(SMALL + 1).await, 503);
        assert_eq!(post(relay.handler.max_body() + 1).await, 413);
    }
}
