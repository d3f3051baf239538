//! What a run knows and must not show.

use std::time::Duration;

use notifier_core::Secret;
use serde_json::Value;
use smtp_wire::{Hidden, Password};
use tokio::time::timeout;

use crate::{
    report::Check,
    target::{Canary, Level, Login, Target},
};

/// Reads what is in files, once for all that a run does: a pipe gives it only once. What cannot be read in
/// time stays as it is, and is told by who needs it.
pub(crate) async fn read(target: &Target) -> Target {
    let mut target = target.clone();
    if target.level > Level::Live {
        let within = target.limits.total;
        if let Some(login) = &mut target.login {
            replace(login, "--password-file", within).await;
        }
        if let Some(Canary::Imap(imap)) = &mut target.canary {
            replace(&mut imap.login, "--canary", within).await;
        }
    }
    target
}

async fn replace(login: &mut Login, option: &'static str, within: Duration) {
    if let Ok(secret) = password(&login.password, option, within).await {
        login.password = Password::Value(secret);
    }
}

/// A password as it is now, read off the runtime's threads. An error is for people.
pub(crate) async fn password(
    password: &Password,
    option: &'static str,
    within: Duration,
) -> Result<Secret, String> {
    let file = match password {
        Password::Value(secret) => return Ok(secret.clone()),
        file @ Password::File(_) => file.clone(),
    };
    let reading = tokio::task::spawn_blocking(move || file.read(option));
    match timeout(within, reading).await {
        Ok(Ok(read)) => read.map_err(|e| e.to_string()),
        Ok(Err(_)) => Err(format!("{option}: it was not read")),
        Err(_) => Err(format!(
            "{option}: it was not read in time (is it a pipe that nobody writes to?)"
        )),
    }
}

/// The passwords that a run sends.
pub(crate) fn of(target: &Target) -> Hidden {
    let imap = match &target.canary {
        Some(Canary::Imap(imap)) => Some(&imap.login),
        _ => None,
    };
    let all = target.login.iter().chain(imap);
    Hidden::new(all.filter_map(|login| match &login.password {
        Password::Value(secret) => Some(secret),
        Password::File(_) => None,
    }))
}

/// Masks them in what was found: a server may say them back, later and elsewhere too. Hints are
/// our own words and stay as they are: a gap in them would tell a password that is such a word.
pub(crate) fn mask(target: &Target, checks: &mut [Check]) {
    let hidden = of(target);
    if hidden.is_empty() {
        return;
    }
    for check in checks {
        for text in [Some(&mut check.text), check.sent.as_mut()] {
            text.into_iter().for_each(|text| cover(&hidden, text));
        }
        check
            .data
            .iter_mut()
            .for_each(|data| cover_all(&hidden, data));
    }
}

fn cover(hidden: &Hidden, text: &mut String) {
    *text = hidden.cover(text).into_owned();
}

fn cover_all(hidden: &Hidden, data: &mut Value) {
    match data {
        Value::String(text) => cover(hidden, text),
        Value::Array(all) => all.iter_mut().for_each(|one| cover_all(hidden, one)),
        Value::Object(all) => all.values_mut().for_each(|one| cover_all(hidden, one)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Class, Phase};
    use serde_json::json;

    #[test]
    fn a_password_that_is_a_word_of_a_hint_leaves_it_whole() {
        let mut target = Target::new("relay.example", 587);
        target.login = Some(Login {
            user: "user".to_owned(),
            password: Password::Value("wrong".into()),
        });
        let hint = "the name or the password is wrong";
        let mut checks =
            vec![Check::crit("auth", Phase::Auth, Class::Reply5, "535 wrong").hint(hint)];
        mask(&target, &mut checks);
        assert_eq!(checks[0].text, "535 ***");
        assert_eq!(checks[0].hint.as_deref(), Some(hint));
    }

    #[test]
    fn what_is_found_shows_no_password() {
        let mut target = Target::new("relay.example", 587);
        target.login = Some(Login {
            user: "user".to_owned(),
            password: Password::Value("s3cr3t-word".into()),
        });
        let mut checks = vec![
            Check::crit(
                "auth",
                Phase::Auth,
                Class::Reply5,
                "535 s3cr3t-word AHUAczNjcjN0LXdvcmQ=",
            )
            .sent("AUTH PLAIN s3cr3t-word")
            .data(json!({ "names": ["s3cr3t-word", 1], "of": { "a": "s3cr3t-word" } })),
            Check::ok("quit", Phase::Quit, "221 bye"),
        ];
        mask(&target, &mut checks);
        assert!(
            !format!("{checks:?}{target:?}").contains("s3cr3t"),
            "{checks:?}"
        );
        assert_eq!(checks[0].text, "535 *** ***");
        assert_eq!(checks[1].text, "221 bye");
    }
}
