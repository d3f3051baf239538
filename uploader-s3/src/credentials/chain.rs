//! AWS's places for keys, in AWS's order.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers" and the
//! pages of each provider, read 2026-11-21.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use notifier_core::{Error, ErrorKind, Result, Secret};
use notifier_http::{Answer, HttpClient};
use serde::Deserialize;

use super::{Found, container, instance, profile::Profile, web_identity};
use crate::{Environment, sign::Keys};

/// How long all places together may take: well below what the engine waits for a link.
const FIND: Duration = Duration::from_secs(4);

/// How long one place may take to answer.
pub(super) const ASK: Duration = Duration::from_secs(2);

/// The longest file that is read: a token, a list of profiles.
const MAX_FILE: u64 = 1024 * 1024;

/// Looks for keys: in the environment, the profile's files, by a web identity, in the
/// container, on the instance. The first place that has some decides.
#[derive(Debug)]
pub(crate) struct Chain {
    environment: Environment,
    region: Option<String>,
    has_warned: AtomicBool,
}

impl Chain {
    pub(crate) fn new(environment: Environment, region: Option<String>) -> Self {
        Self {
            environment,
            region,
            has_warned: AtomicBool::new(false),
        }
    }

    pub(crate) async fn find(&self, http: &HttpClient) -> Result<Found> {
        tokio::time::timeout(FIND, self.look(http))
            .await
            .unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Timeout,
                    format!("no AWS credentials found within {} s", FIND.as_secs()),
                ))
            })
    }

    async fn look(&self, http: &HttpClient) -> Result<Found> {
        let env = &self.environment;
        if let Some(found) = from_environment(env)? {
            return Ok(found);
        }
        let profile = Profile::read(env)?;
        if let Some(why) = &profile.unread
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                uploader = crate::S3AWS,
                why,
                "AWS's file cannot be read, and is left out"
            );
        }
        if let Some(found) = profile.keys()? {
            return Ok(found);
        }
        if let Some(found) = web_identity::find(http, env, &profile, self.region.as_deref()).await?
        {
            return Ok(found);
        }
        if let Some(found) = container::find(http, env).await? {
            return Ok(found);
        }
        let why = match instance::find(http, env).await? {
            instance::Answer::Found(found) => return Ok(found),
            instance::Answer::None(why) => why,
        };
        Err(Error::new(
            ErrorKind::Unauthenticated,
            format!(
                "no AWS credentials found in AWS_ACCESS_KEY_ID, profile {}, AWS_WEB_IDENTITY_TOKEN_FILE, the container or the instance ({why}): set -s3aws.access_key and -s3aws.secret_key",
                profile.name
            ),
        ))
    }
}

fn from_environment(env: &Environment) -> Result<Option<Found>> {
    let (id, secret) = (
        env.get("AWS_ACCESS_KEY_ID"),
        env.get("AWS_SECRET_ACCESS_KEY"),
    );
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(Found {
            keys: Keys {
                id: checked(id, "AWS_ACCESS_KEY_ID")?,
                secret: Secret::from(secret),
                token: env.get("AWS_SESSION_TOKEN").map(Secret::from),
            },
            dies: None,
        })),
        (None, None) => Ok(None),
        _ => Err(Error::config(
            "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set: set both",
        )),
    }
}

/// An id that may stand in a header.
pub(super) fn checked(id: String, from: &str) -> Result<String> {
    if !id.is_empty() && id.chars().all(|c| c.is_ascii_graphic()) {
        Ok(id)
    } else {
        Err(Error::config(format!(
            "the access key of {from} is empty or holds blanks"
        )))
    }
}

/// What the container and the instance answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Json {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<jiff::Timestamp>,
}

/// A refusal to give keys. `what` was asked for; the answer's text is not shown, since it may
/// hold whatever was asked with. One that passes may be tried again.
pub(super) fn refused(answer: &Answer, passes: bool, what: &str) -> Error {
    let kind = if passes || has_passing_status(answer) {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Unauthenticated
    };
    let (who, status) = (answer.who(), answer.status());
    let e = Error::new(kind, format!("{who} answered {status} {what}"));
    match answer.retry_after() {
        Some(after) if e.is_retryable() => e.with_retry_after(after),
        _ => e,
    }
}

/// Whether the same question may be answered in a while.
pub(super) fn has_passing_status(answer: &Answer) -> bool {
    matches!(answer.status(), 408 | 429 | 500..)
}

/// Keys out of an answer in JSON.
pub(super) fn from_json(answer: &Answer, from: &str) -> Result<Found> {
    let json: Json = answer.json()?;
    Ok(Found {
        keys: Keys {
            id: checked(json.access_key_id, from)?,
            secret: Secret::from(json.secret_access_key),
            token: json.token.map(Secret::from),
        },
        dies: json.expiration,
    })
}

/// A small file's text.
pub(super) fn read_file(path: &str) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(MAX_FILE)
        .read_to_string(&mut text)?;
    Ok(text)
}
