//! Signatures.
//!
//! Standard Webhooks 1.0.0 ("Signature scheme"): HMAC-SHA256 over `id.timestamp.body`, base64, behind `v1,`; one for
//! each key, separated by blanks. A key is 24 to 64 random bytes, written as `whsec_` and base64.
//!
//! Grafana's contact point (grafana/alerting, `http/hmac.go`): HMAC-SHA256 over the body, or over `timestamp:body`
//! where there is a header for the time, in hexadecimal. Its key is a text.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use hmac::{Hmac, Mac as _};
use notifier_core::{Error, Result, Secret, Settings};
use sha2::Sha256;

use crate::headers::check_name;

/// What every key begins with.
const PREFIX: &str = "whsec_";

/// The shortest key, in bytes.
const LEAST: usize = 24;

/// Base64 whose padding may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How requests are signed.
#[derive(Clone, Default)]
pub(crate) enum Signer {
    /// Not at all.
    #[default]
    None,
    /// As Standard Webhooks do, with each of these keys.
    Standard(Vec<Vec<u8>>),
    /// As Grafana does.
    Grafana {
        key: Vec<u8>,
        header: String,
        timestamp_header: Option<String>,
    },
}

impl Signer {
    pub(crate) fn read(settings: &Settings) -> Result<Self> {
        let Some(keys) = settings.secret("signing_key") else {
            return Ok(Self::None);
        };
        Ok(match settings.text("signature") {
            "none" => Self::None,
            "grafana" => {
                let header = settings.text("signature_header").to_owned();
                check_name("webhook.signature_header", &header)?;
                let timestamp_header = settings.get("timestamp_header").map(str::to_owned);
                if let Some(name) = &timestamp_header {
                    check_name("webhook.timestamp_header", name)?;
                }
                // One header has one value: the signature or the time would be lost.
                let time = timestamp_header.as_deref().unwrap_or("webhook-timestamp");
                if header.eq_ignore_ascii_case(time)
                    || header.eq_ignore_ascii_case("webhook-timestamp")
                {
                    return Err(Error::config(format!(
                        "webhook.signature_header: {header:?} is the header of the time"
                    )));
                }
                let key = keys.expose().trim().as_bytes().to_vec();
                if key.is_empty() {
                    return Err(Error::config("webhook.signing_key: the key is empty"));
                }
                Self::Grafana {
                    key,
                    header,
                    timestamp_header,
                }
            }
            _ => Self::Standard(standard_keys(&keys)?),
        })
    }

    /// The headers that say who sent this: name and value.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Vec<(String, String)> {
        match self {
            Self::None => Vec::new(),
            Self::Standard(keys) => {
                let head = format!("{id}.{timestamp}.");
                let signatures: Vec<String> = keys
                    .iter()
                    .map(|key| {
                        let code = code(key, &[head.as_bytes(), body]);
                        format!("v1,{}", STANDARD.encode(code))
                    })
                    .collect();
                vec![("webhook-signature".to_owned(), signatures.join(" "))]
            }
            Self::Grafana {
                key,
                header,
                timestamp_header,
            } => {
                let time = timestamp.to_string();
                let code = match timestamp_header {
                    Some(_) => code(key, &[time.as_bytes(), b":", body]),
                    None => code(key, &[body]),
                };
                let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
                let mut headers = vec![(header.clone(), hex)];
                headers.extend(timestamp_header.clone().map(|name| (name, time)));
                headers
            }
        }
    }
}

/// No key is shown.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Standard(_) => "Standard",
            Self::Grafana { .. } => "Grafana",
        })
    }
}

fn standard_keys(text: &Secret) -> Result<Vec<Vec<u8>>> {
    let wrong = |nth: usize, why: &str| {
        Error::config(format!(
            "webhook.signing_key: key {nth} {why}; a key is {PREFIX} and {LEAST} or more random bytes in base64"
        ))
    };
    let words = text.expose().split_whitespace();
    let keys: Vec<Vec<u8>> = words
        .enumerate()
        .map(|(n, word)| {
            let coded = word.strip_prefix(PREFIX).unwrap_or(word);
            let key = LENIENT
                .decode(coded)
                .map_err(|_| wrong(n + 1, "is not base64"))?;
            match key.len() < LEAST {
                true => Err(wrong(n + 1, "is too short")),
                false => Ok(key),
            }
        })
        .collect::<Result<_>>()?;
    match keys.is_empty() {
        true => Err(wrong(1, "is empty")),
        false => Ok(keys),
    }
}

