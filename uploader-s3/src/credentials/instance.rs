//! Keys that a machine of EC2 is given, by the second version of its metadata service.
//!
//! Source: Amazon EC2 User Guide, "Use the Instance Metadata Service", and "Retrieve
//! security credentials from instance metadata", read 2026-11-21.

use std::time::Duration;

use notifier_core::{Result, Secret};
use notifier_http::{HttpClient, Request};

use super::{Found, chain};
use crate::Environment;

const ADDRESS: &str = "http://169.254.169.254";

/// Elsewhere than on EC2 nobody answers.
const TIMEOUT: Duration = Duration::from_secs(1);

const PATH: &str = "latest/meta-data/iam/security-credentials/";

pub(super) enum Answer {
    Found(Found),
    /// Why there are none.
    None(String),
}

/// Asks, unless that is forbidden.
pub(super) async fn find(http: &HttpClient, env: &Environment) -> Result<Answer> {
    let none = |why: &str| Ok(Answer::None(why.to_owned()));
    if env
        .get("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|v| v.eq_ignore_ascii_case("true"))
    {
        return none("AWS_EC2_METADATA_DISABLED is set");
    }
    let base = env
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .unwrap_or_else(|| ADDRESS.to_owned());
    let base = base.trim_end_matches('/');
    let ask = |r: Request| r.timeout(Some(TIMEOUT)).send();
    let token = ask(http
        .put(&format!("{base}/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300")
        .body("text/plain", ""))
    .await;
    let token = match token {
        Ok(answer) if answer.is_success() => Secret::from(answer.text().trim()),
        Ok(answer) if chain::has_passing_status(&answer) => {
            return Err(chain::refused(&answer, true, "for a token to ask with"));
        }
        Ok(answer) => {
            return none(&format!(
                "its metadata service answered {}",
                answer.status()
            ));
        }
        Err(_) => return none("no metadata service"),
    };
    let get = |path: &str| {
        ask(http
            .get(&format!("{base}/{path}"))
            .secret_header("x-aws-ec2-metadata-token", &token))
    };
    let roles = get(PATH).await?;
    if chain::has_passing_status(&roles) {
        return Err(chain::refused(&roles, true, "for the instance's role"));
    }
    let text = roles.text();
    let role = match text.lines().next().map(str::trim) {
        Some(role) if roles.is_success() && is_role(role) => role,
        _ => return none("it has no role"),
    };
    let answer = get(&format!("{PATH}{role}")).await?;
    if !answer.is_success() {
        let what = "for the keys of the instance's role";
        return Err(chain::refused(&answer, false, what));
    }
    chain::from_json(&answer, "the instance").map(Answer::Found)
}

/// Names of roles, as IAM has them.
fn is_role(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+=,.@-_".contains(c))
        && !name.starts_with('.')
}
