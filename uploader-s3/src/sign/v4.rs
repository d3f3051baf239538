//! Signature version 4.
//!
//! Source: AWS, "Signature Version 4 for API requests" and "Authenticating Requests:
//! Using Query Parameters", read 2026-11-21.

use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::{Keys, Pair, hex, hmac_sha256};
use crate::key::encode;

/// The payload's hash in a link: who opens it sends none.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a signature is good for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) time: Timestamp,
}

impl Scope<'_> {
    /// The time as `X-Amz-Date` has it.
    pub(crate) fn stamp(&self) -> String {
        let utc = self.time.to_zoned(TimeZone::UTC);
        utc.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    fn text(&self, stamp: &str) -> String {
        let day = stamp.get(..8).unwrap_or(stamp);
        format!("{day}/{}/{}/aws4_request", self.region, self.service)
    }
}

/// A request, as far as it is signed. The path is encoded already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [Pair<'a>],
    /// Names in lower case. All are signed.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The hash of the body in hexadecimal, or [`UNSIGNED`].
    pub(crate) payload: &'a str,
}

/// The value of `Authorization`. `headers` has to hold `host` and `x-amz-date`.
pub(crate) fn authorization(keys: &Keys, scope: Scope<'_>, message: &Message<'_>) -> String {
    let stamp = scope.stamp();
    let (canonical, names) = canonical(message);
    let signature = signature(keys, scope, &stamp, &canonical);
    format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={names}, Signature={signature}",
        keys.id,
        scope.text(&stamp)
    )
}

/// The query of a link that works for so many seconds.
pub(crate) fn presigned_query(
    keys: &Keys,
    scope: Scope<'_>,
    host: &str,
    path: &str,
    seconds: u64,
) -> String {
    let stamp = scope.stamp();
    let credential = format!("{}/{}", keys.id, scope.text(&stamp));
    let seconds = seconds.to_string();
    let mut query: Vec<Pair<'_>> = vec![
        ("X-Amz-Algorithm", Some(ALGORITHM)),
        ("X-Amz-Credential", Some(&credential)),
        ("X-Amz-Date", Some(&stamp)),
        ("X-Amz-Expires", Some(&seconds)),
        ("X-Amz-SignedHeaders", Some("host")),
    ];
    if let Some(token) = &keys.token {
        query.push(("X-Amz-Security-Token", Some(token.expose())));
    }
    let message = Message {
        method: "GET",
        path,
        query: &query,
        headers: &[("host", host)],
        payload: UNSIGNED,
    };
    let signature = signature(keys, scope, &stamp, &canonical(&message).0);
    format!("{}&X-Amz-Signature={signature}", canonical_query(&query))
}

fn signature(keys: &Keys, scope: Scope<'_>, stamp: &str, canonical: &str) -> String {
    let text = format!(
        "{ALGORITHM}\n{stamp}\n{}\n{}",
        scope.text(stamp),
        hex(&Sha256::digest(canonical))
    );
    let day = stamp.get(..8).unwrap_or(stamp);
    let key = hmac_sha256(format!("AWS4{}", keys.secret.expose()).as_bytes(), day);
    let key = hmac_sha256(&key, scope.region);
    let key = hmac_sha256(&key, scope.service);
    let key = hmac_sha256(&key, "aws4_request");
    hex(&hmac_sha256(&key, &text))
}

/// The canonical request, and the names of its headers.
fn canonical(m: &Message<'_>) -> (String, String) {
    let mut headers: Vec<(&str, String)> = Vec::new();
    for &(name, value) in m.headers {
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        match headers.iter_mut().find(|(n, _)| *n == name) {
            // Several values of one name, in their order.
            Some((_, all)) => {
                all.push(',');
                all.push_str(&value);
            }
            None => headers.push((name, value)),
        }
    }
    headers.sort_by_key(|(name, _)| *name);
    let names = headers
        .iter()
        .map(|(n, _)| *n)
        .collect::<Vec<_>>()
        .join(";");
    let lines: String = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
    let text = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        m.method,
        m.path,
        canonical_query(m.query),
        m.payload
    );
    (text, names)
}

fn canonical_query(query: &[Pair<'_>]) -> String {
    let mut pairs: Vec<(String, String)> = query
        .iter()
        .map(|(name, value)| {
            (
                encode(name).into_owned(),
                encode(value.unwrap_or_default()).into_owned(),
            )
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    pairs.join("&")
}

#[cfg(test)]
#[path = "v4_tests.rs"]
mod tests;
