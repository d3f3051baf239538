//! The ends of logs as files of an issue.

use std::time::Duration;

use notifier_core::{Error, ErrorKind, Report, Result};
use notifier_http::Method;
use serde::Deserialize;

use crate::{
    api::{Api, Flavour, segment},
    error::Step,
};

/// The most that is attached of one log.
pub(crate) const MOST: u64 = 10 * 1024 * 1024;

/// How often an attachment is tried.
pub(crate) const TRIES: u32 = 3;

/// The time that one file has: more than a question, and two fit into an attempt.
const TIMEOUT: Duration = Duration::from_secs(25);

/// The logs that templates know.
const LOGS: [&str; 2] = ["stdout", "stderr"];

#[derive(Deserialize)]
struct WithFiles {
    #[serde(default)]
    fields: Files,
}

#[derive(Default, Deserialize)]
struct Files {
    #[serde(default)]
    attachment: Option<Vec<File>>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    filename: String,
}

/// Attaches the ends of the logs to an issue, but for those that are there already.
/// What is missing comes back as warnings.
///
/// # Errors
/// If it can be tried again.
pub(crate) async fn attach(
    api: &Api,
    flavour: Flavour,
    key: &str,
    report: &Report,
    id: &str,
    bytes: u64,
    again: bool,
) -> Result<Vec<Error>> {
    let most = usize::try_from(bytes.min(MOST)).unwrap_or(0);
    let there = match again {
        true => match files(api, flavour, key).await {
            Ok(files) => files,
            Err(e) if e.is_retryable() => return Err(e),
            Err(e) => {
                let text = format!("the logs were not attached to {key}: its files cannot be seen");
                return Ok(vec![Error::new(e.kind(), text).with_source(e)]);
            }
        },
        false => Vec::new(),
    };
    let mut warnings = Vec::new();
    for log in LOGS {
        let short: String = id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(8)
            .collect();
        let name = format!("{log}-{short}.txt");
        if there.contains(&name) {
            continue;
        }
        let tail = match report.log_tail(log, most).await {
            Ok(Some(tail)) if !tail.bytes.is_empty() => tail,
            Ok(_) => continue,
            Err(e) => {
                let text = format!("{log} was not attached to {key}: it cannot be read");
                warnings.push(Error::new(e.kind(), text).with_source(e));
                continue;
            }
        };
        if let Err(e) = send(api, flavour, key, &name, &tail.bytes).await {
            if e.is_retryable() {
                return Err(e);
            }
            let text = format!("{log} was not attached to {key}");
            warnings.push(Error::new(e.kind(), text).with_source(e));
        }
    }
    Ok(warnings)
}

async fn files(api: &Api, flavour: Flavour, key: &str) -> Result<Vec<String>> {
    let path = format!("issue/{}?fields=attachment", segment(key));
    let found: Option<WithFiles> = api.find(&flavour.path(&path)).await?;
    let files = found.and_then(|i| i.fields.attachment).unwrap_or_default();
    Ok(files.into_iter().map(|f| f.filename).collect())
}

async fn send(api: &Api, flavour: Flavour, key: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let boundary = boundary(bytes);
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let path = format!("issue/{}/attachments", segment(key));
    let request = api
        .request(Method::POST, &flavour.path(&path))
        // Jira takes no files from pages of other sites, and asks this of programs.
        .header("X-Atlassian-Token", "no-check")
        .timeout(Some(TIMEOUT))
        .body(&format!("multipart/form-data; boundary={boundary}"), body);
    let answer = api.send(request, Step::Attach).await?;
    match answer.is_success() {
        true => Ok(()),
        false if answer.status() == 404 => Err(Error::new(
            ErrorKind::Rejected,
            format!("{key} takes no files, or is gone"),
        )),
        false => Err(api.refused(&answer, Step::Attach)),
    }
}

/// What does not stand in the file itself.
fn boundary(bytes: &[u8]) -> String {
    let mut n = 0u64;
    loop {
        let boundary = format!("notifier-{n:016x}");
        let is_in = bytes
            .windows(boundary.len())
            .any(|w| w == boundary.as_bytes());
        if !is_in {
            return boundary;
        }
        n += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_not_in_the_file() {
        assert_eq!(boundary(b"x"), "notifier-0000000000000000");
        assert_eq!(
            boundary(b"a notifier-0000000000000000 b"),
            "notifier-0000000000000001"
        );
    }
}
