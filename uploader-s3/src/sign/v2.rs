//! Signature version 2, which Ceph and older look-alikes take.
//!
//! Source: AWS, "Signing and authenticating REST requests (AWS signature version 2)",
//! read 2026-11-21.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{Timestamp, tz::TimeZone};

use super::{Keys, Pair, hmac_sha1};
use crate::key::encode;

/// Parts of a query that are signed, of those that are sent here.
const SIGNED: &[&str] = &["location", "partNumber", "uploadId", "uploads"];

/// A request, as far as it is signed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Message<'a> {
    pub(crate) method: &'a str,
    /// `Content-MD5`, empty if not sent.
    pub(crate) md5: &'a str,
    /// `Content-Type`, empty if not sent.
    pub(crate) content_type: &'a str,
    /// `Date`, or the second in which a link dies.
    pub(crate) date: &'a str,
    /// Names in lower case; those that begin with `x-amz-` are signed.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// `/bucket/key`, encoded as it is sent.
    pub(crate) resource: &'a str,
    pub(crate) query: &'a [Pair<'a>],
}

/// The time as `Date` has it, RFC 9110 §5.6.7.
pub(crate) fn date(time: Timestamp) -> String {
    let utc = time.to_zoned(TimeZone::UTC);
    utc.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The value of `Authorization`.
pub(crate) fn authorization(keys: &Keys, message: &Message<'_>) -> String {
    format!("AWS {}:{}", keys.id, signature(keys, message))
}

/// The query of a link that works until that second of the Unix clock.
pub(crate) fn presigned_query(keys: &Keys, resource: &str, until: i64) -> String {
    let until = until.to_string();
    let message = Message {
        method: "GET",
        date: &until,
        resource,
        ..Message::default()
    };
    format!(
        "AWSAccessKeyId={}&Expires={until}&Signature={}",
        encode(&keys.id),
        encode(&signature(keys, &message))
    )
}

fn signature(keys: &Keys, message: &Message<'_>) -> String {
    STANDARD.encode(hmac_sha1(
        keys.secret.expose().as_bytes(),
        &string_to_sign(message),
    ))
}

fn string_to_sign(m: &Message<'_>) -> String {
    let mut headers: Vec<(&str, String)> = Vec::new();
    for &(name, value) in m.headers.iter().filter(|(n, _)| n.starts_with("x-amz-")) {
        match headers.iter_mut().find(|(n, _)| *n == name) {
            Some((_, all)) => {
                all.push(',');
                all.push_str(value.trim());
            }
            None => headers.push((name, value.trim().to_owned())),
        }
    }
    headers.sort_by_key(|(name, _)| *name);
    let mut text = format!("{}\n{}\n{}\n{}\n", m.method, m.md5, m.content_type, m.date);
    for (name, value) in headers {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(m.resource);
    let mut query: Vec<&Pair<'_>> = m.query.iter().filter(|(n, _)| SIGNED.contains(n)).collect();
    query.sort_by_key(|(name, _)| *name);
    for (nth, (name, value)) in query.into_iter().enumerate() {
        text.push(if nth == 0 { '?' } else { '&' });
        text.push_str(name);
        if let Some(value) = value {
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use notifier_core::Secret;

    use super::*;

    /// The pair of AWS's documentation, which opens nothing. Its examples are of two editions,
    /// whose buckets have different names.
    fn keys() -> Keys {
        Keys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: Secret::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            token: None,
        }
    }

    #[test]
    fn the_documented_examples() {
        let get = Message {
            method: "GET",
            date: "Tue, 27 Mar 2007 19:36:42 +0000",
            resource: "/awsexamplebucket1/photos/puppy.jpg",
            ..Message::default()
        };
        let put = Message {
            method: "PUT",
            content_type: "image/jpeg",
            date: "Tue, 27 Mar 2007 21:15:45 +0000",
            resource: "/awsexamplebucket1/photos/puppy.jpg",
            ..Message::default()
        };
        let list = Message {
            method: "GET",
            date: "Tue, 27 Mar 2007 19:42:41 +0000",
            resource: "/awsexamplebucket1/",
            query: &[
                ("prefix", Some("photos")),
                ("max-keys", Some("50")),
                ("marker", Some("puppy")),
            ],
            ..Message::default()
        };
        let unicode = Message {
            method: "GET",
            date: "Wed, 28 Mar 2007 01:49:49 +0000",
            resource: "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
            ..Message::default()
        };
        let upload = Message {
            method: "PUT",
            md5: "4gJE4saaMU4BqNR0kLY+lw==",
            content_type: "application/x-download",
            date: "Tue, 27 Mar 2007 21:06:08 +0000",
            headers: &[
                ("x-amz-acl", "public-read"),
                ("content-type", "application/x-download"),
                ("x-amz-meta-filechecksum", "0x02661779"),
                ("x-amz-meta-reviewedby", "joe@johnsmith.net"),
                ("x-amz-meta-reviewedby", "jane@johnsmith.net"),
                ("x-amz-meta-checksumalgorithm", "crc32"),
            ],
            resource: "/static.johnsmith.net/db-backup.dat.gz",
            ..Message::default()
        };
        for (message, signature) in [
            (get, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="),
            (put, "iqRzw+ileNPu1fhspnRs8nOjjIA="),
            (list, "m0WP8eCtspQl5Ahe6L1SozdX9YA="),
            (unicode, "DNEZGsoieTZ92F3bUfSPQcbGmlM="),
            (upload, "ilyl83RwaSoYIEdixDQcA4OnAnc="),
        ] {
            assert_eq!(
                authorization(&keys(), &message),
                format!("AWS AKIAIOSFODNN7EXAMPLE:{signature}"),
                "{message:?}"
            );
        }
    }

    #[test]
    fn the_documented_link() {
        assert_eq!(
            presigned_query(&keys(), "/johnsmith/photos/puppy.jpg", 1_175_139_620),
            "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1175139620&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
        );
    }

    #[test]
    fn parts_of_a_query_are_signed_in_order() {
        let m = Message {
            method: "PUT",
            date: "D",
            resource: "/b/k",
            query: &[
                ("uploadId", Some("2/~+=")),
                ("partNumber", Some("7")),
                ("x", None),
            ],
            ..Message::default()
        };
        assert_eq!(
            string_to_sign(&m),
            "PUT\n\n\nD\n/b/k?partNumber=7&uploadId=2/~+="
        );
        let m = Message {
            query: &[("uploads", None)],
            ..m
        };
        assert_eq!(string_to_sign(&m), "PUT\n\n\nD\n/b/k?uploads");
    }

    #[test]
    fn dates_are_those_of_http() {
        let t: Timestamp = "2007-03-27T19:36:42.9Z".parse().unwrap();
        assert_eq!(date(t), "Tue, 27 Mar 2007 19:36:42 GMT");
    }
}
