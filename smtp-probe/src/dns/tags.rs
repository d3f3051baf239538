//! Lists of tags, `a=b; c=d`: RFC 6376 section 3.2.

/// The tags in their order, without the spaces around; nothing if it is no such list.
pub(super) fn tags(text: &str) -> Option<Vec<(String, String)>> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for part in text.trim().trim_end_matches(';').split(';') {
        let (name, value) = part.split_once('=')?;
        let name = name.trim();
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        // None may be there twice.
        if !is_name || tags.iter().any(|(n, _)| n == name) {
            return None;
        }
        tags.push((name.to_owned(), value.trim().to_owned()));
    }
    Some(tags)
}

/// The value of one.
pub(super) fn tag<'t>(tags: &'t [(String, String)], name: &str) -> Option<&'t str> {
    let found = tags.iter().find(|(n, _)| n == name);
    found.map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_and_what_is_none() {
        let list = tags("v=DKIM1; k = rsa ;p=AB CD=;").unwrap();
        assert_eq!(tag(&list, "k"), Some("rsa"));
        assert_eq!(tag(&list, "p"), Some("AB CD="));
        assert_eq!(tags("plain"), None);
        assert_eq!(tags("a=1; a=2"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r"([a-zé;= ]{0,3}=?[^;]{0,9};?){0,9}") {
            let _ = tags(&text);
        }
    }
}