/// HMAC-SHA256, RFC 2104.
fn code(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length, so there is no other case.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use notifier_core::{BackendSettings, Origin};
    use proptest::prelude::*;

    use super::*;
    use crate::OPTIONS;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn signer(set: &[(&str, &str)]) -> Result<Signer> {
        let mut s = BackendSettings::new(OPTIONS);
        for (key, value) in set {
            s.set(Origin::Flag, key, value).unwrap();
        }
        Signer::read(&s.instance("default"))
    }

    fn signed(set: &[(&str, &str)], id: &str, at: i64, body: &str) -> Vec<(String, String)> {
        signer(set).unwrap().sign(id, at, body.as_bytes())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    /// The example that the libraries of Standard Webhooks are tested with.
    #[test]
    fn the_published_example() {
        assert_eq!(
            signed(
                &[("signing_key", KEY)],
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
            ),
            [pair(
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
            )]
        );
    }

    #[test]
    fn each_key_signs_and_the_order_stays() {
        let one = signed(&[("signing_key", KEY)], "m", 1, "x");
        let two = signed(&[("signing_key", OTHER)], "m", 1, "x");
        let both = signed(
            &[("signing_key", &format!("{KEY}  {OTHER}\n"))],
            "m",
            1,
            "x",
        );
        assert_eq!(both[0].1, format!("{} {}", one[0].1, two[0].1));
        // The prefix and the padding may be missing.
        let bare = OTHER.trim_start_matches(PREFIX).trim_end_matches('=');
        assert_eq!(signed(&[("signing_key", bare)], "m", 1, "x"), two);
    }

    /// RFC 4231, test case 2.
    #[test]
    fn as_grafana_does_over_the_body_or_with_the_time() {
        let set = [("signing_key", "Jefe"), ("signature", "grafana")];
        let name = "X-Grafana-Alerting-Signature";
        assert_eq!(
            signed(&set, "m", 1, "what do ya want for nothing?"),
            [pair(
                name,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            )]
        );
        let set = [
            ("signing_key", "Jefe"),
            ("signature", "grafana"),
            ("signature_header", "X-Sig"),
            ("timestamp_header", "X-Time"),
        ];
        let timed = signed(&set, "m", 17, "x");
        assert_eq!(timed[1], pair("X-Time", "17"));
        let plain = [("signing_key", "Jefe"), ("signature", "grafana")];
        assert_eq!(timed[0].1, signed(&plain, "m", 1, "17:x")[0].1);
    }

    #[test]
    fn without_a_key_or_told_not_to_nothing_is_signed() {
        assert!(signed(&[], "m", 1, "x").is_empty());
        let none = [("signing_key", KEY), ("signature", "none")];
        assert!(signed(&none, "m", 1, "x").is_empty());
    }

    #[test]
    fn wrong_keys_are_refused_and_not_shown() {
        let short = "whsec_AAECAwQFBgcICQoLDA0ODw==";
        for (key, why) in [
            ("whsec_s3cret!", "key 1 is not base64"),
            (short, "key 1 is too short"),
            (&format!("{KEY} s3cret!"), "key 2 is not base64"),
            ("whsec_", "key 1 is too short"),
            (" ", "key 1 is empty"),
        ] {
            let e = signer(&[("signing_key", key)]).unwrap_err().to_string();
            assert!(e.contains(why), "{e}");
            assert!(!e.contains("s3cret") && !e.contains("AAEC"), "{e}");
        }
        for set in [
            [
                ("signing_key", "k"),
                ("signature", "grafana"),
                ("signature_header", "a b"),
            ],
            [
                ("signing_key", "k"),
                ("signature", "grafana"),
                ("timestamp_header", "Host"),
            ],
        ] {
            let e = signer(&set).unwrap_err().to_string();
            assert!(e.starts_with(&format!("webhook.{}", set[2].0)), "{e}");
        }
        for (key, header, time, why) in [
            (" ", "X-Sig", "X-Time", "key is empty"),
            ("k", "X-Sig", "x-sig", "is the header of the time"),
            (
                "k",
                "Webhook-Timestamp",
                "X-Time",
                "is the header of the time",
            ),
        ] {
            let e = signer(&[
                ("signing_key", key),
                ("signature", "grafana"),
                ("signature_header", header),
                ("timestamp_header", time),
            ]);
            let e = e.unwrap_err().to_string();
            assert!(e.contains(why), "{e}");
        }
        let shown = format!("{:?}", signer(&[("signing_key", KEY)]).unwrap());
        assert_eq!(shown, "Standard");
    }

    proptest! {
        /// Another id, time, body or key makes another signature.
        #[test]
        fn everything_counts(id in "[a-z0-9]{1,8}", at in 0i64..4_000_000_000, body in any::<Vec<u8>>()) {
            let sign = |key: &str, id: &str, at, body: &[u8]| {
                signer(&[("signing_key", key)]).unwrap().sign(id, at, body)
            };
            let good = sign(KEY, &id, at, &body);
            let mut longer = body.clone();
            longer.push(b' ');
            prop_assert_ne!(&good, &sign(OTHER, &id, at, &body));
            prop_assert_ne!(&good, &sign(KEY, &format!("{id}x"), at, &body));
            prop_assert_ne!(&good, &sign(KEY, &id, at + 1, &body));
            prop_assert_ne!(&good, &sign(KEY, &id, at, &longer));
            prop_assert_eq!(&good, &sign(KEY, &id, at, &body));
        }
    }
}
