use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

/// One request as a server received it.
///
/// A server records every request it could parse, also those whose body never
/// arrived or was deliberately not read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// The number of the request, unique in its server, from 0 in order of arrival.
    pub serial: u64,
    /// The number of the connection it came on, from 0: requests with the same
    /// number shared a connection.
    pub connection: u64,
    /// The method, as sent (`GET`, `POST`).
    pub method: String,
    /// The request target as sent: path and query, still percent-encoded.
    pub target: String,
    /// The headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body without its transfer coding; empty when it was not read.
    pub body: Vec<u8>,
    /// Whether the body arrived as announced. `false` when the server was told not
    /// to read it.
    pub body_complete: bool,
    /// The address of the client.
    pub peer: SocketAddr,
    /// When the head of the request was complete.
    pub arrived: Instant,
    /// The same moment by the wall clock.
    pub arrived_at: SystemTime,
}

impl Request {
    /// The value of the first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The path of the target without its query, still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = match self.target.split_once("://") {
            // The absolute form, as sent to a proxy.
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => &self.target,
        };
        target.split(['?', '#']).next().unwrap_or(target)
    }

    /// The query of the target, still percent-encoded; empty without one.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The decoded value of the first query parameter with this name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query().as_bytes())
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.into_owned())
    }

    /// The body as text; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, or `None` if it is not.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body as a form (`application/x-www-form-urlencoded`), decoded pairs in order.
    #[must_use]
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body)
            .into_owned()
            .collect()
    }
}
