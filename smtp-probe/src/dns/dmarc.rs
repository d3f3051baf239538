//! What receivers shall do with mail that fails SPF and DKIM: DMARC, RFC 7489.

use futures_util::future::join_all;

use super::{
    ask::{Dns, Fault, printable},
    tags::{tag, tags},
};
use crate::report::{Check, Class, Phase, State};

const ID: &str = "dmarc";

/// Domains above one that are asked.
const MOST: usize = 8;

/// Looks at the policy of a domain, or at that of the nearest domain above it that has one.
pub(super) async fn check(dns: &impl Dns, domain: &str) -> Check {
    let asked: Vec<&str> = std::iter::once(domain).chain(above(domain)).collect();
    let answers = join_all(asked.iter().map(|name| policies(dns, name))).await;
    let mut nearest = (domain, Vec::new());
    for (name, answer) in asked.into_iter().zip(answers) {
        match answer {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                nearest = (name, found);
                break;
            }
            Err(why) => return Fault::check(why, ID).subject(domain),
        }
    }
    let (at, found) = nearest;
    let is_above = at != domain;
    let whose = match is_above {
        true => format!("{domain}: by {at}, the domain above it"),
        false => domain.to_owned(),
    };
    let warn = |what: String, hint: &str| {
        Check::warn(ID, Phase::Dns, Class::Dns, format!("{whose}: {what}")).hint(hint)
    };
    let check = match found.as_slice() {
        [] => warn(
            "there is no v=DMARC1 record".to_owned(),
            "publish v=DMARC1; p=quarantine; rua=mailto:ADDRESS at _dmarc",
        ),
        [text] => judge(text, is_above, &whose),
        many => warn(
            format!(
                "there are {} v=DMARC1 records, and receivers ignore all",
                many.len()
            ),
            "leave one",
        ),
    };
    check.subject(domain)
}

fn judge(text: &str, is_above: bool, whose: &str) -> Check {
    let shown = printable(text);
    let check = |state: State, what: String| {
        Check::warn(ID, Phase::Dns, Class::Dns, format!("{whose}: {what}")).state(state)
    };
    let broken = |what: &str| {
        check(
            State::Warn,
            format!("{what}, and receivers ignore it: {shown}"),
        )
        .hint("write v=DMARC1; p=none, quarantine or reject; rua=mailto:ADDRESS")
    };
    let Some(list) = tags(text) else {
        return broken("the record is no list of tags");
    };
    let policy = match is_above {
        true => tag(&list, "sp").or_else(|| tag(&list, "p")),
        false => tag(&list, "p"),
    };
    let reports = match tag(&list, "rua") {
        Some(rua) if !rua.is_empty() => format!("reports go to {}", printable(rua)),
        _ => "nobody gets reports (rua)".to_owned(),
    };
    match policy.map(str::to_ascii_lowercase).as_deref() {
        Some("none") => check(
            State::Warn,
            format!("its policy is none, so nothing is refused; {reports}"),
        )
        .hint("once the reports are clean, set p=quarantine, then p=reject"),
        Some(policy @ ("quarantine" | "reject")) => {
            let share = tag(&list, "pct")
                .and_then(|p| p.parse::<u8>().ok())
                .filter(|p| *p < 100);
            let share = share.map_or_else(String::new, |p| format!(" for {p} % of the mail"));
            let check = check(
                State::Ok,
                format!("its policy is {policy}{share}; {reports}"),
            );
            Check {
                class: None,
                ..check
            }
        }
        Some(_) => broken("its policy is none that there is"),
        None => broken("it has no policy"),
    }
}

/// The records that are DMARC's.
async fn policies(dns: &impl Dns, domain: &str) -> Result<Vec<String>, String> {
    let texts = dns.texts(&format!("_dmarc.{domain}")).await?;
    let is_one = |text: &String| {
        let start: String = text
            .split(';')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        start == "v=DMARC1"
    };
    Ok(texts.into_iter().filter(is_one).collect())
}

/// The domains above one, the nearest first, without the one of a single label. Receivers ask the one that a list
/// of public suffixes has (RFC 7489 3.2), which in the DNS is the nearest that has a policy.
fn above(domain: &str) -> Vec<&str> {
    let dots = domain.match_indices('.');
    let above = dots.map(|(at, _)| &domain[at + 1..]);
    let mut above: Vec<&str> = above.filter(|name| name.contains('.')).collect();
    // Of a very long name the nearest to the root.
    above.split_off(above.len().saturating_sub(MOST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::ask::Book, *};

    async fn state(book: &Book) -> (State, String) {
        let check = check(book, "mail.corp.example").await;
        (check.state, check.text)
    }

    #[tokio::test]
    async fn policies_of_a_domain_and_above() {
        let own = |text: &str| Book::default().txt("_dmarc.mail.corp.example", text);
        for (text, expected) in [
            ("v=DMARC1; p=reject; rua=mailto:a@corp.example", State::Ok),
            ("v=DMARC1;p=quarantine;pct=20", State::Ok),
            ("v=DMARC1; p=none", State::Warn),
            ("v=DMARC1; rua=mailto:a@corp.example", State::Warn),
            ("v=DMARC1; p=maybe", State::Warn),
            ("something else", State::Warn),
        ] {
            assert_eq!(state(&own(text)).await.0, expected, "{text}");
        }
        let above = Book::default().txt("_dmarc.corp.example", "v=DMARC1; p=reject; sp=none");
        let (state_above, text) = state(&above).await;
        assert_eq!(state_above, State::Warn);
        assert!(text.contains("by corp.example"), "{text}");
        let above = Book::default().txt("_dmarc.mail.corp.example", "v=DMARC1; p=reject");
        let deep = check(&above, "a.b.mail.corp.example").await;
        assert_eq!(deep.state, State::Ok, "{}", deep.text);
        let failing =
            Book::default().fails("_dmarc.mail.corp.example", super::super::ask::Kind::Txt);
        assert_eq!(state(&failing).await.0, State::Unknown);
    }

    #[test]
    fn the_domain_above() {
        assert_eq!(
            above("a.b.corp.example"),
            ["b.corp.example", "corp.example"]
        );
        assert_eq!(above("corp.example"), Vec::<&str>::new());
        assert_eq!(above(&"x.".repeat(120)).len(), MOST);
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in r"v=DMARC1(; ?(p|sp|pct|rua|x)=[a-z0-9:@]{0,9}){0,5}|\PC{0,80}") {
            let check = judge(&text, false, "corp.example");
            prop_assert!(check.state == State::Ok || check.state == State::Warn);
        }
    }
}
