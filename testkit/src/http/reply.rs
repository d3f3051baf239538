use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

/// What a server does with one request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Action {
    /// Reads the request and sends this reply.
    Reply(Reply),
    /// Reads the request, lets the server's own handler answer, and delivers that
    /// answer in the way described: late, slowly, cut short.
    Normal(Delivery),
    /// Resets the connection as soon as the head is there, the body unread.
    ResetBeforeBody,
    /// Closes the connection as soon as the head is there, the body unread.
    CloseBeforeBody,
    /// Reads the whole request, then resets the connection.
    ResetAfterBody,
    /// Reads the whole request, then closes the connection without an answer.
    CloseAfterBody,
    /// Reads the whole request and never answers; ends when the client leaves or the
    /// server stops.
    Hang,
    /// Reads the whole request, writes these bytes as they are (no status line, no
    /// headers are added) and closes the connection.
    Raw(Vec<u8>),
}

impl Action {
    /// A reply with a status and no body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Reply(Reply::new(status))
    }

    /// The normal answer, its first byte `delay` later than usual.
    #[must_use]
    pub fn delayed(delay: Duration) -> Self {
        Self::Normal(Delivery::new().delay(delay))
    }

    /// The normal answer, cut off after so many bytes of its body.
    #[must_use]
    pub fn truncated(after: u64, end: End) -> Self {
        Self::Normal(Delivery::new().cut(after, end))
    }

    /// The normal answer, `bytes` at a time with a pause of `every` between.
    #[must_use]
    pub fn dripping(bytes: usize, every: Duration) -> Self {
        Self::Normal(Delivery::new().drip(bytes, every))
    }

    /// An HTML error page, as a proxy in front of the server would send it.
    #[must_use]
    pub fn html(status: u16) -> Self {
        Self::Reply(Reply::html(status))
    }

    /// Status 200 announcing JSON, with a body that is not JSON, HTML or text.
    #[must_use]
    pub fn garbage() -> Self {
        let noise: Vec<u8> = (0..512u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        Self::Reply(
            Reply::new(200)
                .header("Content-Type", "application/json")
                .body(noise),
        )
    }

    pub(crate) fn is_before_body(&self) -> bool {
        matches!(self, Self::ResetBeforeBody | Self::CloseBeforeBody)
    }
}

impl From<Reply> for Action {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// An orderly close (FIN).
    Close,
    /// A reset (RST).
    Reset,
}

/// How the body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Framing {
    /// `Content-Length` when the length is known, else chunked.
    #[default]
    Auto,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Neither; the end of the connection ends the body.
    UntilClose,
}

/// In what way the bytes of a reply reach the client. Default: at once and whole.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    pub(crate) delay: Duration,
    pub(crate) drip: Option<(usize, Duration)>,
    pub(crate) cut: Option<(u64, End)>,
    pub(crate) framing: Framing,
    pub(crate) close: bool,
}

impl Delivery {
    /// At once and whole.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits this long before the first byte. Default: not at all.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends the body in pieces of `bytes` (at least 1) with a pause of `every` between.
    #[must_use]
    pub fn drip(mut self, bytes: usize, every: Duration) -> Self {
        self.drip = Some((bytes.max(1), every));
        self
    }

    /// Ends the connection after `after` bytes of the body, whatever was announced.
    #[must_use]
    pub fn cut(mut self, after: u64, end: End) -> Self {
        self.cut = Some((after, end));
        self
    }

    /// How the body is framed. Default: [`Framing::Auto`].
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Closes the connection afterwards and says so by `Connection: close`.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Lays `over` on top: what it sets wins, delays add up.
    pub(crate) fn overlaid(mut self, over: &Self) -> Self {
        self.delay += over.delay;
        self.drip = over.drip.or(self.drip);
        self.cut = over.cut.or(self.cut);
        if over.framing != Framing::Auto {
            self.framing = over.framing;
        }
        self.close |= over.close;
        self
    }
}

/// An answer: status, headers, body and how they are delivered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    pub(crate) delivery: Delivery,
}

impl Reply {
    /// A reply with this status, no headers of its own and an empty body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::default(),
            delivery: Delivery::default(),
        }
    }

    /// A reply of `text/plain`.
    #[must_use]
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(text.into())
    }

    /// A reply of `application/json`.
    #[must_use]
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status)
            .header("Content-Type", "application/json")
            .body(value.to_string())
    }

    /// A small HTML error page, as proxies send them.
    #[must_use]
    pub fn html(status: u16) -> Self {
        let reason = reason(status);
        let page = format!(
            "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n\
             <center><h1>{status} {reason}</h1></center>\r\n<hr><center>proxy</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::new(status)
            .header("Content-Type", "text/html")
            .body(page)
    }

    /// A redirect: the status (301, 302, 307, 308) and a `Location`.
    #[must_use]
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::new(status).header("Location", location)
    }

    /// Adds a header. `Content-Length`, `Transfer-Encoding` and `Connection` come from
    /// the delivery and are not to be set here.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the way of delivery.
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Waits this long before the first byte.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delivery.delay = delay;
        self
    }

    /// The status code.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        self.status
    }
}

type Fill = dyn Fn(u64, &mut [u8]) + Send + Sync;

/// The body of a [`Reply`]. Cloning is cheap.
#[derive(Clone)]
pub struct Body(pub(crate) Content);

#[derive(Clone)]
pub(crate) enum Content {
    Bytes(Arc<[u8]>),
    Generated { len: Option<u64>, fill: Arc<Fill> },
    Channel(Arc<Pieces>),
}

