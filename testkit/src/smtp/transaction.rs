//! MAIL, RCPT and the message they are for.

use super::script::Script;

/// A mail on its way: from MAIL to the dot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transaction {
    pub(crate) from: String,
    pub(crate) from_parameters: String,
    pub(crate) recipients: Vec<(String, String)>,
}

/// The address and the parameters of `FROM:<a@b> SIZE=1`, behind its keyword.
pub(crate) fn path(argument: &str, keyword: &str) -> Option<(String, String)> {
    let rest = argument.get(keyword.len()..)?;
    if !argument[..keyword.len()].eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest.strip_prefix('<')?;
    // A quoted local part may hold an angle bracket.
    let mut quoted = false;
    let mut escaped = false;
    let end = rest.char_indices().find_map(|(at, c)| {
        let ends = c == '>' && !quoted;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        ends.then_some(at)
    })?;
    let (address, parameters) = (&rest[..end], &rest[end + 1..]);
    let parted = parameters.is_empty() || parameters.starts_with(' ');
    parted.then(|| (address.to_owned(), parameters.trim().to_owned()))
}

/// Why parameters of MAIL or RCPT are refused, in view of what was offered.
pub(crate) fn refusal(parameters: &str, offered: &[String], script: &Script) -> Option<String> {
    let has = |extension: &str| {
        let mut words = offered.iter().filter_map(|line| line.split(' ').next());
        words.any(|word| word.eq_ignore_ascii_case(extension))
    };
    for parameter in parameters.split(' ').filter(|p| !p.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let known = match name.to_ascii_uppercase().as_str() {
            "SIZE" => has("SIZE"),
            "BODY" => has("8BITMIME") && matches!(value, "7BIT" | "8BITMIME"),
            "SMTPUTF8" => has("SMTPUTF8") && value.is_empty(),
            "RET" | "ENVID" | "NOTIFY" | "ORCPT" => has("DSN"),
            "AUTH" => has("AUTH"),
            _ => false,
        };
        if !known {
            return Some(format!("555 5.5.4 Unsupported option: {parameter}"));
        }
        if name.eq_ignore_ascii_case("SIZE") {
            let Ok(size) = value.parse::<u64>() else {
                return Some("501 5.5.4 Bad message size syntax".to_owned());
            };
            if script.size > 0 && size > script.size {
                return Some(too_large().to_owned());
            }
        }
    }
    None
}

pub(crate) fn too_large() -> &'static str {
    "552 5.3.4 Message size exceeds fixed limit"
}

impl Transaction {
    fn says(&self, parameter: &str) -> bool {
        let mut all = self.from_parameters.split(' ');
        all.any(|one| one.eq_ignore_ascii_case(parameter))
    }

    /// What is wrong with the addresses, one line each.
    pub(crate) fn envelope_fault(&self, address: &str) -> Option<String> {
        (!address.is_ascii() && !self.says("SMTPUTF8"))
            .then(|| format!("an address that is not ASCII without SMTPUTF8: {address}"))
    }

    /// What is wrong with the octets of a message, one line each.
    pub(crate) fn message_faults(&self, data: &[u8]) -> Vec<String> {
        let mut faults = Vec::new();
        if data.is_ascii() {
            return faults;
        }
        if !self.says("BODY=8BITMIME") {
            faults.push("8-bit octets in a message without BODY=8BITMIME".to_owned());
        }
        let head = data
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .map_or(data, |end| &data[..end]);
        if !head.is_ascii() && !self.says("SMTPUTF8") {
            faults.push("8-bit octets in a header without SMTPUTF8".to_owned());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::{Transaction, path, refusal};
    use crate::smtp::Script;

    #[test]
    fn paths_are_taken_apart() {
        let read = |argument| path(argument, "FROM:");
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(read("from:<a@b> SIZE=1 X"), pair("a@b", "SIZE=1 X"));
        assert_eq!(read("FROM:<>"), pair("", ""));
        assert_eq!(read(r#"FROM:<"a>\"b"@c>"#), pair(r#""a>\"b"@c"#, ""));
        for bad in [
            "FROM:a@b",
            "FROM: <a@b>",
            "FROM:<a@b",
            "FROM:<a@b>X",
            "TO:<a>",
            "F",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_need_their_extension() {
        let offered = ["SIZE 10".to_owned(), "8BITMIME".to_owned()];
        let script = Script::new().size(10);
        let code = |parameters| {
            refusal(parameters, &offered, &script).map(|text| text[..9].trim_end().to_owned())
        };
        assert_eq!(code("SIZE=10 body=8BITMIME"), None);
        assert_eq!(code("SIZE=11").as_deref(), Some("552 5.3.4"));
        assert_eq!(code("SIZE=x").as_deref(), Some("501 5.5.4"));
        for unknown in ["SMTPUTF8", "RET=HDRS", "BODY=9BIT", "AUTH=<>", "X=1"] {
            assert_eq!(code(unknown).as_deref(), Some("555 5.5.4"), "{unknown}");
        }
    }

    #[test]
    fn eight_bits_need_leave() {
        let with = |parameters: &str| Transaction {
            from_parameters: parameters.to_owned(),
            ..Transaction::default()
        };
        let body = "A: b\r\n\r\n\u{e9}\r\n".as_bytes();
        let head = "A: \u{e9}\r\n\r\n".as_bytes();
        assert_eq!(with("").message_faults(b"A: b\r\n\r\n"), [""; 0]);
        assert_eq!(with("").message_faults(body).len(), 1);
        assert_eq!(with("BODY=8BITMIME").message_faults(body), [""; 0]);
        assert_eq!(with("BODY=8BITMIME").message_faults(head).len(), 1);
        assert_eq!(with("BODY=8BITMIME SMTPUTF8").message_faults(head), [""; 0]);
        assert!(with("SIZE=1").envelope_fault("\u{e9}@x").is_some());
        assert!(with("SMTPUTF8").envelope_fault("\u{e9}@x").is_none());
    }
}
