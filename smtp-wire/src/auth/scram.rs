//! SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.

use std::num::NonZeroU32;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    digest, hmac, pbkdf2,
    rand::{SecureRandom as _, SystemRandom},
};

/// The most rounds that a relay may ask for: about a quarter of a second.
const MOST_ROUNDS: u32 = 600_000;
/// The longest salt, in octets.
const LONGEST_SALT: usize = 1024;

/// Our side of a login, before the relay said anything.
pub(super) struct Scram {
    /// The first message without the header `n,,`.
    bare: String,
    nonce: String,
}

/// What the relay has to say to prove that it knows the password.
pub(super) struct Proof(Vec<u8>);

impl Scram {
    /// One with a new nonce.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn new(user: &str) -> Result<Self, String> {
        let mut bytes = [0; 18];
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_err(|_| "no nonce: the system has no random numbers".to_owned())?;
        Ok(Self::with_nonce(user, BASE64_STANDARD.encode(bytes)))
    }

    fn with_nonce(user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self {
            bare: format!("n={user},r={nonce}"),
            nonce,
        }
    }

    /// The first message.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The last message, and what is to come back.
    ///
    /// # Errors
    /// What is wrong with what the relay said.
    pub(super) fn answer(&self, said: &[u8], password: &str) -> Result<(String, Proof), String> {
        let said =
            std::str::from_utf8(said).map_err(|_| "a challenge that is no text".to_owned())?;
        let mut fields = said.split(',');
        let mut field = |name: &str| {
            let value = fields.next().and_then(|f| f.strip_prefix(name));
            value.ok_or_else(|| format!("a challenge without {name}"))
        };
        let (nonce, salt, rounds) = (field("r=")?, field("s=")?, field("i=")?);
        let is_ours = nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce);
        if !is_ours {
            return Err("a challenge to somebody else's nonce".to_owned());
        }
        let salt = BASE64_STANDARD.decode(salt).unwrap_or_default();
        if salt.is_empty() || salt.len() > LONGEST_SALT {
            return Err("a challenge without a proper salt".to_owned());
        }
        let rounds: NonZeroU32 = rounds
            .parse()
            .map_err(|_| "a challenge without a number of rounds".to_owned())?;
        if rounds.get() > MOST_ROUNDS {
            return Err(format!(
                "a challenge of {rounds} rounds, more than {MOST_ROUNDS}"
            ));
        }
        // `biws` is the header `n,,` in base64.
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{said},{last}", self.bare);
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, rounds, &salt, password.as_bytes(), &mut salted);
        let client_key = mac(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let signature = mac(stored_key.as_ref(), all.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = mac(&salted, b"Server Key");
        Ok((
            format!("{last},p={}", BASE64_STANDARD.encode(proof)),
            Proof(mac(&server_key, all.as_bytes())),
        ))
    }
}

impl Proof {
    /// Whether this is it.
    ///
    /// # Errors
    /// It is not, or it is the relay's refusal.
    pub(super) fn check(&self, said: &[u8]) -> Result<(), String> {
        let said = std::str::from_utf8(said).unwrap_or_default();
        let first = said.split(',').next().unwrap_or_default();
        if first.starts_with("e=") {
            return Err("a refusal in place of a proof".to_owned());
        }
        let signature = first.strip_prefix("v=").unwrap_or_default();
        let signature = BASE64_STANDARD.decode(signature).unwrap_or_default();
        match signature == self.0 {
            true => Ok(()),
            false => Err("a wrong proof: it does not know the password".to_owned()),
        }
    }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SAID: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn ours() -> Scram {
        Scram::with_nonce("user", NONCE.to_owned())
    }

    /// RFC 7677 §3.
    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(ours().first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (last, proof) = ours().answer(SAID.as_bytes(), "pencil").unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let good = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(proof.check(good), Ok(()));
        for bad in [
            &b"v=AAAA"[..],
            b"v=",
            b"",
            b"e=invalid-proof",
            b"x=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ] {
            assert!(proof.check(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn challenges_that_are_none_are_refused() {
        for (said, why) in [
            ("r=other,s=W22Z,i=4096", "nonce"),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096", "nonce"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "salt"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096", "salt"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=0", "rounds"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=-1", "rounds"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4000000000", "rounds"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=600001", "rounds"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z", "i="),
            // An extension that must be known (RFC 5802 §5.1).
            ("m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4096", "r="),
            ("", "r="),
        ] {
            let e = ours().answer(said.as_bytes(), "pencil").err();
            let e = e.unwrap_or_default();
            assert!(e.contains(why), "{said}: {e}");
        }
        assert!(ours().answer(b"\xff", "pencil").is_err());
    }

    #[test]
    fn names_are_quoted_and_nonces_differ() {
        assert_eq!(
            Scram::with_nonce("a=b,c", "x".to_owned()).first(),
            "n,,n=a=3Db=2Cc,r=x"
        );
        let (one, other) = (Scram::new("u").unwrap(), Scram::new("u").unwrap());
        assert_ne!(one.nonce, other.nonce);
        assert_eq!(one.nonce.len(), 24);
    }
}