#[derive(Debug)]
pub(crate) enum Piece {
    Data(Vec<u8>),
    /// A part of bytes that others hold too; may drip.
    #[cfg_attr(
        not(feature = "mesos"),
        expect(dead_code, reason = "only snapshots are shared")
    )]
    Shared {
        bytes: Arc<[u8]>,
        range: Range<usize>,
        drip: Option<(usize, Duration)>,
    },
    End(End),
}

/// The reading side of a [`Body::channel`].
#[derive(Debug)]
pub(crate) struct Pieces {
    pub(crate) receiver: Mutex<mpsc::UnboundedReceiver<Piece>>,
    pub(crate) gauge: Arc<Gauge>,
}

/// What the sides of a [`Body::channel`] tell each other.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// Bytes of data sent and not yet taken by the system.
    pub(crate) unread: AtomicU64,
    /// An end is on its way: what drips is not worth going on with.
    pub(crate) ending: AtomicBool,
}

impl Body {
    /// A body of `len` bytes made while it is sent: `fill(offset, buffer)` writes the
    /// bytes from `offset` on. Costs no memory, whatever its length.
    #[must_use]
    pub fn generated(len: u64, fill: impl Fn(u64, &mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Content::Generated {
            len: Some(len),
            fill: Arc::new(fill),
        })
    }

    /// A body of `len` bytes that repeats a pattern (a zero byte if it is empty).
    #[must_use]
    pub fn repeated(pattern: impl Into<Vec<u8>>, len: u64) -> Self {
        Self(Content::Generated {
            len: Some(len),
            fill: repeat(pattern.into()),
        })
    }

    /// A body without an end: the pattern again and again until the client leaves.
    #[must_use]
    pub fn endless(pattern: impl Into<Vec<u8>>) -> Self {
        Self(Content::Generated {
            len: None,
            fill: repeat(pattern.into()),
        })
    }

    /// A body written step by step through the returned sender, for streams of events.
    ///
    /// It is chunked unless the delivery says otherwise, ends in order when the sender
    /// is dropped, and serves one request only: clones share the pieces.
    #[must_use]
    pub fn channel() -> (BodySender, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let gauge = Arc::new(Gauge::default());
        let pieces = Pieces {
            receiver: Mutex::new(receiver),
            gauge: Arc::clone(&gauge),
        };
        (
            BodySender { sender, gauge },
            Self(Content::Channel(Arc::new(pieces))),
        )
    }

    /// The length in bytes, if it is known beforehand.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        match &self.0 {
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Generated { len, .. } => *len,
            Content::Channel(_) => None,
        }
    }

    /// Whether it is known to have no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

fn repeat(mut pattern: Vec<u8>) -> Arc<Fill> {
    if pattern.is_empty() {
        pattern.push(0);
    }
    Arc::new(move |offset, buffer| {
        let start = (offset % pattern.len() as u64) as usize;
        for (byte, from) in buffer.iter_mut().zip(pattern.iter().cycle().skip(start)) {
            *byte = *from;
        }
    })
}

impl Default for Body {
    fn default() -> Self {
        Self(Content::Bytes(Arc::from([])))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Content::Bytes(_) => "bytes",
            Content::Generated { .. } => "generated",
            Content::Channel(_) => "channel",
        };
        f.debug_struct("Body")
            .field("kind", &kind)
            .field("len", &self.len())
            .finish()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Content::Bytes(bytes.into()))
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Content::Bytes(bytes))
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Self(Content::Bytes(bytes.into()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// Writes the pieces of a [`Body::channel`]. Clones write to the same body.
#[derive(Debug, Clone)]
pub struct BodySender {
    sender: mpsc::UnboundedSender<Piece>,
    gauge: Arc<Gauge>,
}

impl BodySender {
    /// Sends bytes. Returns `false` when nobody reads the body any more.
    pub fn send(&self, bytes: impl Into<Vec<u8>>) -> bool {
        let bytes = bytes.into();
        let count = bytes.len() as u64;
        self.gauge.unread.fetch_add(count, Ordering::Relaxed);
        self.sender.send(Piece::Data(bytes)).is_ok()
    }

    /// Sends a part of bytes that others hold too, at once or `drip` by `drip`. They do
    /// not count as unread.
    #[cfg(feature = "mesos")]
    pub(crate) fn send_shared(
        &self,
        bytes: Arc<[u8]>,
        range: Range<usize>,
        drip: Option<(usize, Duration)>,
    ) -> bool {
        let piece = Piece::Shared { bytes, range, drip };
        self.sender.send(piece).is_ok()
    }

    /// Ends the connection here without ending the body properly. Returns `false` when
    /// nobody reads the body any more.
    pub fn cut(&self, end: End) -> bool {
        self.gauge.ending.store(true, Ordering::Relaxed);
        self.sender.send(Piece::End(end)).is_ok()
    }

    /// Ends the connection like [`cut`](Self::cut), after all that was sent before,
    /// however slowly that goes.
    #[cfg(feature = "mesos")]
    pub(crate) fn cut_in_order(&self, end: End) -> bool {
        self.sender.send(Piece::End(end)).is_ok()
    }

    /// The sender is about to be dropped: what drips need not go on.
    #[cfg(feature = "mesos")]
    pub(crate) fn hurry(&self) {
        self.gauge.ending.store(true, Ordering::Relaxed);
    }

    /// How many bytes were [sent](Self::send) that the system has not taken yet: a
    /// client that does not read makes them grow once the buffers of both sockets are
    /// full.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.gauge.unread.load(Ordering::Relaxed)
    }

    /// Whether the connection of the body is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// The reason phrase of a status, empty for one without.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
