//! Numbers, switches and paths.

use std::path::Path;

use super::super::finding::Review;
use crate::report::State;

const DAY: u64 = 86_400;

pub(super) fn look(review: &mut Review<'_>) {
    if review.config.is_yes("soft_bounce") {
        review.find(
            "soft-bounce",
            State::Warn,
            "soft_bounce",
            "permanent errors become transient ones: what can never be delivered stays in the queue, and who sent it is not told",
            "set soft_bounce = no",
        );
    }
    let limit = review.config.value("smtpd_recipient_limit").parse::<u64>();
    if limit.is_ok_and(|n| n < 100) {
        review.find(
            "recipient-limit",
            State::Warn,
            "smtpd_recipient_limit",
            "RFC 5321 4.5.3.1.8 wants at least 100 recipients of one mail to be taken",
            "set smtpd_recipient_limit = 1000",
        );
    }
    sizes(review);
    lifetime(review);
    paths(review);
}

fn sizes(review: &mut Review<'_>) {
    let (rule, name) = ("message-size", "message_size_limit");
    let number = |name: &str| review.config.value(name).parse::<u64>().ok();
    let (message, mailbox) = (number(name), number("mailbox_size_limit"));
    let Some(message) = message.filter(|n| *n > 0) else {
        return;
    };
    let need = review.min_size;
    if message < need {
        let what = format!("{message} octets are less than the {need} that are needed");
        let hint = format!("set message_size_limit = {need}");
        review.find(rule, State::Warn, name, what, hint);
    }
    if let Some(mailbox) = mailbox.filter(|n| *n > 0 && *n < message) {
        let what = format!(
            "{message} octets are more than mailbox_size_limit, {mailbox}: local mail is not delivered"
        );
        let hint = "set mailbox_size_limit = 0";
        review.find(rule, State::Warn, name, what, hint);
    }
}

fn lifetime(review: &mut Review<'_>) {
    let name = "maximal_queue_lifetime";
    if !review.config.has(name) {
        return;
    }
    let value = review.config.value(name);
    if let Some(seconds) = seconds(&value) {
        if seconds > DAY {
            let what =
                format!("who sends an alert learns only after {value} that it did not arrive");
            let hint = "set maximal_queue_lifetime = 1d, or less, on a relay for alerts";
            review.find("queue-lifetime", State::Warn, name, what, hint);
        } else if seconds == 0 {
            let what = "each mail is tried once, and returned at the first failure";
            review.find(
                "queue-lifetime",
                State::Warn,
                name,
                what,
                "set maximal_queue_lifetime = 1d",
            );
        }
    }
}

/// A time with its unit; days if it has none, as these parameters have it.
fn seconds(value: &str) -> Option<u64> {
    let digits = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let number: u64 = value[..digits].parse().ok()?;
    let unit = match value[digits..].trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "" | "d" => DAY,
        "w" => 7 * DAY,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Folders that Postfix' programs and files are in.
const PROGRAMS: &[&str] = &["command_directory", "daemon_directory", "shlib_directory"];

fn paths(review: &mut Review<'_>) {
    let settings: Vec<(String, String)> = review
        .config
        .settings()
        .map(|s| (s.name.clone(), review.config.value(&s.name)))
        .collect();
    for (name, value) in settings {
        let is_program =
            ["mailq_path", "newaliases_path", "sendmail_path"].contains(&name.as_str());
        let is_path = name.ends_with("_directory") || name.ends_with("file") || is_program;
        let is_none = ["", "no", "none", "default"].contains(&value.as_str());
        let is_pipe = name.starts_with("tls_") || name.contains("template");
        if is_path && !is_none && !is_pipe && !value.starts_with(['/', '$', '|']) {
            let what =
                format!("{value:?} is a relative path, and is looked for in the queue's folder");
            let hint = "write the whole path";
            review.find("relative-path", State::Warn, &name, what, hint);
        }
        if let Some(version) = version_in(&value).filter(|_| name.ends_with("_directory")) {
            let what =
                format!("the file was written for Postfix {version}, whose defaults were others");
            let hint = "remove the folders that packages set, and let Postfix' own defaults stand";
            review.find("other-version", State::Warn, &name, what, hint);
        }
        let is_absent =
            |path: &str| path.starts_with('/') && !review.files.is_folder(Path::new(path));
        if PROGRAMS.contains(&name.as_str()) && !is_none && is_absent(&value) {
            let what = format!(
                "{value} is not on this machine: another version or package of Postfix has it elsewhere"
            );
            let hint = format!("remove {name}: its default is that of the installed Postfix");
            review.find("program-folder", State::Warn, &name, what, hint);
        }
    }
}

/// The version in `/usr/share/doc/postfix-2.3.3/samples`.
fn version_in(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/postfix-")?;
    let version = rest.split('/').next()?;
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_versions() {
        assert_eq!(seconds("5d"), Some(5 * DAY));
        assert_eq!(seconds("1"), Some(DAY));
        assert_eq!(seconds("3600s"), Some(3600));
        assert_eq!(seconds("x"), None);
        assert_eq!(
            version_in("/usr/share/doc/postfix-2.3.3/samples"),
            Some("2.3.3")
        );
        assert_eq!(version_in("/usr/lib/postfix/sbin"), None);
    }
}
