//! Signatures of requests, version 4
//! (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, read 2026).

use std::collections::BTreeMap;
use std::time::Duration;

use hmac::{Hmac, Mac};
use notifier_core::jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::publish::Refusal;
use crate::http::Request;

/// What clocks may differ.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// A key that may sign.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) secret: String,
    /// What a temporary key comes with.
    pub(super) token: Option<String>,
    /// It was good once.
    pub(super) is_expired: bool,
}

fn no(code: &'static str, why: &str) -> Refusal {
    Refusal::new(403, code, why.to_owned())
}

/// Whether a request is signed by one of these keys, for this region, at about this time. Tells
/// the key's id. Without any key, every signature is good.
pub(super) fn judge(
    request: &Request,
    keys: &BTreeMap<String, Key>,
    region: Option<&str>,
    now: Timestamp,
) -> Result<String, Refusal> {
    let signature = Signature::of(request).ok_or_else(|| {
        no(
            "IncompleteSignature",
            "Authorization header requires 'Credential', 'SignedHeaders', 'Signature'",
        )
    })?;
    let scope: Vec<&str> = signature.credential.split('/').collect();
    let &[id, day, signed_region, "sns", "aws4_request"] = scope.as_slice() else {
        return Err(no(
            "SignatureDoesNotMatch",
            "Credential should be scoped to correct service: 'sns'.",
        ));
    };
    if region.is_some_and(|r| r != signed_region) {
        return Err(no(
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region.",
        ));
    }
    let date = request.header("x-amz-date").unwrap_or_default();
    let at = time(date)
        .filter(|_| date.starts_with(day))
        .ok_or_else(|| {
            no(
                "IncompleteSignature",
                "Date must be in ISO-8601 'basic format'.",
            )
        })?;
    if at.duration_since(now).unsigned_abs() > MAX_SKEW {
        return Err(no(
            "SignatureDoesNotMatch",
            &format!("Signature expired: {date} is not within 5 min. of this server's time"),
        ));
    }
    if keys.is_empty() {
        return Ok(id.to_owned());
    }
    let Some(key) = keys.get(id) else {
        return Err(no(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ));
    };
    if request.header("x-amz-security-token") != key.token.as_deref() {
        return Err(no(
            "InvalidClientTokenId",
            "The security token included in the request is invalid",
        ));
    }
    if key.is_expired {
        return Err(no(
            "ExpiredToken",
            "The security token included in the request is expired",
        ));
    }
    let canonical = canonical(request, &signature.headers);
    let what = format!(
        "AWS4-HMAC-SHA256\n{date}\n{day}/{signed_region}/sns/aws4_request\n{}",
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let mut by = mac(format!("AWS4{}", key.secret).as_bytes(), day);
    for part in [signed_region, "sns", "aws4_request"] {
        by = mac(&by, part);
    }
    if hex(&mac(&by, &what)) != signature.signature {
        // As the service does: it repeats what should have been signed, token included.
        return Err(no(
            "SignatureDoesNotMatch",
            &format!(
                "The request signature we calculated does not match the signature you provided. The Canonical String for this request should have been '{canonical}'"
            ),
        ));
    }
    Ok(id.to_owned())
}

/// The header `Authorization`, taken apart.
struct Signature<'a> {
    credential: &'a str,
    headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Signature<'a> {
    fn of(request: &'a Request) -> Option<Self> {
        let all = request.header("authorization")?;
        let all = all.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let part = |name: &str| {
            let mut parts = all.split(',').map(str::trim);
            parts.find_map(|p| p.strip_prefix(name)?.strip_prefix('='))
        };
        let headers: Vec<&str> = part("SignedHeaders")?.split(';').collect();
        // Without these anybody could send it again, or elsewhere.
        let least = ["host", "x-amz-date"];
        let token = request.header("x-amz-security-token");
        let is_whole = least.iter().all(|h| headers.contains(h))
            && (token.is_none() || headers.contains(&"x-amz-security-token"));
        is_whole.then_some(Self {
            credential: part("Credential")?,
            headers,
            signature: part("Signature")?,
        })
    }
}

fn canonical(request: &Request, headers: &[&str]) -> String {
    let mut out = format!(
        "{}\n{}\n{}\n",
        request.method,
        request.path(),
        request.query()
    );
    for name in headers {
        let value = request.header(name).unwrap_or_default();
        let value: Vec<&str> = value.split_whitespace().collect();
        out.push_str(&format!("{name}:{}\n", value.join(" ")));
    }
    out.push_str(&format!(
        "\n{}\n{}",
        headers.join(";"),
        hex(&Sha256::digest(&request.body))
    ));
    out
}

/// `20260102T030405Z`.
fn time(text: &str) -> Option<Timestamp> {
    let at = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the worked example at docs.aws.amazon.com (AKIDEXAMPLE, 20150830, us-east-1, iam).
    #[test]
    fn keys_are_derived_as_documented() {
        let mut by = mac(b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830");
        for part in ["us-east-1", "iam", "aws4_request"] {
            by = mac(&by, part);
        }
        assert_eq!(
            hex(&by),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    #[test]
    fn dates_are_read() {
        assert_eq!(
            time("20150830T123600Z"),
            "2015-08-30T12:36:00Z".parse().ok()
        );
        assert_eq!(time("2015-08-30T12:36:00Z"), None);
    }
}
