//! Values that follow their flag as words: `--rcpt a@x b@y`.

use std::{ffi::OsString, net::IpAddr};

use crate::options::WORDY;

/// Puts the flag before each further word that is a value of it, so that a target behind it stays
/// one: a word with an `@` is an address; a bare domain is one of a list where a target was
/// named before.
pub(crate) fn spread(
    args: impl IntoIterator<Item = OsString>,
    is_flag: impl Fn(&str) -> bool,
) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    // The flag whose values may go on here.
    let mut open: Option<&'static str> = None;
    // The next word is the value of the flag before it, of a wordy one or of another.
    let mut wants: Option<Option<&'static str>> = None;
    let mut has_target = false;
    let mut is_over = false;
    for arg in args {
        let Some(word) = arg.to_str().filter(|_| !is_over) else {
            out.push(arg);
            continue;
        };
        if let Some(flag) = wants.take() {
            open = flag;
            out.push(arg);
            continue;
        }
        if word == "--" {
            is_over = true;
        } else if let Some(flag) = word.strip_prefix("--") {
            let (name, has_value) = match flag.split_once('=') {
                Some((name, _)) => (name, true),
                None => (flag, false),
            };
            let wordy = WORDY.iter().copied().find(|w| *w == name);
            open = wordy.filter(|_| has_value);
            if !has_value && (wordy.is_some() || !is_flag(name)) {
                wants = Some(wordy);
            }
        } else if word.starts_with('-') {
            open = None;
        } else if let Some(flag) = open.filter(|flag| goes_on(flag, word, has_target)) {
            out.push(format!("--{flag}={word}").into());
            continue;
        } else {
            open = None;
            has_target = true;
        }
        out.push(arg);
    }
    out
}

/// Whether a word is one more value of an open flag.
fn goes_on(flag: &str, word: &str, has_target: bool) -> bool {
    match flag {
        "rcpt" => word.contains('@') && !word.contains("://"),
        _ => has_target && is_domain(word),
    }
}

fn is_domain(word: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ',');
    word.contains('.') && word.chars().all(fits) && word.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::spread;

    fn of(line: &str) -> String {
        let words = line.split(' ').map(Into::into);
        let is_flag = |name: &str| matches!(name, "open-relay" | "send");
        let out = spread(words, is_flag);
        let out: Vec<&str> = out.iter().map(|w| w.to_str().unwrap()).collect();
        out.join(" ")
    }

    #[test]
    fn addresses_belong_to_rcpt_and_hosts_are_targets() {
        assert_eq!(
            of("r:25 --rcpt a@x b@y c@z"),
            "r:25 --rcpt a@x --rcpt=b@y --rcpt=c@z"
        );
        assert_eq!(of("--rcpt a@x b@y r:25 s"), "--rcpt a@x --rcpt=b@y r:25 s");
        assert_eq!(
            of("--rcpt=a@x b@y --tls none c"),
            "--rcpt=a@x --rcpt=b@y --tls none c"
        );
        assert_eq!(of("--rcpt a@x r:25 b@y"), "--rcpt a@x r:25 b@y");
        assert_eq!(of("--from b@y r:25 c@z"), "--from b@y r:25 c@z");
        assert_eq!(
            of("--open-relay r:25 --rcpt a@x --send b@y"),
            "--open-relay r:25 --rcpt a@x --send b@y"
        );
    }

    #[test]
    fn domains_belong_to_their_list_behind_a_target_only() {
        assert_eq!(
            of("r:25 --well-known a.org b.org --relay-domain c.org d.org"),
            "r:25 --well-known a.org --well-known=b.org --relay-domain c.org --relay-domain=d.org"
        );
        assert_eq!(
            of("--well-known a.org relay.example"),
            "--well-known a.org relay.example"
        );
        assert_eq!(
            of("r:25 --well-known a.org s:25 b.org"),
            "r:25 --well-known a.org s:25 b.org"
        );
        assert_eq!(
            of("r:25 --well-known a.org 192.0.2.1"),
            "r:25 --well-known a.org 192.0.2.1"
        );
    }

    #[test]
    fn what_stands_behind_two_dashes_is_left_alone() {
        assert_eq!(of("--rcpt a@x -- b@y"), "--rcpt a@x -- b@y");
        assert_eq!(of("--helo --rcpt a@x"), "--helo --rcpt a@x");
    }
}
