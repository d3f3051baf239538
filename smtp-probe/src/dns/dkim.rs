//! Keys that signatures of mails are checked with: DKIM, RFC 6376 and RFC 8463.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use x509_parser::{
    prelude::FromDer as _,
    public_key::{PublicKey, RSAPublicKey},
    x509::SubjectPublicKeyInfo,
};

use super::{
    ask::{Dns, Fault, printable},
    tags::{tag, tags},
};
use crate::report::{Check, Class, Phase, State};

const ID: &str = "dkim";

/// What a key record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// RSA, and its bits.
    Rsa(usize),
    Ed25519,
    /// `p=` is empty.
    Revoked,
}

/// Looks at the key of one selector.
pub(super) async fn check(dns: &impl Dns, selector: &str, domain: &str) -> Check {
    let name = format!("{selector}._domainkey.{domain}");
    let texts = match dns.texts(&name).await {
        Ok(texts) => texts,
        Err(why) => return Fault::check(why, ID).subject(name),
    };
    let check = |state: State, what: String| {
        Check::crit(ID, Phase::Dns, Class::Dns, format!("{name}: {what}")).state(state)
    };
    let hint = "publish the record that your signer's key tool prints";
    let result = match texts.as_slice() {
        [] => check(
            State::Crit,
            "there is no key, so no signature is valid".to_owned(),
        )
        .hint(hint),
        [text] => match parse(text) {
            Ok((key, is_test)) => judge(&key, is_test, check),
            Err(why) => check(State::Crit, format!("{why}: {}", printable(text))).hint(hint),
        },
        many => {
            let what = format!(
                "there are {} records, and which one counts is not defined",
                many.len()
            );
            check(State::Crit, what).hint("leave one TXT record there")
        }
    };
    let result = match result.state {
        State::Ok => Check {
            class: None,
            ..result
        },
        _ => result,
    };
    result.subject(name)
}

fn judge(key: &Key, is_test: bool, check: impl Fn(State, String) -> Check) -> Check {
    match key {
        Key::Revoked => check(State::Crit, "the key is revoked (p= is empty)".to_owned())
            .hint("sign with a selector whose key is published, or publish this one again"),
        Key::Rsa(bits @ ..1024) => check(
            State::Crit,
            format!("its RSA key has {bits} bits, and receivers ignore those of less than 1024"),
        )
        .hint("make a key of 2048 bits"),
        Key::Rsa(bits @ 1024..2048) => {
            check(State::Warn, format!("its RSA key has {bits} bits only"))
                .hint("make a key of 2048 bits")
        }
        _ if is_test => check(
            State::Warn,
            "t=y says that it is a test, and receivers may ignore its signatures".to_owned(),
        )
        .hint("remove t=y"),
        Key::Rsa(bits) => check(State::Ok, format!("an RSA key of {bits} bits")),
        Key::Ed25519 => check(State::Ok, "an Ed25519 key".to_owned()),
    }
}

/// Reads a key record (RFC 6376 3.6.1), and whether it is a test; what is wrong in it, else.
pub(super) fn parse(text: &str) -> Result<(Key, bool), String> {
    let list = tags(text).ok_or("it is no list of tags")?;
    if let Some(at) = list.iter().position(|(name, _)| name == "v")
        && (at != 0 || list[at].1 != "DKIM1")
    {
        return Err("its v= is not DKIM1, or not the first".to_owned());
    }
    let p = tag(&list, "p").ok_or("it has no p=")?;
    let is_test = tag(&list, "t").is_some_and(|t| t.split(':').any(|f| f.trim() == "y"));
    if let Some(services) = tag(&list, "s")
        && !services
            .split(':')
            .any(|s| ["*", "email"].contains(&s.trim()))
    {
        return Err("its s= is not for mail".to_owned());
    }
    if let Some(hashes) = tag(&list, "h")
        && !hashes.split(':').any(|h| h.trim() == "sha256")
    {
        return Err("its h= lacks sha256".to_owned());
    }
    if p.is_empty() {
        return Ok((Key::Revoked, is_test));
    }
    let packed: String = p.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD.decode(packed).map_err(|_| "its p= is no base64")?;
    let key = match tag(&list, "k").unwrap_or("rsa") {
        "rsa" => Key::Rsa(rsa_bits(&der).ok_or("its p= is no RSA key")?),
        "ed25519" if der.len() == 32 => Key::Ed25519,
        "ed25519" => {
            return Err(format!(
                "its p= has {} octets, and an Ed25519 key has 32",
                der.len()
            ));
        }
        _ => return Err("its k= is no kind of key that receivers know".to_owned()),
    };
    Ok((key, is_test))
}

