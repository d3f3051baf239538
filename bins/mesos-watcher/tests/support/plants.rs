//! Secrets that are planted, and looked for where they are not to be.

use std::fmt::Write;

/// How a secret may be written.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    const A: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // In base64 at each of the three offsets, without what depends on the neighbours.
    let json = serde_json::Value::from(secret).to_string();
    let markup = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut out = vec![
        json[1..json.len() - 1].to_owned(),
        markup,
        secret.to_owned(),
        secret.bytes().fold(String::new(), |mut s, b| {
            if b.is_ascii_alphanumeric() {
                s.push(char::from(b))
            } else {
                let _ = write!(s, "%{b:02X}");
            }
            s
        }),
    ];
    for offset in 0..3usize {
        let bytes: Vec<u8> = std::iter::repeat_n(0, offset)
            .chain(secret.bytes())
            .collect();
        let whole = &bytes[..bytes.len() / 3 * 3];
        let text: String = whole
            .chunks(3)
            .flat_map(|c| {
                let n = u32::from(c[0]) << 16 | u32::from(c[1]) << 8 | u32::from(c[2]);
                (0..4).map(move |i| char::from(A[(n >> (18 - 6 * i)) as usize & 63]))
            })
            .skip(if offset == 0 { 0 } else { 4 })
            .collect();
        out.push(text);
    }
    out
}

/// What was planted.
#[derive(Default)]
pub(crate) struct Plants(pub(crate) Vec<String>);

impl Plants {
    pub(crate) fn plant(&mut self, kind: &str) -> String {
        let secret = format!("S3cr3t{kind}{:03}x9Zq", self.0.len());
        self.0.push(secret.clone());
        secret
    }

    pub(crate) fn assert_absent(&self, place: &str, text: &str) {
        for secret in &self.0 {
            for form in forms(secret) {
                if let Some(at) = text.find(&form) {
                    let from = text[..at].rfind('\n').map_or(0, |n| n + 1);
                    panic!(
                        "{secret} is in {place}: {}",
                        &text[from..(at + 200).min(text.len())]
                    );
                }
            }
        }
    }
}
