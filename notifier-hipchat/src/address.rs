//! Where a message goes, and whether the token may go there.

use notifier_core::{BackendSettings, Error, Origin, Result, Settings};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What one segment of a path takes as it is, as Go's `url.PathEscape` has it.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Where the messages of one instance go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The whole address of the room's notifications.
    pub(crate) url: String,
    /// It leads to a host that only a task's label names.
    pub(crate) guest: bool,
}

impl Address {
    /// The address that these settings say. `own` are those without any label.
    ///
    /// A token that is not from a label goes only to the host that is set without labels:
    /// a task must not have it sent to a host of its choice.
    pub(crate) fn read(settings: &Settings, own: &BackendSettings) -> Result<Self> {
        let base = base(settings.require("base_url")?)?;
        let room = room(settings.require("room")?)?;
        settings.require("token")?;
        let from_label = settings.origin("base_url") == Some(Origin::Label);
        let foreign = from_label
            && own
                .instance(settings.instance())
                .get("base_url")
                .and_then(|url| Url::parse(url).ok())
                .is_none_or(|known| known.origin() != base.origin());
        if foreign && settings.origin("token") != Some(Origin::Label) {
            return Err(Error::config(format!(
                "hipchat, instance {}: the label's base_url leads to another host than hipchat.base_url, and the configured token does not go there; give the task a token label of its own",
                settings.instance()
            )));
        }
        Ok(Self {
            url: format!("{base}room/{room}/notification"),
            guest: foreign,
        })
    }
}

/// Checks every address that is set without labels.
pub(crate) fn check_all(settings: &BackendSettings) -> Result<()> {
    settings
        .all_values("base_url")
        .iter()
        .try_for_each(|url| base(url).map(|_| ()))
}

/// The root of the API, with a slash at its end. A host alone gets `/v2/`.
fn base(text: &str) -> Result<Url> {
    let wrong = |what: &str| Error::config(format!("hipchat.base_url: {what}"));
    let mut url = Url::parse(text).map_err(|e| {
        wrong("it is not a URL, such as https://hipchat.example/v2/").with_source(e)
    })?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it has a user or password in it; hipchat takes a token only",
        ));
    }
    // Nothing may stand behind the path.
    url.set_query(None);
    url.set_fragment(None);
    let path = match url.path().trim_end_matches('/') {
        "" => "/v2/".to_owned(),
        path => format!("{path}/"),
    };
    url.set_path(&path);
    Ok(url)
}

/// The room as one segment of a path.
fn room(name: &str) -> Result<String> {
    // Read as "here" and "one up" however they are written.
    if matches!(name, "." | "..") {
        return Err(Error::config(format!(
            "hipchat.room: {name:?} cannot be a room; use its number"
        )));
    }
    Ok(utf8_percent_encode(name, SEGMENT).to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use notifier_core::{ErrorKind, LabelGrammar};
    use proptest::prelude::*;

    use super::*;
    use crate::OPTIONS;

    fn address(set: &[(&str, &str)], labels: &[(&str, &str)]) -> Result<Address> {
        let mut own = BackendSettings::new(OPTIONS);
        for (key, value) in set {
            own.set(Origin::Flag, key, value).unwrap();
        }
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(k, v)| (format!("complainer_hipchat_{k}"), (*v).to_owned()))
            .collect();
        let grammar = LabelGrammar::default();
        Address::read(&own.resolve(&grammar.scope(&labels), "default"), &own)
    }

    #[test]
    fn the_base_is_taken_with_and_without_its_version() {
        for (base, url) in [
            ("http://h/v2/", "http://h/v2/room/a/notification"),
            ("http://h/v2", "http://h/v2/room/a/notification"),
            ("http://h/", "http://h/v2/room/a/notification"),
            ("http://h:81", "http://h:81/v2/room/a/notification"),
            ("HTTP://H//", "http://h/v2/room/a/notification"),
            (
                "http://h/other/v2//",
                "http://h/other/v2/room/a/notification",
            ),
            ("http://h/chat/", "http://h/chat/room/a/notification"),
            ("http://h/v2/?x=1#y", "http://h/v2/room/a/notification"),
        ] {
            let set = [("base_url", base), ("token", "T"), ("room", "a")];
            let found = address(&set, &[]).unwrap();
            assert_eq!((found.url.as_str(), found.guest), (url, false), "{base}");
        }
    }

    #[test]
    fn a_room_is_one_segment() {
        for (room, path) in [
            ("room two", "room%20two"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("日本", "%E6%97%A5%E6%9C%AC"),
            ("$&+=:@-_.~", "$&+=:@-_.~"),
            (";,%2e%2e", "%3B%2C%252e%252e"),
            ("a\nb", "a%0Ab"),
        ] {
            let found = address(&[("token", "T"), ("room", room)], &[]).unwrap();
            assert_eq!(
                found.url,
                format!("https://api.hipchat.com/v2/room/{path}/notification")
            );
            assert_eq!(Url::parse(&found.url).unwrap().as_str(), found.url);
        }
        for room in [".", ".."] {
            let e = address(&[("token", "T"), ("room", room)], &[]).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Config);
        }
    }

    #[test]
    fn the_configured_token_goes_to_the_configured_host_only() {
        let set = [
            ("base_url", "http://h.example/v2/"),
            ("token", "T"),
            ("room", "a"),
        ];
        // The same host in other words.
        for base in ["http://H.example:80/other/v2", "http://h.example"] {
            assert!(
                !address(&set, &[("base_url", base)]).unwrap().guest,
                "{base}"
            );
        }
        for base in [
            "https://h.example/v2/",
            "http://h.example:81/v2/",
            "http://evil.example/v2/",
            "http://h.example.evil.example/v2/",
            "http://h.example@evil.example/v2/",
        ] {
            let e = address(&set, &[("base_url", base)]).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Config, "{base}");
            assert!(!e.is_retryable());
        }
        let e = address(&set, &[("base_url", "http://evil.example/v2/")]).unwrap_err();
        assert!(
            e.to_string()
                .contains("the configured token does not go there"),
            "{e}"
        );
        // With a token of its own a task may name a host of its own, which is guarded.
        let own = [("base_url", "http://else.example"), ("token", "T2")];
        assert!(address(&set, &own).unwrap().guest);
        // A token alone goes to the configured host.
        assert!(!address(&set, &[("token", "T2")]).unwrap().guest);
        // Nothing is configured to compare with.
        let none = [("base_url", ""), ("token", "T"), ("room", "a")];
        assert!(address(&none, &[("base_url", "http://h.example")]).is_err());
    }

    #[test]
    fn a_base_with_a_password_is_refused_and_not_shown() {
        let set = [
            ("base_url", "http://u:s3cret@h/v2/"),
            ("token", "T"),
            ("room", "a"),
        ];
        let e = address(&set, &[]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Config);
        assert!(!format!("{e:?} {}", e.report()).contains("s3cret"));
    }

    proptest! {
        #[test]
        fn no_room_leaves_its_segment(name in "\\PC{1,30}|[./%\\\\?#;a]{1,8}") {
            if let Ok(found) = address(&[("token", "T"), ("room", &name)], &[]) {
                let url = Url::parse(&found.url).unwrap();
                let parts: Vec<&str> = url.path_segments().unwrap().collect();
                prop_assert_eq!(parts.len(), 4, "{}", url);
                prop_assert_eq!((parts[0], parts[1], parts[3]), ("v2", "room", "notification"));
                prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
