//! Whether the logins for the next server are there for Postfix, and for nobody else.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::report::{Check, Class, Phase, State};

use super::next_hop::{NextHop, Table};

const ID: &str = "sasl_db";
/// How the text ends of what is not there as far as can be seen.
const UNSEEN: &str = ", or it cannot be seen";

/// What the system says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    written: Option<SystemTime>,
    /// Others than its owner and group may read it.
    is_public: bool,
}

fn look(path: &Path) -> Option<Seen> {
    let meta = fs::metadata(path).ok()?;
    Some(Seen {
        written: meta.modified().ok(),
        is_public: meta.permissions().mode() & 0o004 != 0,
    })
}

/// One for each table of logins.
pub(super) fn checks(next: &NextHop) -> Vec<Check> {
    let skip = |why: &str| vec![Check::skip(ID, Phase::Queue, why)];
    if !next.logs_in {
        return skip("Postfix logs in nowhere (smtp_sasl_auth_enable)");
    }
    if next.logins.is_empty() {
        return skip("smtp_sasl_password_maps names no file");
    }
    let check = |table: &Table| {
        let text = look(&table.path);
        let compiled = table.compiled().map(|path| (look(&path), path));
        let keys = table.entries();
        let keys = keys.map(|e| e.into_iter().map(|(key, _)| key).collect());
        let paths = [Some(table.path.clone()), table.compiled()];
        // What is told rests on the text if there is one.
        let known = paths.into_iter().flatten().find(|path| is_there(path));
        let denied = known.filter(|path| is_denied(path));
        unless_denied(judge(next, table, text, compiled, keys), denied.as_deref())
    };
    next.logins.iter().map(check).collect()
}

fn is_there(path: &Path) -> bool {
    fs::metadata(path).map_or_else(|e| e.kind() != ErrorKind::NotFound, |_| true)
}

/// Whether this user may not read it, or not even see it.
fn is_denied(path: &Path) -> bool {
    let opened = match fs::metadata(path) {
        // A pipe would wait for who writes.
        Ok(meta) if meta.is_file() => fs::File::open(path).err(),
        Ok(_) => None,
        Err(e) => Some(e),
    };
    opened.is_some_and(|e| e.kind() == ErrorKind::PermissionDenied)
}

/// What was found, unless it rests on a file that may not be read.
fn unless_denied(found: Check, denied: Option<&Path>) -> Check {
    let is_known = found.state > State::Ok && !found.text.ends_with(UNSEEN);
    match denied {
        Some(path) if !is_known => {
            let path = path.display();
            let text = format!("{path} may not be read by this user: what is in it is not known");
            let check = Check::unknown(ID, Phase::Queue, Class::Local, text)
                .hint(format!("run as root, or let this user read {path}"));
            match found.subject {
                Some(subject) => check.subject(subject),
                None => check,
            }
        }
        _ => found,
    }
}

fn judge(
    next: &NextHop,
    table: &Table,
    text: Option<Seen>,
    compiled: Option<(Option<Seen>, PathBuf)>,
    keys: Option<Vec<String>>,
) -> Check {
    let shown = table.path.display().to_string();
    let base = Check::ok(ID, Phase::Queue, "").subject(shown.clone());
    let bad = |state: State, text: String, hint: String| Check {
        text,
        ..base.clone().state(state).class(Class::Local).hint(hint)
    };
    let postmap = format!("run postmap {}:{shown}", table.kind);
    let db = compiled
        .as_ref()
        .map(|(seen, path)| (*seen, path.display().to_string()));
    // What Postfix reads.
    match (&text, &db) {
        (None, None) => {
            let text = format!("there is no {shown}{UNSEEN}");
            return bad(State::Crit, text, format!("write the login to {shown}"));
        }
        (_, Some((None, path))) => {
            let text = format!("there is no {path}{UNSEEN}");
            return bad(State::Crit, text, postmap);
        }
        _ => {}
    }
    for (seen, path) in [(text, &shown)]
        .into_iter()
        .chain(db.iter().map(|(s, p)| (*s, p)))
    {
        if seen.is_some_and(|s| s.is_public) {
            let text = format!("anyone on this machine can read the password in {path}");
            return bad(State::Crit, text, format!("chmod 600 {path}"));
        }
    }
    if let Some(found) = unknown_key(next, keys) {
        return bad(found.0, found.1, found.2);
    }
    if let (Some(text), Some((Some(db), path))) = (text, &db)
        && text.written > db.written
    {
        let text = format!("{shown} is newer than {path}: Postfix uses an old login");
        return bad(State::Warn, text, postmap);
    }
    Check {
        text: "the login is there, up to date, and nobody else can read it".to_owned(),
        ..base
    }
}

