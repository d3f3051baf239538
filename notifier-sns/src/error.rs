//! What SNS's answers mean.
//!
//! Codes as of docs.aws.amazon.com/sns/latest/api/API_Publish.html and CommonErrors.html, read
//! 2026. The code decides, not the status.

use std::{error::Error as StdError, fmt, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::date_time::{DateTime, Format};
use hyper_util::client::legacy;
use notifier_core::{Delivery, Error, ErrorKind, Retry, Scope, redact::Redactor};

use crate::credentials::Keys;

/// The longest wait that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How much of a text of others is shown.
const SHOWN: usize = 300;

/// What a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Too fast.
    Throttled,
    /// Not now.
    Unavailable,
    /// The keys are worth nothing.
    Keys,
    /// The keys were good once.
    Expired,
    /// The request's time is not the service's.
    Clock,
    /// The keys may not do this.
    Denied,
    /// There is no such topic, or its own key is not usable.
    Topic,
    /// This message is refused.
    Message,
}

fn by_code(code: &str) -> Option<Known> {
    // `Throttled` and `ThrottledException` are one.
    Some(match code.strip_suffix("Exception").unwrap_or(code) {
        "Throttled"
        | "Throttling"
        | "RequestThrottled"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "KMSThrottling" => Known::Throttled,
        "InternalError" | "InternalFailure" | "InternalServerError" | "ServiceUnavailable" => {
            Known::Unavailable
        }
        "InvalidClientTokenId"
        | "UnrecognizedClient"
        | "SignatureDoesNotMatch"
        | "InvalidSignature"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenError" => Known::Keys,
        "ExpiredToken" | "TokenRefreshRequired" => Known::Expired,
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => Known::Clock,
        "AuthorizationError" | "AccessDenied" | "NotAuthorized" | "OptInRequired"
        | "InvalidSecurity" => Known::Denied,
        "NotFound"
        | "ResourceNotFound"
        | "EndpointDisabled"
        | "PlatformApplicationDisabled"
        | "KMSDisabled"
        | "KMSInvalidState"
        | "KMSNotFound"
        | "KMSOptInRequired"
        | "KMSAccessDenied" => Known::Topic,
        "InvalidParameter"
        | "InvalidParameterValue"
        | "ParameterValueInvalid"
        | "ValidationError"
        | "Validation" => Known::Message,
        _ => return None,
    })
}

/// What came back instead of a yes.
#[derive(Debug, Default)]
struct Answer<'a> {
    status: u16,
    code: Option<&'a str>,
    message: Option<&'a str>,
    retry_after: Option<Duration>,
}

fn answer<E: ProvideErrorMetadata>(e: &SdkError<E, HttpResponse>) -> Option<Answer<'_>> {
    let raw = e.raw_response()?;
    let seconds = raw.headers().get("retry-after");
    let meta = e.as_service_error().map(|e| e.meta());
    Some(Answer {
        status: raw.status().as_u16(),
        code: meta
            .and_then(|m| m.code())
            .or_else(|| code_in(raw.body().bytes()?)),
        message: meta.and_then(|m| m.message()),
        retry_after: seconds
            .and_then(|s| s.trim().parse().ok())
            .map(|s| Duration::from_secs(s).min(MAX_RETRY_AFTER)),
    })
}

/// The code in an answer of a look-alike, which wraps it in another way than SNS.
fn code_in(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then_some(code)
}

/// Whether the service says that its clock is another: by a code of that, or by one that it
/// gives for that as well, and what its clock says. The caller knows whether that is so.
pub(crate) fn other_time<E: ProvideErrorMetadata>(
    e: &SdkError<E, HttpResponse>,
) -> Option<std::time::SystemTime> {
    let known = answer(e)?.code.and_then(by_code)?;
    if !matches!(known, Known::Clock | Known::Keys) {
        return None;
    }
    let date = e.raw_response()?.headers().get("date")?;
    DateTime::from_str(date, Format::HttpDate)
        .ok()?
        .try_into()
        .ok()
}

/// Whether other keys may be good.
pub(crate) fn is_expired<E: ProvideErrorMetadata>(e: &SdkError<E, HttpResponse>) -> bool {
    answer(e).and_then(|a| a.code.and_then(by_code)) == Some(Known::Expired)
}

