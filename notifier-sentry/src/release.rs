//! Names that Sentry is picky about: releases and environments.
//!
//! Rules as of docs.sentry.io (releases, "bind the version") and develop.sentry.dev (event
//! payloads), read 2026. Both lengths count bytes: so does sentry-relay 0.10.1.
//! What is cut has no mark at its end: it would be part of the name.

use crate::limits::{Cuts, ENVIRONMENT, RELEASE};

/// Digits of a digest that stand for it.
const DIGEST: usize = 12;

/// A release as Sentry takes it: no slashes, no control characters, neither `.` nor `..` nor
/// `latest`, at most 200 bytes. `None`: nothing is left.
pub(crate) fn release(text: &str, cuts: &mut Cuts) -> Option<String> {
    let name: String = text
        .trim()
        .chars()
        .map(|c| match c {
            '/' | '\\' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    let name = cuts.bytes("release", &name, RELEASE).trim();
    let reserved = matches!(name, "" | "." | "..") || name.eq_ignore_ascii_case("latest");
    (!reserved).then(|| name.to_owned())
}

/// An environment as Sentry takes it: no space, no slash, not `None`, at most 64 bytes.
/// `None`: nothing is left.
pub(crate) fn environment(text: &str, cuts: &mut Cuts) -> Option<String> {
    let name: String = text
        .trim()
        .chars()
        .map(|c| match c {
            '/' | '\\' => '-',
            c if c.is_control() || c.is_whitespace() => '-',
            c => c,
        })
        .collect();
    let name = cuts.bytes("environment", &name, ENVIRONMENT);
    let reserved = name.is_empty() || name.eq_ignore_ascii_case("none");
    (!reserved).then(|| name.to_owned())
}

/// The release that an image stands for: `name@tag`, or `name@` and the beginning of its
/// digest. `None` for an image with neither.
///
/// Releases are those of a whole organization, so that the name belongs to them.
pub(crate) fn of_image(image: &str, cuts: &mut Cuts) -> Option<String> {
    let (image, digest) = match image.trim().split_once('@') {
        Some((image, digest)) => (image, Some(digest)),
        None => (image.trim(), None),
    };
    // A registry's port is no tag.
    let name = image.rsplit('/').next().unwrap_or_default();
    let (name, tag) = match name.split_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (name, None),
    };
    let version: String = match tag.filter(|t| !t.is_empty()) {
        Some(tag) => tag.to_owned(),
        None => digest?.rsplit(':').next()?.chars().take(DIGEST).collect(),
    };
    if name.is_empty() || version.is_empty() {
        return None;
    }
    release(&format!("{name}@{version}"), cuts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn images_have_releases() {
        for (image, is) in [
            ("web:2", Some("web@2")),
            ("reg/team/web:2.1-rc1", Some("web@2.1-rc1")),
            ("reg:5000/web:2", Some("web@2")),
            ("reg:5000/web", None),
            ("web", None),
            ("web:", None),
            ("", None),
            (":2", None),
            (
                "reg/web@sha256:0123456789abcdef0123",
                Some("web@0123456789ab"),
            ),
            ("reg/web:2@sha256:0123456789abcdef", Some("web@2")),
            ("web@", None),
            ("web@sha256:", None),
            ("web:latest", Some("web@latest")),
            (" web:a b ", Some("web@a b")),
        ] {
            assert_eq!(
                of_image(image, &mut Cuts::default()).as_deref(),
                is,
                "{image}"
            );
        }
    }

    #[test]
    fn what_sentry_does_not_take_is_replaced_or_left_out() {
        for (text, is) in [
            ("a/b\\c\td", Some("a_b_c_d")),
            (" 1.0 ", Some("1.0")),
            ("..", None),
            (".", None),
            ("Latest", None),
            (" \n", None),
        ] {
            assert_eq!(
                release(text, &mut Cuts::default()).as_deref(),
                is,
                "{text:?}"
            );
        }
        for (text, is) in [
            ("prod", Some("prod")),
            ("a b/c", Some("a-b-c")),
            ("none", None),
            ("NONE ", None),
            ("", None),
        ] {
            assert_eq!(
                environment(text, &mut Cuts::default()).as_deref(),
                is,
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_too_long_is_cut_without_a_mark_and_told() {
        let mut cuts = Cuts::default();
        let fits = "é".repeat(32);
        assert_eq!(environment(&fits, &mut cuts), Some(fits.clone()));
        let tag = "t".repeat(RELEASE - "web@".len());
        let whole = format!("web@{tag}");
        assert_eq!(
            of_image(&format!("web:{tag}"), &mut cuts).as_ref(),
            Some(&whole)
        );
        assert_eq!(cuts.told(), None);
        assert_eq!(
            environment(&format!("a{fits}"), &mut cuts),
            Some(format!("a{}", "é".repeat(31)))
        );
        assert_eq!(of_image(&format!("web:{tag}t"), &mut cuts), Some(whole));
        assert_eq!(cuts.told().as_deref(), Some("cut: environment, release"));
    }

    proptest! {
        #[test]
        fn names_are_within_the_limits(text in any::<String>(), image in "[a-z:@/.]{0,20}") {
            let cuts = &mut Cuts::default();
            for r in [release(&text, cuts), of_image(&text, cuts), of_image(&image, cuts)].into_iter().flatten() {
                prop_assert!((1..=RELEASE).contains(&r.len()) && r.trim() == r);
                prop_assert!(!r.contains(|c: char| "/\\".contains(c) || c.is_control()));
            }
            if let Some(e) = environment(&text, cuts) {
                prop_assert!((1..=ENVIRONMENT).contains(&e.len()));
                prop_assert!(!e.contains(|c: char| c == '/' || c.is_whitespace()));
            }
        }
    }
}