/// What is wrong if no key is that of the next server.
fn unknown_key(next: &NextHop, keys: Option<Vec<String>>) -> Option<(State, String, String)> {
    let keys = keys?;
    let (host, _, is_host) = next.place()?;
    let wanted = [next.relayhost.as_str(), host.as_str()];
    let has = |key: &String| wanted.iter().any(|w| w.eq_ignore_ascii_case(key));
    if next.by_sender || keys.iter().any(has) {
        return None;
    }
    // Behind a bare name stand other hosts, whose names may be the keys.
    let state = match is_host {
        true => State::Crit,
        false => State::Warn,
    };
    let found: Vec<&str> = keys.iter().take(3).map(String::as_str).collect();
    let text = match found.is_empty() {
        true => format!("it has no login for {}", next.relayhost),
        false => format!(
            "it has no login for {}, but for {}",
            next.relayhost,
            found.join(", ")
        ),
    };
    let hint = format!(
        "write the key exactly as relayhost is written: {}",
        next.relayhost
    );
    Some((state, text, hint))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(second: u64, is_public: bool) -> Option<Seen> {
        let written = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        Some(Seen { written, is_public })
    }

    fn next(relayhost: &str) -> NextHop {
        NextHop {
            relayhost: relayhost.to_owned(),
            logs_in: true,
            ..NextHop::default()
        }
    }

    #[test]
    fn each_mistake_has_its_state_and_what_to_do() {
        let table = Table {
            kind: "hash".to_owned(),
            path: "/etc/postfix/sasl_passwd".into(),
        };
        let key = Some("[smtp.example]:587");
        let good = seen(10, false);
        for (text, db, key, state, says, hint) in [
            (good, seen(10, false), key, State::Ok, "up to date", ""),
            // The text need not be left on the machine.
            (None, good, None, State::Ok, "up to date", ""),
            (
                good,
                None,
                key,
                State::Crit,
                "no /etc/postfix/sasl_passwd.db",
                "run postmap hash:/etc",
            ),
            (
                seen(11, false),
                good,
                key,
                State::Warn,
                "newer",
                "run postmap hash:/etc",
            ),
            (
                seen(10, true),
                good,
                key,
                State::Crit,
                "anyone",
                "chmod 600 /etc/postfix/sasl_passwd",
            ),
            (
                good,
                seen(10, true),
                key,
                State::Crit,
                "anyone",
                "chmod 600 /etc/postfix/sasl_passwd.db",
            ),
            (
                good,
                good,
                Some("smtp.example:587"),
                State::Crit,
                "but for smtp.example:587",
                "[smtp.example]:587",
            ),
            (
                good,
                good,
                Some("SMTP.example"),
                State::Ok,
                "up to date",
                "",
            ),
        ] {
            let keys = key.map(|k| vec![k.to_owned()]);
            let compiled = Some((db, table.compiled().unwrap()));
            let check = judge(&next("[smtp.example]:587"), &table, text, compiled, keys);
            assert_eq!(check.state, state, "{check:?}");
            assert!(check.text.contains(says), "{check:?}");
            assert!(check.hint.unwrap_or_default().contains(hint), "{hint}");
        }
    }

    #[test]
    fn keys_of_a_bare_name_may_be_other_hosts() {
        let found = unknown_key(
            &next("example.com"),
            Some(vec!["mx.example.com".to_owned()]),
        );
        assert_eq!(found.unwrap().0, State::Warn);
        assert_eq!(unknown_key(&next("example.com"), None), None);
        let mut by_sender = next("[example.com]");
        by_sender.by_sender = true;
        assert_eq!(unknown_key(&by_sender, Some(Vec::new())), None);
    }

    #[test]
    fn a_table_that_may_not_be_read_is_not_known() {
        let path = Path::new("/etc/postfix/sasl_passwd");
        let ok = Check::ok(ID, Phase::Queue, "the login is there").subject("s");
        let unseen = format!("there is no s{UNSEEN}");
        let unseen = Check::crit(ID, Phase::Queue, Class::Local, unseen).subject("s");
        for found in [ok.clone(), unseen] {
            let check = unless_denied(found, Some(path));
            assert_eq!(
                (check.state, check.class),
                (State::Unknown, Some(Class::Local))
            );
            assert!(check.text.contains("may not be read"), "{check:?}");
            assert_eq!(check.subject.as_deref(), Some("s"));
        }
        let stale = Check::warn(ID, Phase::Queue, Class::Local, "newer");
        assert_eq!(unless_denied(stale, Some(path)).state, State::Warn);
        assert_eq!(unless_denied(ok, None).state, State::Ok);
    }

    #[test]
    fn nothing_is_said_where_nobody_logs_in() {
        let found = checks(&NextHop::default());
        assert_eq!((found.len(), found[0].state), (1, State::Skip));
    }
}
