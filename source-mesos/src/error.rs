//! Errors in words for a health page.

use std::{error::Error as StdError, io};

use notifier_core::{Chain, Error, ErrorKind};

/// An error about the value of an option, which its text names.
pub(crate) fn option(name: &str, e: &Error) -> Error {
    Error::config(format!("{name}: {}", e.report()))
}

/// A failed request in few words, without the address that was asked: the caller names it.
pub(crate) fn brief(e: &Error, who: &str) -> String {
    let root = root(e);
    if let Some(io) = root.downcast_ref::<io::Error>() {
        match io.kind() {
            io::ErrorKind::ConnectionRefused => return "connection refused".to_owned(),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                return "no route to it".to_owned();
            }
            _ => {}
        }
    }
    if e.kind() == ErrorKind::Timeout {
        return "no answer in time".to_owned();
    }
    let mut text = e.to_string();
    for word in ["of ", "to ", "from ", ""] {
        text = text.replace(&format!(" {word}{who}"), "");
    }
    // A certificate that is refused, TLS where there is none: the cause is what helps.
    if e.source().is_some() && (e.kind() == ErrorKind::Config || text == "cannot connect") {
        return format!("{text}: {}", Chain::new(root));
    }
    text
}

fn root(e: &Error) -> &(dyn StdError + 'static) {
    let mut last: &(dyn StdError + 'static) = e;
    while let Some(next) = last.source() {
        last = next;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_people() {
        let who = "http://m:5050/master/state";
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let odd = io::Error::other("not TLS");
        for (e, words) in [
            (
                Error::new(ErrorKind::Unavailable, format!("cannot connect to {who}"))
                    .with_source(refused),
                "connection refused",
            ),
            (
                Error::new(ErrorKind::Unavailable, format!("cannot connect to {who}"))
                    .with_source(odd),
                "cannot connect: not TLS",
            ),
            (
                Error::new(
                    ErrorKind::Unavailable,
                    format!("cannot look up the address of {who}"),
                ),
                "cannot look up the address",
            ),
            (
                Error::new(ErrorKind::Timeout, format!("no answer in time from {who}")),
                "no answer in time",
            ),
            (
                Error::config(format!("the TLS certificate of {who} is refused")),
                "the TLS certificate is refused",
            ),
        ] {
            assert_eq!(brief(&e, who), words);
        }
    }
}
