//! What receivers shall do with mail that fails SPF and DKIM: DMARC, RFC 7489.

use super::{
    ask::{Dns, Fault, printable},
    tags::{tag, tags},
};
use crate::report::{Check, Class, Phase, State};

const ID: &str = "dmarc";

/// Looks at the policy of a domain, or at that of the domain above it.
pub(super) async fn check(dns: &impl Dns, domain: &str) -> Check {
    let own = match policies(dns, domain).await {
        Ok(own) => own,
        Err(why) => return Fault::check(why, ID).subject(domain),
    };
    let above = organizational(domain);
    let (at, found, is_above) = match above {
        Some(above) if own.is_empty() => match policies(dns, above).await {
            Ok(found) => (above, found, true),
            Err(why) => return Fault::check(why, ID).subject(domain),
        },
        _ => (domain, own, false),
    };
    let whose = match is_above {
        true => format!("{domain}: by {at}, taken for the domain above it for its last two labels"),
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

/// The last two labels, if there are more. A list of public suffixes would know better.
fn organizational(domain: &str) -> Option<&str> {
    let mut dots = domain.rmatch_indices('.');
    let (at, _) = dots.nth(1)?;
    Some(&domain[at + 1..])
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
        assert!(text.contains("last two labels"), "{text}");
        let failing =
            Book::default().fails("_dmarc.mail.corp.example", super::super::ask::Kind::Txt);
        assert_eq!(state(&failing).await.0, State::Unknown);
    }

    #[test]
    fn the_domain_above() {
        assert_eq!(organizational("a.b.corp.example"), Some("corp.example"));
        assert_eq!(organizational("corp.example"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in r"v=DMARC1(; ?(p|sp|pct|rua|x)=[a-z0-9:@]{0,9}){0,5}|\PC{0,80}") {
            let check = judge(&text, false, "corp.example");
            prop_assert!(check.state == State::Ok || check.state == State::Warn);
        }
    }
}
