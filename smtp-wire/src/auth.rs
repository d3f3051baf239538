//! The dialogue of AUTH (RFC 4954).

use std::{fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use notifier_core::Secret;

mod cram;
mod scram;

use self::scram::Scram;
use crate::{Fault, Hidden, Link, Reply};

/// The longest command, its line end included (RFC 5321 §4.5.3.1.4).
const LONGEST_COMMAND: usize = 512;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// Name and password at once (RFC 4616).
    Plain,
    /// Name and password, each when asked for.
    Login,
    /// A token of OAuth 2, as Google and Microsoft have it.
    Xoauth2,
    /// A digest of the relay's challenge and the password (RFC 2195).
    CramMd5,
    /// Each proves to the other that it knows the password, which does not go out (RFC 7677). Names
    /// and passwords are taken as they are: those that SASLprep (RFC 4013) would change fail.
    ScramSha256,
}

impl Mechanism {
    /// Its name in the answer to EHLO.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::Xoauth2 => "XOAUTH2",
            Self::CramMd5 => "CRAM-MD5",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a password is a token of OAuth 2 as Google and Microsoft give them: those are good for
/// XOAUTH2 alone.
#[must_use]
pub fn is_token(password: &str) -> bool {
    let is_jwt = || password.starts_with("eyJ") && password.split('.').count() >= 3;
    password.starts_with("ya29.") || is_jwt()
}

/// Logs in by one mechanism; the relay's last answer, 235 where it is content. Each answer may
/// take so long. The password is masked in whatever the relay says from then on.
///
/// # Errors
/// What is wrong with the connection.
pub async fn log_in(
    link: &mut Link,
    mechanism: Mechanism,
    user: &str,
    password: &Secret,
    within: Duration,
) -> Result<Reply, Fault> {
    link.hide(Hidden::new([password]));
    let shown = format!("AUTH {mechanism} ***");
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    let password = password.expose();
    let text = match mechanism {
        Mechanism::Login => {
            let mut reply = link.ask("AUTH LOGIN\r\n", within).await?;
            // Challenges differ in their words and may be empty: the name comes first.
            for text in [user, password] {
                if reply.code() != 334 {
                    return Ok(reply);
                }
                let line = format!("{}\r\n", encode(text));
                reply = link.ask_secret(&line, "***", within).await?;
            }
            return Ok(reply);
        }
        Mechanism::CramMd5 => return cram_md5(link, user, password, within).await,
        Mechanism::ScramSha256 => return scram_sha256(link, user, password, within).await,
        Mechanism::Plain => format!("\0{user}\0{password}"),
        Mechanism::Xoauth2 => format!("user={user}\x01auth=Bearer {password}\x01\x01"),
    };
    let payload = encode(&text);
    let whole = format!("AUTH {mechanism} {payload}\r\n");
    let mut reply = if whole.len() <= LONGEST_COMMAND {
        link.ask_secret(&whole, &shown, within).await?
    } else {
        let asked = link.ask(&format!("AUTH {mechanism}\r\n"), within).await?;
        if asked.code() != 334 {
            return Ok(asked);
        }
        link.ask_secret(&format!("{payload}\r\n"), "***", within)
            .await?
    };
    if reply.code() == 334 {
        reply = match mechanism {
            // A relay that did not take the initial response, and asks again.
            Mechanism::Plain => {
                link.ask_secret(&format!("{payload}\r\n"), "***", within)
                    .await?
            }
            // What is wrong, in JSON: an empty line lets it end in a refusal.
            _ => link.ask("\r\n", within).await?,
        };
    }
    Ok(reply)
}

async fn cram_md5(
    link: &mut Link,
    user: &str,
    password: &str,
    within: Duration,
) -> Result<Reply, Fault> {
    let reply = link.ask("AUTH CRAM-MD5\r\n", within).await?;
    if reply.code() != 334 {
        return Ok(reply);
    }
    let Some(challenge) = decode(&reply) else {
        return Err(cancel(link, "a challenge that is no base64", within).await);
    };
    let answer = cram::answer(user, password, &challenge);
    answer_with(link, &answer, within).await
}

async fn scram_sha256(
    link: &mut Link,
    user: &str,
    password: &str,
    within: Duration,
) -> Result<Reply, Fault> {
    let scram = Scram::new(user).map_err(Fault::Malformed)?;
    let first = format!(
        "AUTH SCRAM-SHA-256 {}\r\n",
        BASE64_STANDARD.encode(scram.first())
    );
    let reply = link
        .ask_secret(&first, "AUTH SCRAM-SHA-256 ***", within)
        .await?;
    if reply.code() != 334 {
        return Ok(reply);
    }
    let answered = match decode(&reply) {
        Some(said) => scram.answer(&said, password),
        None => Err("a challenge that is no base64".to_owned()),
    };
    let (last, proof) = match answered {
        Ok(answered) => answered,
        Err(what) => return Err(cancel(link, &what, within).await),
    };
    let reply = answer_with(link, &last, within).await?;
    if reply.code() == 235 {
        let what = "a 235 without the proof that it knows the password (RFC 5802 §5)";
        return Err(Fault::Malformed(what.to_owned()));
    }
    if reply.code() != 334 {
        return Ok(reply);
    }
    match decode(&reply).map(|said| proof.check(&said)) {
        Some(Ok(())) => link.ask("\r\n", within).await,
        Some(Err(what)) => Err(cancel(link, &what, within).await),
        None => Err(cancel(link, "a proof that is no base64", within).await),
    }
}

/// The octets of a challenge.
fn decode(reply: &Reply) -> Option<Vec<u8>> {
    let text = reply.lines().next()?.trim();
    BASE64_STANDARD.decode(text).ok()
}

async fn answer_with(link: &mut Link, text: &str, within: Duration) -> Result<Reply, Fault> {
    let line = format!("{}\r\n", BASE64_STANDARD.encode(text));
    link.ask_secret(&line, "***", within).await
}

/// Breaks the login off (RFC 4954 §4).
async fn cancel(link: &mut Link, what: &str, within: Duration) -> Fault {
    match link.ask("*\r\n", within).await {
        Ok(_) => Fault::Malformed(what.to_owned()),
        Err(fault) => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_passwords() {
        for (password, is) in [
            ("ya29.a0AfH6", true),
            ("eyJhbGciOi.eyJzdWIi.sig", true),
            ("eyJ", false),
            ("a.b.c", false),
        ] {
            assert_eq!(is_token(password), is, "{password}");
        }
    }
}
