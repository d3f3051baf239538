//! Who we are to the server.

use smtp_wire::{
    Fault,
    auth::{self, Mechanism},
};
use tokio::time::Instant;

use super::{advice, offered::KNOWN, record::Record};
use crate::{
    connection::{Connection, Stop},
    report::{Check, Class, Phase},
    secrets,
    target::{Login, Target},
};

const ID: &str = "auth";

/// Logs in where the target says who; the password goes out only to a server that has proved who it
/// is, or where the target allows it in clear.
pub(crate) async fn log_in(
    connection: &mut Connection,
    target: &Target,
    record: &mut Record,
) -> Result<(), Stop> {
    let Some(login) = &target.login else {
        return Ok(());
    };
    if connection.offers.common(&KNOWN).is_empty() {
        // That is told by `auth_mechs`.
        let stop = Stop::new(
            Phase::Auth,
            Class::Proto,
            "no login is offered that we know",
        );
        record.push(Check::skip(ID, Phase::Auth, stop.text.clone()));
        record.end(&stop);
        return Err(stop);
    }
    if let Some(stop) = withheld(connection, target) {
        let check = match stop.class {
            // That is told by the certificate's own checks.
            Class::Cert => Check::skip(ID, Phase::Auth, stop.text.clone()),
            _ => stop.clone().check(ID),
        };
        record.push(check);
        record.end(&stop);
        return Err(stop);
    }
    let begun = Instant::now();
    let done = authenticate(connection, login).await;
    let took = begun.elapsed();
    record.spent(Phase::Auth, took);
    match done {
        Ok((mechanism, check)) => {
            connection.is_logged_in = true;
            record.push(check.sent(format!("AUTH {mechanism} ***")).took(took));
            Ok(())
        }
        Err(stop) => Err(record.stop(ID, stop, took)),
    }
}

/// Why the password may not go out.
fn withheld(connection: &Connection, target: &Target) -> Option<Stop> {
    let stop = |class, text| Some(Stop::new(Phase::Auth, class, text));
    match (connection.is_private, connection.is_verified) {
        (true, true) => None,
        (true, false) => stop(
            Class::Cert,
            "the password is not sent to a server whose certificate proves nothing",
        ),
        (false, _) if target.allow_clear => None,
        (false, _) => stop(Class::Local, "the password is not sent without TLS").map(|s| {
            s.with_hint("set --tls starttls or implicit, or --allow-clear if the way is safe")
        }),
    }
}

/// Tries the first mechanism that both know; the next one only where the server turns down the
/// mechanism itself.
async fn authenticate(
    connection: &mut Connection,
    login: &Login,
) -> Result<(Mechanism, Check), Stop> {
    let left = connection
        .link
        .until()
        .saturating_duration_since(Instant::now());
    let password = secrets::password(&login.password, "--password-file", left);
    let password = password.await.map_err(|why| {
        Stop::new(Phase::Auth, Class::Local, why)
            .with_hint("mend --password-file and its permissions")
    })?;
    let mut all = KNOWN;
    if auth::is_token(password.expose()) {
        all.rotate_right(1);
    }
    let common = connection.offers.common(&all);
    let mut refused = Stop::new(
        Phase::Auth,
        Class::Proto,
        "no login is offered that we know",
    );
    for mechanism in common {
        let (link, within) = (&mut connection.link, connection.within);
        let reply = auth::log_in(link, mechanism, &login.user, &password, within)
            .await
            .map_err(|fault| broken(mechanism, &fault))?;
        match reply.code() {
            235 => {
                let text = format!("{} is logged in by {mechanism}", login.user);
                return Ok((mechanism, Check::ok(ID, Phase::Auth, text).reply(&reply)));
            }
            code => {
                let hint = advice::login(&reply);
                refused = Stop::refused(Phase::Auth, reply).with_hint(hint);
                // It does not take this mechanism after all.
                if code != 504 {
                    return Err(refused);
                }
            }
        }
    }
    Err(refused)
}

fn broken(mechanism: Mechanism, fault: &Fault) -> Stop {
    let stop = Stop::broken(Phase::Auth, fault);
    let text = format!("{} at AUTH {mechanism}", stop.text);
    let stop = match text.contains("proof") {
        true => stop.with_hint(
            "what answers does not know the password: it may stand in for the real server, or is broken",
        ),
        false => stop,
    };
    advice::silent(Stop { text, ..stop })
}
