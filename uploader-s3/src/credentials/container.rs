//! Keys that the container's surroundings give: ECS, EKS.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Container credential provider", read 2026-11-21.

use notifier_core::{Error, ErrorKind, Result, Secret};
use notifier_http::HttpClient;
use url::{Host, Url};

use super::{Found, chain};
use crate::Environment;

/// Where relative addresses lead.
const ECS: &str = "http://169.254.170.2";

/// Asks, if an address is given.
pub(super) async fn find(http: &HttpClient, env: &Environment) -> Result<Option<Found>> {
    let url = match (
        env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    ) {
        (Some(path), _) => format!("{ECS}/{}", path.trim_start_matches('/')),
        (None, Some(url)) => {
            if !may_be_asked(&url) {
                return Err(Error::config(
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or lead to this host",
                ));
            }
            url
        }
        (None, None) => return Ok(None),
    };
    let token = match env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(chain::read_file(&file).map_err(|e| {
            Error::new(ErrorKind::Io, format!("{file}: the token cannot be read")).with_source(e)
        })?),
        None => env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let mut request = http.get(&url).secret_url().timeout(Some(chain::ASK));
    if let Some(token) = token {
        request = request.secret_header("authorization", &Secret::from(token.trim()));
    }
    let answer = request.send().await?;
    if !answer.is_success() {
        return Err(chain::refused(&answer, false, "for the container's keys"));
    }
    chain::from_json(&answer, "the container").map(Some)
}

/// Keys are not asked for over the open network.
fn may_be_asked(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Domain(name))) => name == "localhost",
        ("http", Some(Host::Ipv4(ip))) => {
            ip.is_loopback() || [[169, 254, 170, 2], [169, 254, 170, 23]].contains(&ip.octets())
        }
        ("http", Some(Host::Ipv6(ip))) => {
            ip.is_loopback() || ip.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_near_or_in_secret() {
        for url in [
            "https://keys.example/x",
            "http://127.0.0.1:9/x",
            "http://localhost/x",
            "http://[::1]/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert!(may_be_asked(url), "{url}");
        }
        for url in [
            "http://keys.example/x",
            "http://10.0.0.1/x",
            "http://169.254.169.254/x",
            "ftp://127.0.0.1/",
            "x",
        ] {
            assert!(!may_be_asked(url), "{url}");
        }
    }
}
