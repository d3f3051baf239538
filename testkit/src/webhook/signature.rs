//! Signatures, checked. Written apart from what signs, so that one mistake is not made twice.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::http::Request;

/// What a hook asks of who calls it.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    /// One of these keys, `whsec_` and base64.
    Standard(Vec<String>),
    /// This text.
    Grafana {
        key: String,
        header: String,
        timestamp_header: Option<String>,
    },
}

impl Check {
    /// Whether a call is signed as asked for.
    pub(crate) fn passes(&self, call: &Request) -> bool {
        match self {
            Self::Standard(keys) => standard(call, keys).unwrap_or(false),
            Self::Grafana {
                key,
                header,
                timestamp_header,
            } => grafana(call, key, header, timestamp_header.as_deref()).unwrap_or(false),
        }
    }
}

fn standard(call: &Request, keys: &[String]) -> Option<bool> {
    let (id, time) = (
        call.header("webhook-id")?,
        call.header("webhook-timestamp")?,
    );
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", &call.body].concat();
    let signatures = call.header("webhook-signature")?;
    let mut codes = signatures
        .split(' ')
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok());
    Some(codes.any(|code| {
        keys.iter()
            .filter_map(|key| STANDARD.decode(key.strip_prefix("whsec_")?).ok())
            .any(|key| verifies(&key, &signed, &code))
    }))
}

fn grafana(
    call: &Request,
    key: &str,
    header: &str,
    timestamp_header: Option<&str>,
) -> Option<bool> {
    let hex = call.header(header)?;
    let code: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect::<Option<_>>()?;
    let signed = match timestamp_header {
        Some(name) => [call.header(name)?.as_bytes(), b":", &call.body].concat(),
        None => call.body.clone(),
    };
    Some(verifies(key.as_bytes(), &signed, &code))
}

fn verifies(key: &[u8], signed: &[u8], code: &[u8]) -> bool {
    Hmac::<Sha256>::new_from_slice(key).is_ok_and(|mut mac| {
        mac.update(signed);
        mac.verify_slice(code).is_ok()
    })
}
