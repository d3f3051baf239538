//! The dialogue of AUTH (RFC 4954).

use std::{fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use notifier_core::Secret;

use crate::{Fault, Link, Reply};

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
}

impl Mechanism {
    /// Its name in the answer to EHLO.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::Xoauth2 => "XOAUTH2",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Logs in by one mechanism; the relay's last answer, 235 where it is content. Each answer may
/// take so long.
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