/// The bits of an RSA key, as all publish it (SubjectPublicKeyInfo) or as RFC 6376 3.6.1 has it (RSAPublicKey).
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let bits = |key: &RSAPublicKey<'_>| {
        let first = key.modulus.iter().position(|b| *b != 0)?;
        let modulus = &key.modulus[first..];
        Some(modulus.len() * 8 - modulus[0].leading_zeros() as usize)
    };
    if let Ok(([], key)) = RSAPublicKey::from_der(der) {
        return bits(&key);
    }
    let ([], info) = SubjectPublicKeyInfo::from_der(der).ok()? else {
        return None;
    };
    match info.parsed().ok()? {
        PublicKey::RSA(key) => bits(&key),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::ask::Book, *};

    /// SubjectPublicKeyInfo of RSA with a modulus of so many octets; it need not be a product of two.
    fn rsa(octets: usize, is_bare: bool) -> String {
        fn wrap(tag: u8, inner: &[u8]) -> Vec<u8> {
            let mut out = vec![tag];
            match inner.len() {
                n @ ..128 => out.push(n as u8),
                n => out.extend([0x82, (n >> 8) as u8, (n & 255) as u8]),
            }
            out.extend(inner);
            out
        }
        let modulus = [vec![0], vec![0xc1; octets]].concat();
        let key = wrap(0x30, &[wrap(2, &modulus), wrap(2, &[1, 0, 1])].concat());
        if is_bare {
            return STANDARD.encode(key);
        }
        let oid = [
            0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0,
        ];
        let bits = wrap(3, &[vec![0], key].concat());
        STANDARD.encode(wrap(0x30, &[oid.to_vec(), bits].concat()))
    }

    async fn state(text: &str) -> (State, String) {
        let book = Book::default().txt("s1._domainkey.corp.example", text);
        let check = check(&book, "s1", "corp.example").await;
        (check.state, check.text)
    }

    #[tokio::test]
    async fn keys_by_their_strength() {
        for (octets, expected) in [(64, State::Crit), (128, State::Warn), (256, State::Ok)] {
            for is_bare in [false, true] {
                let key = rsa(octets, is_bare);
                let (state, text) = state(&format!("v=DKIM1; k=rsa; p={key}")).await;
                assert_eq!(state, expected, "{text}");
                assert!(text.contains(&format!("{} bits", octets * 8)), "{text}");
            }
        }
        let ed = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        assert_eq!(state(ed).await.0, State::Ok);
        assert_eq!(state(&format!("{ed}; t=y")).await.0, State::Warn);
        for broken in [
            "v=DKIM1; p=",
            "v=DKIM2; p=",
            "k=rsa",
            "p=!",
            "p=AAAA",
            "v=DKIM1; k=ed25519; p=AAAA",
            "hello",
        ] {
            assert_eq!(state(broken).await.0, State::Crit, "{broken}");
        }
    }

    #[tokio::test]
    async fn no_key_and_no_answer() {
        let none = check(&Book::default(), "s1", "corp.example").await;
        assert_eq!(none.state, State::Crit);
        let name = "s1._domainkey.corp.example";
        let failing = Book::default().fails(name, super::super::ask::Kind::Txt);
        assert_eq!(
            check(&failing, "s1", "corp.example").await.state,
            State::Unknown
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r"(v=DKIM1; ?)?((k=(rsa|ed25519)|p=[A-Za-z0-9+/= ]{0,200}|t=y|[a-z]=.{0,9}); ?){0,5}|\PC{0,99}") {
            let _ = parse(&text);
        }
    }
}
