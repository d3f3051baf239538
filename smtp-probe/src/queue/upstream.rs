//! Whether the server that mail is sent on to takes it, asked as Postfix would.

use std::path::Path;

use notifier_core::{Clock, Secret};
use smtp_wire::Password;
use tokio::time::{Instant, timeout};

use crate::{
    dns,
    report::{Check, Class, Phase, State},
    session,
    target::{Level, Login, Target, Tls},
};

use super::{next_hop::NextHop, sasl_db};

const ID: &str = "queue_upstream";

/// The logins that main.cf names, and at [`Level::Deep`] a dialogue with its `relayhost`.
pub(super) async fn checks(target: &Target, main_cf: &Path, clock: &dyn Clock) -> Vec<Check> {
    let path = main_cf.to_path_buf();
    let reading = tokio::task::spawn_blocking(move || {
        let next = NextHop::read(&path)?;
        let checks = sasl_db::checks(&next);
        let login = next.login();
        Some((next, login, checks))
    });
    let reading = timeout(target.limits.total, reading).await;
    let Ok(Ok(Some((next, login, mut checks)))) = reading else {
        // That is told by `main_cf`.
        let why = "main.cf cannot be read";
        return ["sasl_db", ID]
            .map(|id| Check::skip(id, Phase::Queue, why))
            .to_vec();
    };
    let begun = Instant::now();
    let check = match (target.level, next.relayhost.as_str()) {
        (_, "") => Check::skip(
            ID,
            Phase::Queue,
            "main.cf has no relayhost: mail goes to each domain's own servers",
        ),
        (Level::Deep, _) => ask(target, &next, login, clock).await,
        _ => Check::skip(ID, Phase::Queue, "asked at level deep only"),
    };
    checks.push(check.took(begun.elapsed()));
    checks
}

async fn ask(
    target: &Target,
    next: &NextHop,
    login: Option<(String, String)>,
    clock: &dyn Clock,
) -> Check {
    let Some((name, port, is_host)) = next.place() else {
        let text = format!("relayhost {:?} names no server", next.relayhost);
        let check = Check::crit(ID, Phase::Queue, Class::Local, text);
        return check.hint("write it as [host]:port");
    };
    let host = match is_host {
        true => name,
        // Postfix asks for its mail servers first.
        false => dns::mail_host(target, &name).await.unwrap_or(name),
    };
    let has_login = login.is_some();
    let upstream = as_target(target, next, host, port, login);
    let seen = session::run(&upstream, clock).await;
    judge(next, has_login, &seen.checks)
}

/// The next server as a target of its own.
fn as_target(
    target: &Target,
    next: &NextHop,
    host: String,
    port: u16,
    login: Option<(String, String)>,
) -> Target {
    let mut upstream = Target::new(host, port);
    upstream.tls = match (next.is_wrapped, next.tls_level.as_str()) {
        (true, _) => Tls::Implicit,
        (_, "none") => Tls::None,
        (_, "may" | "dane") => Tls::Opportunistic,
        _ => Tls::Starttls,
    };
    upstream.ca.clone_from(&next.ca);
    let is_keyword = |n: &&String| matches!(n.as_str(), "nexthop" | "dot-nexthop" | "hostname");
    let name = next.names.iter().find(|n| !is_keyword(n));
    upstream.tls_name = name.map(|n| n.trim_start_matches('.').to_owned());
    upstream.helo = (!next.helo.is_empty()).then(|| next.helo.clone());
    upstream.source = next.source;
    upstream.login = login
        .filter(|_| next.logs_in)
        .map(|(user, password)| Login {
            user,
            password: Password::Value(Secret::from(password)),
        });
    upstream.limits = target.limits.clone();
    upstream.thresholds = target.thresholds.clone();
    // What it offers besides is not ours to judge.
    upstream.forbid = Vec::new();
    upstream
}

