//! What a store's answer means.
//!
//! Source: AWS, "Error responses" of the Amazon S3 API, and "CompleteMultipartUpload",
//! read 2026-11-21.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use notifier_core::{Error, ErrorKind, Retry, redact::Redactor};
use notifier_http::Answer;

use crate::{S3GOAMZ, xml};

/// The longest text of a store that is shown.
const MOST_TEXT: usize = 160;

/// What may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The same again, after a while.
    Wait,
    /// Signed with the store's own time.
    Time(SignedDuration),
    /// Signed with other keys.
    Keys,
    /// Without a word on who may read it: the bucket says that.
    NoAcl,
    None,
}

/// A refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    pub(crate) code: String,
    message: String,
    region: Option<String>,
    to: Option<String>,
    after: Option<Duration>,
    skew: Option<SignedDuration>,
}

impl Refusal {
    /// Reads what an answer says. `now` is our time.
    pub(crate) fn read(answer: &Answer, now: Timestamp) -> Self {
        let body = answer.text();
        let header = |name: &str| answer.header(name).map(str::to_owned);
        let region = header("x-amz-bucket-region")
            .or_else(|| xml::text(&body, "Region"))
            .filter(|r| is_region(r));
        let skew = answer
            .header("date")
            .and_then(|d| rfc2822::parse(d).ok())
            .map(|server| server.timestamp().duration_since(now));
        let code = xml::text(&body, "Code").filter(|c| is_code(c));
        Self {
            status: answer.status(),
            code: code.unwrap_or_default(),
            message: xml::text(&body, "Message").unwrap_or_default(),
            region,
            to: answer
                .location()
                .map(|u| notifier_core::redact::origin(u.as_str())),
            after: answer.retry_after(),
            skew,
        }
    }

    pub(crate) fn remedy(&self) -> Remedy {
        match (self.code.as_str(), self.skew) {
            ("RequestTimeTooSkewed", Some(skew)) => Remedy::Time(skew),
            ("ExpiredToken" | "TokenRefreshRequired" | "InvalidToken", _) => Remedy::Keys,
            ("AccessControlListNotSupported", _) => Remedy::NoAcl,
            _ if self.passes() => Remedy::Wait,
            _ => Remedy::None,
        }
    }

    /// What the store asks to wait for.
    pub(crate) fn after(&self) -> Option<Duration> {
        self.after
    }

    /// Whether it may be otherwise in a while.
    fn passes(&self) -> bool {
        matches!(
            self.code.as_str(),
            "SlowDown"
                | "InternalError"
                | "ServiceUnavailable"
                | "RequestTimeout"
                | "OperationAborted"
                | "Throttling"
                | "ThrottlingException"
                | "RequestThrottled"
                | "RequestLimitExceeded"
                // The body was not what it should be: lost on the way.
                | "BadDigest"
                | "IncompleteBody"
                | "XAmzContentSHA256Mismatch"
        ) || matches!(self.status, 408 | 425 | 429 | 500 | 502..=504 | 506..)
    }

    fn kind(&self) -> ErrorKind {
        match (self.code.as_str(), self.status) {
            ("SlowDown" | "Throttling" | "ThrottlingException" | "RequestThrottled", _)
            | (_, 429) => ErrorKind::RateLimited,
            (
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "NotSignedUp"
                | "RequestTimeTooSkewed"
                | "TokenRefreshRequired",
                _,
            )
            | (_, 401) => ErrorKind::Unauthenticated,
            ("AccessDenied" | "AllAccessDisabled" | "AccountProblem", _) => {
                ErrorKind::PermissionDenied
            }
            ("NoSuchBucket" | "PermanentRedirect" | "AuthorizationHeaderMalformed", _)
            | (_, 300..=399) => ErrorKind::Config,
            ("EntityTooLarge", _) | (_, 413) => ErrorKind::TooLarge,
            _ if self.passes() => ErrorKind::Unavailable,
            (_, 403) => ErrorKind::PermissionDenied,
            _ => ErrorKind::Rejected,
        }
    }

    /// As an error of the store at `who`, asked by the uploader `scheme`.
    pub(crate) fn error(&self, who: &str, scheme: &str, redactor: &Redactor) -> Error {
        let mut text = format!("{who} answered {}", self.status);
        if !self.code.is_empty() {
            text.push_str(&format!(" {}", self.code));
        }
        let message = shown(&redactor.redact(&self.message));
        if !message.is_empty() {
            text.push_str(&format!(": {message}"));
        }
        if let Some(hint) = self.hint(scheme) {
            text.push_str(&format!(" ({hint})"));
        }
        let kind = self.kind();
        let retry = match self.remedy() {
            Remedy::Wait => Retry::Later { after: self.after },
            _ => Retry::Never,
        };
        let code = match self.code.as_str() {
            "" => self.status.to_string(),
            code => code.to_owned(),
        };
        Error::new(kind, text).with_retry(retry).with_code(code)
    }