/// Whether the keys are good, but not for this.
pub(crate) fn is_denied<E: ProvideErrorMetadata>(e: &SdkError<E, HttpResponse>) -> bool {
    answer(e).and_then(|a| a.code.and_then(by_code)) == Some(Known::Denied)
}

/// What a request to a topic, signed with these keys, that went wrong means.
pub(crate) fn request<E>(arn: &str, e: &SdkError<E, HttpResponse>, keys: &Keys) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    if let Some(answer) = answer(e) {
        return refusal(arn, &answer, keys.can_change(), &keys.redactor());
    }
    match e {
        SdkError::TimeoutError(_) => Error::new(
            ErrorKind::Timeout,
            format!("no answer in time for topic {arn}"),
        ),
        SdkError::DispatchFailure(failure) => {
            let cause = failure.as_connector_error();
            let never_left = cause.is_some_and(|e| is_connect(e));
            let kind = match failure.is_timeout() {
                true => ErrorKind::Timeout,
                false => ErrorKind::Unavailable,
            };
            let (text, delivery) = match never_left {
                true => ("cannot connect to sns for", Delivery::NotDelivered),
                false => (
                    "the connection broke without an answer for",
                    Delivery::Unknown,
                ),
            };
            let told = Error::new(kind, format!("{text} topic {arn}")).with_delivery(delivery);
            match cause {
                Some(cause) => told.with_source(Cause::of(cause)),
                None => told,
            }
        }
        e => Error::config(format!("no request can be made for topic {arn}"))
            .with_scope(Scope::Destination)
            .with_source(Cause::of(e)),
    }
}

/// Whether it is an error of the time before there was a connection.
fn is_connect(e: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(e);
    while let Some(e) = next {
        if e.downcast_ref::<legacy::Error>()
            .is_some_and(legacy::Error::is_connect)
        {
            return true;
        }
        next = e.source();
    }
    false
}

/// The table of verdicts. `keys_change`: the keys are not those of the settings, and may be others
/// later. `secrets` are masked in what is quoted.
fn refusal(arn: &str, answer: &Answer<'_>, keys_change: bool, secrets: &Redactor) -> Error {
    let status = answer.status;
    let code = answer
        .code
        .map_or_else(|| status.to_string(), str::to_owned);
    let e = |kind, text: &str| {
        Error::new(kind, format!("{text} topic {arn}: {code}")).with_code(code.as_str())
    };
    let later = Retry::Later {
        after: answer.retry_after,
    };
    let all = Scope::Destination;
    match answer.code.and_then(by_code) {
        Some(Known::Throttled) => {
            e(ErrorKind::RateLimited, "sns asks to slow down for").with_retry(later)
        }
        // Its own word for "not stored".
        Some(Known::Unavailable) => {
            e(ErrorKind::Unavailable, "sns cannot publish now to").with_retry(later)
        }
        Some(Known::Keys) => {
            e(ErrorKind::Unauthenticated, "sns does not take the keys for").with_scope(all)
        }
        Some(Known::Expired) if keys_change => {
            e(ErrorKind::Unauthenticated, "the keys have expired for").with_retry(later)
        }
        Some(Known::Expired) => {
            e(ErrorKind::Unauthenticated, "the keys have expired for").with_scope(all)
        }
        Some(Known::Clock) => e(
            ErrorKind::Unavailable,
            "this machine's clock is not sns's, set it; nothing can be signed for",
        )
        .with_retry(later),
        Some(Known::Denied) => {
            e(ErrorKind::PermissionDenied, "the keys may not publish to").with_scope(all)
        }
        Some(Known::Topic) => e(ErrorKind::Rejected, "sns cannot publish to").with_scope(all),
        Some(Known::Message) => {
            let too_long = answer
                .message
                .is_some_and(|m| m.to_ascii_lowercase().contains("too long"));
            let kind = match too_long {
                true => ErrorKind::TooLarge,
                false => ErrorKind::Rejected,
            };
            let told = e(kind, "sns refuses the message for");
            // Of other codes the text may repeat what was signed, a token included.
            match answer.message {
                Some(m) => told.with_source(Cause::text(&secrets.redact(m))),
                None => told,
            }
        }
        None => by_status(answer, e, later),
    }
}

