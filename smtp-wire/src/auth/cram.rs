//! CRAM-MD5 (RFC 2195).

use hmac::{Hmac, Mac as _};
use md5::Md5;

/// The answer to a challenge: the name and a keyed digest.
pub(super) fn answer(user: &str, password: &str, challenge: &[u8]) -> String {
    // A key of any length is one (RFC 2104 §3).
    let digest = Hmac::<Md5>::new_from_slice(password.as_bytes())
        .map(|mut mac| {
            mac.update(challenge);
            mac.finalize().into_bytes()
        })
        .unwrap_or_default();
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    format!("{user} {hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2195 §2.
    #[test]
    fn the_example_of_the_rfc() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        assert_eq!(
            answer("tim", "tanstaaftanstaaf", challenge),
            "tim b913a602c7eda7a495b4e6e7334d3890"
        );
    }
}
