//! A role taken with a token that another identity provider gave: Kubernetes does so.
//!
//! Source: AWS STS, "AssumeRoleWithWebIdentity", read 2026-11-21.

use notifier_core::{Error, ErrorKind, Result, Secret};
use notifier_http::HttpClient;

use super::{
    Found,
    chain::{self, checked},
    profile::Profile,
};
use crate::{Environment, key::encode, sign::Keys, xml};

const SESSION: &str = "uploader-s3";

/// Takes the role, if there is a token for one.
pub(super) async fn find(
    http: &HttpClient,
    env: &Environment,
    profile: &Profile,
    region: Option<&str>,
) -> Result<Option<Found>> {
    let of = |variable: &str, key: &str| {
        env.get(variable)
            .or_else(|| profile.get(key).map(str::to_owned))
    };
    let Some(file) = of("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file") else {
        return Ok(None);
    };
    let role = of("AWS_ROLE_ARN", "role_arn").ok_or_else(|| {
        Error::config("AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not")
    })?;
    let session = of("AWS_ROLE_SESSION_NAME", "role_session_name");
    let token = chain::read_file(&file).map_err(|e| {
        Error::new(ErrorKind::Io, format!("{file}: the token cannot be read")).with_source(e)
    })?;
    let token = Secret::from(token.trim());
    let form = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
        encode(&role),
        encode(session.as_deref().unwrap_or(SESSION)),
        encode(token.expose())
    );
    let answer = http
        .post(&endpoint(env, region))
        .body("application/x-www-form-urlencoded", form)
        .timeout(Some(chain::ASK))
        .send()
        .await?;
    let text = answer.text();
    if !answer.is_success() {
        let code = xml::text(&text, "Code").unwrap_or_default();
        let code: String = code
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(64)
            .collect();
        // These come with status 400.
        let passes = matches!(code.as_str(), "Throttling" | "IDPCommunicationError");
        let what = format!("{code} to AssumeRoleWithWebIdentity");
        return Err(chain::refused(&answer, passes, &what));
    }
    let part = |name: &str| {
        xml::text(&text, name).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidResponse,
                format!("the answer of {} has no {name}", answer.who()),
            )
        })
    };
    Ok(Some(Found {
        keys: Keys {
            id: checked(part("AccessKeyId")?, "AssumeRoleWithWebIdentity")?,
            secret: Secret::from(part("SecretAccessKey")?),
            token: Some(Secret::from(part("SessionToken")?)),
        },
        dies: part("Expiration")?.parse().ok(),
    }))
}

fn endpoint(env: &Environment, region: Option<&str>) -> String {
    match (env.get("AWS_ENDPOINT_URL_STS"), region) {
        (Some(url), _) => url,
        (None, Some(region)) if region.starts_with("cn-") => {
            format!("https://sts.{region}.amazonaws.com.cn/")
        }
        (None, Some(region)) => format!("https://sts.{region}.amazonaws.com/"),
        (None, None) => "https://sts.amazonaws.com/".to_owned(),
    }
}