/// Some answer that has no code that is known: of a proxy, or a new one.
fn by_status(answer: &Answer<'_>, e: impl Fn(ErrorKind, &str) -> Error, later: Retry) -> Error {
    let is_sns = answer.code.is_some();
    match answer.status {
        200..=299 => e(
            ErrorKind::InvalidResponse,
            "an answer that makes no sense for",
        ),
        429 => e(ErrorKind::RateLimited, "sns asks to slow down for").with_retry(later),
        503 => e(ErrorKind::Unavailable, "sns cannot publish now to").with_retry(later),
        500..=599 if is_sns => {
            e(ErrorKind::Unavailable, "sns cannot publish now to").with_retry(later)
        }
        // Of something in between, and nobody knows whether the message went further.
        500..=599 => e(ErrorKind::Unavailable, "an error on the way to")
            .with_retry(later)
            .with_delivery(Delivery::Unknown),
        401 => e(ErrorKind::Unauthenticated, "sns does not take the keys for")
            .with_scope(Scope::Destination),
        403 => e(ErrorKind::PermissionDenied, "the keys may not publish to")
            .with_scope(Scope::Destination),
        404 => e(ErrorKind::Rejected, "sns cannot publish to").with_scope(Scope::Destination),
        413 => e(ErrorKind::TooLarge, "sns refuses the message for"),
        _ => e(ErrorKind::Rejected, "sns refuses the message for"),
    }
}

/// Why there are no keys.
pub(crate) fn credentials(e: CredentialsError) -> Error {
    let cause = Cause::of(&e);
    let later = Retry::Later { after: None };
    let told = if cause.wants_feature("sso") {
        Error::config("the profile signs in through IAM Identity Center, and this build is without the feature sso of notifier-sns")
            .with_scope(Scope::Destination)
    } else {
        match &e {
            CredentialsError::CredentialsNotLoaded(_) => Error::new(
                ErrorKind::Unauthenticated,
                "no keys for sns: set sns.access_key or AWS_ACCESS_KEY_ID, a profile, or give the machine a role",
            )
            .with_retry(later),
            CredentialsError::ProviderTimedOut(_) => Error::new(
                ErrorKind::Timeout,
                "no keys for sns: who has them does not answer in time",
            )
            .with_delivery(Delivery::NotDelivered),
            CredentialsError::InvalidConfiguration(_) => {
                Error::config("no keys for sns: what says where they are is wrong")
                    .with_scope(Scope::Destination)
            }
            _ => Error::new(
                ErrorKind::Unavailable,
                "no keys for sns: who has them does not give them",
            ),
        }
    };
    told.with_source(cause)
}

/// What others say, in one line.
#[derive(Debug)]
struct Cause(String);

impl Cause {
    /// An error with its causes, each once.
    fn of(e: &(dyn StdError + 'static)) -> Self {
        let mut text = String::new();
        let mut next = Some(e);
        while let Some(e) = next {
            let own = e.to_string();
            // What a program of the user's own said when it failed may be anything.
            let own = own.split("Stderr").next().unwrap_or_default().trim();
            if !own.is_empty() && !text.ends_with(own) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(own);
            }
            next = e.source();
        }
        Self::text(&text)
    }

