//! The mechanisms of AUTH (RFC 4954): what a client's tokens say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{digests, script::Script};

/// `Username:` and `Password:` in base64, the challenges of LOGIN.
const LOGIN_CHALLENGES: [&str; 2] = ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"];

const BAD_TOKEN: &str = "501 5.5.2 Error: authentication failed: malformed response";

const WRONG_LOGIN: &str = "535 5.7.8 Error: authentication failed: authentication failure";

/// Undoes base64; `=` alone is nothing (RFC 4954 §4).
fn decode(token: &str) -> Option<Vec<u8>> {
    if token == "=" {
        return Some(Vec::new());
    }
    STANDARD.decode(token).ok()
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// User and password of a PLAIN token: `[authzid] NUL user NUL password` (RFC 4616).
fn plain(token: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(token).ok()?;
    let mut parts = text.split('\0');
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && !user.is_empty();
    whole.then(|| (user.to_owned(), password.to_owned()))
}

/// User and token of XOAUTH2: `user=NAME ^A auth=Bearer TOKEN ^A ^A`.
fn xoauth2(token: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(token).ok()?;
    let fields = text.strip_suffix("\x01\x01")?;
    let (user, bearer) = fields.split_once('\x01')?;
    let user = user.strip_prefix("user=")?;
    let bearer = bearer.strip_prefix("auth=Bearer ")?;
    Some((user.to_owned(), bearer.to_owned()))
}

/// What the tokens of a login lead to.
pub(crate) enum Judged {
    Challenge(String),
    Login((String, String)),
    Refused(&'static str),
}

pub(crate) fn judge(mechanism: &str, tokens: &[String], script: &Script) -> Judged {
    let decoded: Option<Vec<Vec<u8>>> = tokens.iter().map(|one| decode(one)).collect();
    let Some(decoded) = decoded else {
        return Judged::Refused(BAD_TOKEN);
    };
    let login = match (mechanism, decoded.as_slice()) {
        ("LOGIN", tokens) if tokens.len() < 2 => {
            return Judged::Challenge(LOGIN_CHALLENGES[tokens.len()].to_owned());
        }
        ("CRAM-MD5", []) => {
            return Judged::Challenge(format!("334 {}", encode(digests::CHALLENGE)));
        }
        ("CRAM-MD5", [answer, ..]) => {
            return digests::cram(answer, script.login.as_ref())
                .map_or(Judged::Refused(WRONG_LOGIN), Judged::Login);
        }
        ("SCRAM-SHA-256", [_, ..]) => {
            return match digests::scram(&decoded, script.login.as_ref()) {
                digests::Step::Say(text) => {
                    Judged::Challenge(format!("334 {}", encode(text.as_bytes())))
                }
                digests::Step::Done(login) => Judged::Login(login),
                digests::Step::Wrong => Judged::Refused(WRONG_LOGIN),
            };
        }
        ("LOGIN", [user, password, ..]) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Some((text(user), text(password)))
        }
        (_, []) => return Judged::Challenge("334 ".to_owned()),
        ("PLAIN", [token, ..]) => plain(token),
        ("XOAUTH2", [token]) => xoauth2(token),
        // The client's empty answer to the reason it was told.
        ("XOAUTH2", _) => return Judged::Refused(WRONG_LOGIN),
        _ => return Judged::Refused("504 5.5.4 Unrecognized authentication type"),
    };
    let Some(login) = login else {
        return Judged::Refused(BAD_TOKEN);
    };
    if Some(&login) == script.login.as_ref() {
        return Judged::Login(login);
    }
    if mechanism == "XOAUTH2" {
        let reason = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;
        return Judged::Challenge(format!("334 {}", encode(reason.as_bytes())));
    }
    Judged::Refused(WRONG_LOGIN)
}

#[cfg(test)]
mod tests {
    use super::{decode, plain, xoauth2};

    #[test]
    fn tokens_say_who_and_by_what() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(plain(b"\0u\0p"), pair("u", "p"));
        assert_eq!(plain(b"as\0u\0"), pair("u", ""));
        for bad in [&b"u\0p"[..], b"\0\0p", b"\0u\0p\0", b"\0\xff\0p"] {
            assert_eq!(plain(bad), None);
        }
        assert_eq!(
            xoauth2(b"user=u@x\x01auth=Bearer t\x01\x01"),
            pair("u@x", "t")
        );
        assert_eq!(xoauth2(b"user=u@x\x01auth=Bearer t\x01"), None);
        assert_eq!(decode("="), Some(Vec::new()));
        assert_eq!(decode("no base64"), None);
    }
}
