//! Logins in which the password does not go out: CRAM-MD5 (RFC 2195), SCRAM-SHA-256 (RFC 7677).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// What CRAM-MD5 is asked with.
pub(crate) const CHALLENGE: &[u8] = b"<1896.697170952@relay.example>";

/// Ours is put behind the client's nonce.
const NONCE: &str = "3rfcNHYJY1ZVvWVs7j";
const SALT: &[u8] = b"a salt of 16 oct";
const ROUNDS: u32 = 4096;

type Login = (String, String);

/// Where a login by SCRAM is.
pub(crate) enum Step {
    Say(String),
    Done(Login),
    Wrong,
}

/// The login, if this is its answer to the challenge.
pub(crate) fn cram(answer: &[u8], login: Option<&Login>) -> Option<Login> {
    let login = login?;
    let mut mac = Hmac::<Md5>::new_from_slice(login.1.as_bytes()).ok()?;
    mac.update(CHALLENGE);
    let digest: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let right = format!("{} {digest}", login.0);
    (answer == right.as_bytes()).then(|| login.clone())
}

/// What comes after these messages of the client.
pub(crate) fn scram(said: &[Vec<u8>], login: Option<&Login>) -> Step {
    next(said, login).unwrap_or(Step::Wrong)
}

fn next(said: &[Vec<u8>], login: Option<&Login>) -> Option<Step> {
    let login = login?;
    let first = std::str::from_utf8(said.first()?).ok()?;
    let bare = first.strip_prefix("n,,")?;
    let (user, nonce) = bare.strip_prefix("n=")?.split_once(",r=")?;
    let nonce = format!("{nonce}{NONCE}");
    let challenge = format!("r={nonce},s={},i={ROUNDS}", STANDARD.encode(SALT));
    let Some(last) = said.get(1) else {
        return Some(Step::Say(challenge));
    };
    if user.replace("=2C", ",").replace("=3D", "=") != login.0 {
        return None;
    }
    let (without, proof) = std::str::from_utf8(last).ok()?.split_once(",p=")?;
    if without != format!("c=biws,r={nonce}") {
        return None;
    }
    let salted = salted(login.1.as_bytes())?;
    let all = format!("{bare},{challenge},{without}");
    let client_key = mac(&salted, b"Client Key")?;
    let signature = mac(&Sha256::digest(&client_key), all.as_bytes())?;
    let right: Vec<u8> = client_key
        .iter()
        .zip(signature)
        .map(|(a, b)| a ^ b)
        .collect();
    if STANDARD.decode(proof).ok()? != right {
        return None;
    }
    let ours = mac(&mac(&salted, b"Server Key")?, all.as_bytes())?;
    Some(match said.get(2) {
        None => Step::Say(format!("v={}", STANDARD.encode(ours))),
        Some(_) => Step::Done(login.clone()),
    })
}

/// `Hi` of RFC 5802 §2.2, of one block.
fn salted(password: &[u8]) -> Option<Vec<u8>> {
    let mut block = mac(password, &[SALT, &[0, 0, 0, 1]].concat())?;
    let mut sum = block.clone();
    for _ in 1..ROUNDS {
        block = mac(password, &block)?;
        for (all, one) in sum.iter_mut().zip(&block) {
            *all ^= one;
        }
    }
    Some(sum)
}

fn mac(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac.finalize().into_bytes().to_vec())
}
