//! Raw deliveries: a body without envelope and signature.

use base64::Engine as _;
use notifier_core::Secret;
use ring::hmac;
use url::form_urlencoded;

use crate::{
    Request,
    refusal::{Refusal, RefusalKind},
};

/// The parameter of the address that may hold the secret.
const PARAMETER: &str = "secret";

/// Says whether a raw delivery comes from who knows the secret: as the parameter `secret` of the
/// address, or as the password of HTTP Basic.
pub(crate) fn check(secret: Option<&Secret>, request: &Request<'_>) -> Result<(), Refusal> {
    let Some(secret) = secret else {
        return Err(Refusal::new(
            RefusalKind::Raw,
            "raw deliveries have no signature and are accepted only with relay.raw_secret; switch raw delivery off for the subscription, or set it",
        ));
    };
    let wrong = || {
        Err(Refusal::new(
            RefusalKind::Raw,
            "the secret of a raw delivery is wrong",
        ))
    };
    if let Some(sent) = request.header("authorization") {
        return match password(sent) {
            Some(sent) if is_same(sent.as_bytes(), secret) => Ok(()),
            _ => wrong(),
        };
    }
    let query = request.query.unwrap_or_default();
    match form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == PARAMETER) {
        Some((_, sent)) if is_same(sent.as_bytes(), secret) => Ok(()),
        Some(_) => wrong(),
        None => Err(Refusal::new(
            RefusalKind::Unauthenticated,
            "a raw delivery without the secret",
        )),
    }
}

/// The password of `Authorization: Basic` (RFC 7617).
fn password(header: &str) -> Option<String> {
    let (scheme, coded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = base64::engine::general_purpose::STANDARD
        .decode(coded.trim())
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

/// Compares in a time that says nothing of the secret.
fn is_same(sent: &[u8], secret: &Secret) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"relay.raw_secret");
    let tag = hmac::sign(&key, sent);
    hmac::verify(&key, secret.expose().as_bytes(), tag.as_ref()).is_ok()
}