    fn hint(&self, scheme: &str) -> Option<String> {
        Some(match self.code.as_str() {
            "NoSuchBucket" => format!("check -{scheme}.bucket"),
            "SignatureDoesNotMatch" => format!("check -{scheme}.secret_key"),
            "InvalidAccessKeyId" => format!("check -{scheme}.access_key"),
            "AccessDenied" => "the policy has to allow s3:PutObject and s3:PutObjectAcl".into(),
            "RequestTimeTooSkewed" => "set the clock".into(),
            // An address is all that it has.
            _ if scheme == S3GOAMZ && self.is_elsewhere() => match (&self.region, &self.to) {
                (Some(region), _) => {
                    format!("the bucket is in {region}: set -{scheme}.endpoint to an address there")
                }
                (None, Some(to)) => format!("the bucket is at {to}: set -{scheme}.endpoint"),
                (None, None) => format!("the bucket is elsewhere: check -{scheme}.endpoint"),
            },
            _ => match (&self.region, &self.to) {
                (Some(region), _) if self.is_elsewhere() => {
                    format!("the bucket is in {region}: set -{scheme}.region")
                }
                (None, Some(to)) if self.is_elsewhere() => {
                    format!("the bucket is at {to}: set -{scheme}.endpoint")
                }
                _ if self.is_elsewhere() => {
                    format!(
                        "the bucket is elsewhere: check -{scheme}.region and -{scheme}.endpoint"
                    )
                }
                _ => return None,
            },
        })
    }

    fn is_elsewhere(&self) -> bool {
        (300..400).contains(&self.status)
            || matches!(
                self.code.as_str(),
                "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed"
            )
    }
}

fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

fn is_region(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// A store's text on one line.
fn shown(text: &str) -> String {
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let mut out: String = words.chars().take(MOST_TEXT).collect();
    if words.chars().nth(MOST_TEXT).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{S3AWS, S3AWS_OPTIONS, S3GOAMZ_OPTIONS};

    #[test]
    fn a_bucket_elsewhere_is_said_with_flags_that_there_are() {
        for (region, to, aws, goamz) in [
            (
                Some("eu-west-1"),
                None,
                "the bucket is in eu-west-1: set -s3aws.region",
                "the bucket is in eu-west-1: set -s3goamz.endpoint to an address there",
            ),
            (
                None,
                Some("https://eu.example"),
                "the bucket is at https://eu.example: set -s3aws.endpoint",
                "the bucket is at https://eu.example: set -s3goamz.endpoint",
            ),
            (
                None,
                None,
                "the bucket is elsewhere: check -s3aws.region and -s3aws.endpoint",
                "the bucket is elsewhere: check -s3goamz.endpoint",
            ),
        ] {
            let refusal = Refusal {
                status: 301,
                code: "PermanentRedirect".into(),
                message: String::new(),
                region: region.map(str::to_owned),
                to: to.map(str::to_owned),
                after: None,
                skew: None,
            };
            assert_eq!(refusal.hint(S3AWS).unwrap(), aws);
            assert_eq!(refusal.hint(S3GOAMZ).unwrap(), goamz);
        }
    }

    /// Whatever is said, no flag is named that there is not.
    #[test]
    fn every_hint_names_flags_that_there_are() {
        for (scheme, options) in [(S3AWS, S3AWS_OPTIONS), (S3GOAMZ, S3GOAMZ_OPTIONS)] {
            for code in [
                "NoSuchBucket",
                "SignatureDoesNotMatch",
                "InvalidAccessKeyId",
                "AccessDenied",
                "RequestTimeTooSkewed",
                "PermanentRedirect",
                "TemporaryRedirect",
                "AuthorizationHeaderMalformed",
            ] {
                let refusal = Refusal {
                    status: 400,
                    code: code.into(),
                    message: String::new(),
                    region: Some("eu-west-1".into()),
                    to: None,
                    after: None,
                    skew: None,
                };
                let hint = refusal.hint(scheme).unwrap();
                let before = format!("-{scheme}.");
                for flag in hint.split(before.as_str()).skip(1) {
                    let end = flag.find(|c: char| !c.is_ascii_lowercase() && c != '_');
                    let key = &flag[..end.unwrap_or(flag.len())];
                    assert!(options.find(key).is_some(), "{hint}");
                }
            }
        }
    }
}
