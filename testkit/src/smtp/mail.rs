/// A mail that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedMail {
    /// The queue id that the reply named.
    pub id: String,
    /// The sender's address without its angle brackets; empty for the null sender.
    pub from: String,
    /// What followed the address in MAIL, as it came: `SIZE=120 BODY=8BITMIME`.
    pub from_parameters: String,
    /// The addresses that were accepted, each with what followed it in RCPT.
    pub recipients: Vec<(String, String)>,
    /// The message, without the dots that were added for its transfer.
    pub data: Vec<u8>,
    /// Whether it came by TLS.
    pub tls: bool,
    /// User and password (or token) of the login, if there was one.
    pub login: Option<(String, String)>,
    /// The name given by EHLO or HELO.
    pub helo: String,
}

impl ReceivedMail {
    /// The addresses that were accepted.
    #[must_use]
    pub fn to(&self) -> Vec<&str> {
        self.recipients.iter().map(|(to, _)| to.as_str()).collect()
    }

    /// The message as text, what is not UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    /// The first header field of this name, unfolded and not decoded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let head = head.replace("\r\n ", " ").replace("\r\n\t", "\t");
        head.split("\r\n").find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ReceivedMail;

    #[test]
    fn headers_are_unfolded_and_those_of_the_body_are_none() {
        let mail = ReceivedMail {
            id: "1".to_owned(),
            from: String::new(),
            from_parameters: String::new(),
            recipients: vec![("a@b".to_owned(), "NOTIFY=NEVER".to_owned())],
            data: b"To: a@b,\r\n c@d\r\nsubject:x\r\n\r\nDate: none\r\n".to_vec(),
            tls: false,
            login: None,
            helo: "h".to_owned(),
        };
        assert_eq!(mail.header("TO").as_deref(), Some("a@b, c@d"));
        assert_eq!(mail.header("Subject").as_deref(), Some("x"));
        assert_eq!(mail.header("Date"), None);
        assert_eq!(mail.to(), ["a@b"]);
    }
}