/// The worst of the dialogue counts. A certificate that Postfix does not look at is a warning.
fn judge(next: &NextHop, has_login: bool, checks: &[Check]) -> Check {
    let is_of_certificate = |c: &Check| c.id.starts_with("cert_");
    let state = |c: &Check| match is_of_certificate(c) && !next.verifies() {
        true => c.state.min(State::Warn),
        false => c.state,
    };
    // The first of the worst.
    let worst = checks.iter().rev().max_by_key(|c| state(c));
    let Some(worst) = worst.filter(|c| state(c) > State::Ok) else {
        let auth = checks
            .iter()
            .find(|c| c.id == "auth" && c.state == State::Ok);
        let text = match (auth, next.logs_in && has_login) {
            (Some(_), _) => format!("{} answers and takes the login", next.relayhost),
            (None, true) => format!("{} answers; the login was not tried", next.relayhost),
            (None, false) => format!("{} answers", next.relayhost),
        };
        return Check::ok(ID, Phase::Queue, text).subject(next.relayhost.clone());
    };
    let text = match is_of_certificate(worst) && !next.verifies() {
        true => format!(
            "{}: {} (smtp_tls_security_level = {} does not look at it)",
            worst.id, worst.text, next.tls_level
        ),
        false => format!("{}: {}", worst.id, worst.text),
    };
    let hint = worst.hint.clone();
    let hint = hint.unwrap_or_else(|| "look at the server that relayhost names".to_owned());
    let base = Check::ok(ID, worst.phase, text).subject(next.relayhost.clone());
    Check {
        class: worst.class,
        code: worst.code,
        enhanced: worst.enhanced.clone(),
        ..base.state(state(worst)).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(level: &str) -> NextHop {
        NextHop {
            relayhost: "[smtp.example]:587".to_owned(),
            logs_in: true,
            tls_level: level.to_owned(),
            names: vec!["nexthop".to_owned(), "upstream.example".to_owned()],
            ..NextHop::default()
        }
    }

    #[test]
    fn the_next_server_is_asked_as_postfix_would() {
        let login = || Some(("relay".to_owned(), "secret".to_owned()));
        let target = |level| {
            let next = next(level);
            as_target(
                &Target::new("h", 25),
                &next,
                "smtp.example".to_owned(),
                587,
                login(),
            )
        };
        for (level, tls) in [
            ("none", Tls::None),
            ("may", Tls::Opportunistic),
            ("encrypt", Tls::Starttls),
            ("secure", Tls::Starttls),
        ] {
            assert_eq!(target(level).tls, tls, "{level}");
        }
        let secure = target("secure");
        assert_eq!(secure.tls_name(), "upstream.example");
        assert_eq!(secure.login.as_ref().unwrap().user, "relay");
        assert!(!format!("{secure:?}").contains("secret"));
    }

    #[test]
    fn the_first_of_the_worst_is_told() {
        let checks = [
            Check::ok("connect", Phase::Connect, "x"),
            Check::crit("cert_name", Phase::Tls, Class::Cert, "another name"),
            Check::crit("auth", Phase::Auth, Class::Reply5, "535 no").hint("mend it"),
        ];
        let found = judge(&next("secure"), true, &checks);
        assert_eq!(
            (found.state, found.text.as_str()),
            (State::Crit, "cert_name: another name")
        );
        // What Postfix does not look at counts less than what stops it.
        let found = judge(&next("encrypt"), true, &checks);
        assert_eq!(
            (found.state, found.text.as_str()),
            (State::Crit, "auth: 535 no")
        );
        assert_eq!(found.hint.as_deref(), Some("mend it"));
        let found = judge(&next("may"), true, &checks[..2]);
        assert_eq!((found.state, found.class), (State::Warn, Some(Class::Cert)));
        assert!(found.text.contains("smtp_tls_security_level = may"));
        let found = judge(
            &next("secure"),
            true,
            &[Check::ok("auth", Phase::Auth, "235")],
        );
        assert_eq!(found.text, "[smtp.example]:587 answers and takes the login");
    }
}
