use crate::http::{Reply, Request};

/// What a server asks of its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Basic(String),
    Bearer(String),
    Token(String),
}

impl Auth {
    /// HTTP Basic: a principal and its secret.
    #[must_use]
    pub fn basic(principal: &str, secret: &str) -> Self {
        Self(Kind::Basic(base64(
            format!("{principal}:{secret}").as_bytes(),
        )))
    }

    /// `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self(Kind::Bearer(token.into()))
    }

    /// `Authorization: token=<token>`, as DC/OS wants it.
    #[must_use]
    pub fn token(token: impl Into<String>) -> Self {
        Self(Kind::Token(token.into()))
    }

    fn expected(&self) -> String {
        match &self.0 {
            Kind::Basic(credentials) => format!("Basic {credentials}"),
            Kind::Bearer(token) => format!("Bearer {token}"),
            Kind::Token(token) => format!("token={token}"),
        }
    }

    /// The refusal of a request, or `None` if it may pass.
    pub(crate) fn refusal(&self, request: &Request, realm: &str) -> Option<Reply> {
        if request.header("Authorization") == Some(&self.expected()) {
            return None;
        }
        let scheme = if matches!(self.0, Kind::Basic(_)) {
            "Basic"
        } else {
            "Bearer"
        };
        let challenge = format!("{scheme} realm=\"{realm}\"");
        Some(Reply::text(401, "Unauthorized\n").header("WWW-Authenticate", challenge))
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |sum, byte| sum << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let six = (group >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= chunk.len() {
                char::from(DIGITS[six])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