    fn text(text: &str) -> Self {
        let line: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|w| !w.is_empty())
            .collect();
        let line = line.join(" ");
        Self(line.chars().take(SHOWN).collect())
    }

    /// Whether a cargo feature of the SDK is missing.
    fn wants_feature(&self, name: &str) -> bool {
        self.0
            .split_once("cargo feature")
            .is_some_and(|(_, rest)| rest.contains(name))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sns:eu-west-1:123456789012:alerts";

    fn verdict(status: u16, code: Option<&str>, keys_change: bool) -> Error {
        let answer = Answer {
            status,
            code,
            message: Some("the string 'x-amz-security-token:s3cr3t'"),
            retry_after: Some(Duration::from_secs(7)),
        };
        refusal(ARN, &answer, keys_change, &Redactor::default())
    }

    #[test]
    fn codes_decide_and_not_the_status() {
        use ErrorKind as K;
        let after = Retry::Later {
            after: Some(Duration::from_secs(7)),
        };
        let (never, no, maybe) = (Retry::Never, Delivery::NotDelivered, Delivery::Unknown);
        let (one, all) = (Scope::Message, Scope::Destination);
        for (status, code, kind, retry, delivery, scope) in [
            (400, Some("Throttled"), K::RateLimited, after, no, one),
            (
                400,
                Some("ThrottlingException"),
                K::RateLimited,
                after,
                no,
                one,
            ),
            (400, Some("KMSThrottling"), K::RateLimited, after, no, one),
            (
                400,
                Some("KMSThrottlingException"),
                K::RateLimited,
                after,
                no,
                one,
            ),
            (429, None, K::RateLimited, after, no, one),
            (500, Some("InternalError"), K::Unavailable, after, no, one),
            (
                400,
                Some("ServiceUnavailable"),
                K::Unavailable,
                after,
                no,
                one,
            ),
            (503, None, K::Unavailable, after, no, one),
            (599, Some("SomethingNew"), K::Unavailable, after, no, one),
            (502, None, K::Unavailable, after, maybe, one),
            (403, Some("RequestExpired"), K::Unavailable, after, no, one),
            (
                403,
                Some("InvalidClientTokenId"),
                K::Unauthenticated,
                never,
                no,
                all,
            ),
            (
                403,
                Some("SignatureDoesNotMatch"),
                K::Unauthenticated,
                never,
                no,
                all,
            ),
            (
                403,
                Some("ExpiredToken"),
                K::Unauthenticated,
                never,
                no,
                all,
            ),
            (
                403,
                Some("AuthorizationError"),
                K::PermissionDenied,
                never,
                no,
                all,
            ),
            (404, Some("NotFound"), K::Rejected, never, no, all),
            (400, Some("KMSDisabled"), K::Rejected, never, no, all),
            (400, Some("InvalidParameter"), K::Rejected, never, no, one),
            (400, Some("SomethingNew"), K::Rejected, never, no, one),
            (413, None, K::TooLarge, never, no, one),
        ] {
            let e = verdict(status, code, false);
            assert_eq!(
                (e.kind(), e.retry(), e.delivery(), e.scope()),
                (kind, retry, delivery, scope),
                "{status} {code:?}"
            );
            assert!(e.to_string().contains(ARN), "{e}");
        }
        let e = verdict(200, None, false);
        assert_eq!((e.kind(), e.delivery()), (K::InvalidResponse, maybe));
        // Keys that come by themselves come again.
        assert!(verdict(403, Some("ExpiredToken"), true).is_retryable());
    }

    #[test]
    fn codes_are_found_in_other_wrappings() {
        let code = |text: &str| code_in(text.as_bytes()).map(str::to_owned);
        assert_eq!(
            code("<ErrorResponse><Errors><Error><Code>Throttled</Code></Error></Errors>"),
            Some("Throttled".to_owned())
        );
        for text in ["", "<html>", "<Code></Code>", "<Code>a b</Code>", "<Code>x"] {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_signed_is_not_repeated() {
        for code in [
            "SignatureDoesNotMatch",
            "InvalidClientTokenId",
            "ExpiredToken",
            "Odd",
        ] {
            let e = verdict(403, Some(code), false);
            assert!(
                !format!("{e:?} {}", e.report()).contains("s3cr3t"),
                "{code}"
            );
        }
        let e = refusal(
            ARN,
            &Answer {
                status: 400,
                code: Some("InvalidParameter"),
                message: Some("Invalid parameter: Message\ntoo long for t0kens3cr3t"),
                retry_after: None,
            },
            false,
            &Redactor::new(["t0kens3cr3t"]),
        );
        assert_eq!(e.kind(), ErrorKind::TooLarge);
        assert!(
            e.report()
                .to_string()
                .ends_with("InvalidParameter: Invalid parameter: Message too long for ***"),
            "{}",
            e.report()
        );
    }

    #[test]
    fn why_there_are_no_keys_is_said() {
        let e = credentials(CredentialsError::not_loaded_no_source());
        assert!(e.is_retryable() && e.delivery() == Delivery::NotDelivered);
        let e = credentials(CredentialsError::provider_timed_out(Duration::from_secs(1)));
        assert!(e.is_retryable() && e.delivery() == Delivery::NotDelivered);
        let e = credentials(CredentialsError::invalid_configuration(
            "This behavior requires following cargo feature(s) enabled: sso. More",
        ));
        assert!(e.to_string().contains("feature sso"), "{e}");
        let e = credentials(CredentialsError::provider_error(
            "the process exited with code 1. Stderr: s3cr3t",
        ));
        let shown = format!("{e:?} {}", e.report());
        assert!(
            !shown.contains("s3cr3t") && shown.contains("code 1"),
            "{shown}"
        );
    }
}
