//! Which addresses may send for a domain: SPF, RFC 7208.

mod evaluate;
mod macros;
mod record;

use std::net::{IpAddr, Ipv4Addr};

use self::evaluate::{Evaluation, Verdict};
use super::ask::{Dns, Fault, printable};
use crate::report::{Check, Class, Phase};

const ID: &str = "spf";

/// An address of nobody (RFC 5737), to walk a record with where the real one is not known.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Asks whether an address may send for a domain.
pub(super) async fn check(dns: &impl Dns, domain: &str, egress: Option<IpAddr>) -> Check {
    let mut evaluation = Evaluation::new(dns, egress.unwrap_or(NOBODY), domain);
    let verdict = evaluation.run().await;
    // An address that is named in it does not come as far as to an +all at the end.
    if verdict == Verdict::Pass && !evaluation.passes_all {
        let mut others = Evaluation::new(dns, NOBODY, domain);
        evaluation.passes_all = others.run().await == Verdict::Pass && others.passes_all;
    }
    let Evaluation {
        lookups,
        record,
        passes_all,
        ..
    } = &evaluation;
    let shown = record.as_deref().map(printable).unwrap_or_default();
    let crit = |text: String, hint: &str| Check::crit(ID, Phase::Dns, Class::Dns, text).hint(hint);
    let warn = |text: String, hint: &str| Check::warn(ID, Phase::Dns, Class::Dns, text).hint(hint);
    let who = egress.map_or_else(|| "an address".to_owned(), |ip| ip.to_string());
    let check = match &verdict {
        Verdict::TempError(why) => Fault::check(format!("{domain}: {why}"), ID),
        Verdict::PermError(why) => crit(
            format!("{domain}: {why}, so that receivers take the record for broken"),
            "mend the record: one v=spf1 a domain, at most 10 lookups, no mistakes",
        ),
        Verdict::None => warn(
            format!("{domain} has no v=spf1 record"),
            "publish one that names the relay's address, with -all at its end",
        ),
        _ if *passes_all => crit(
            format!("{domain}: {shown} lets every address send for it"),
            "end the record with -all instead of +all",
        ),
        _ if egress.is_none() => Check::ok(
            ID,
            Phase::Dns,
            format!(
                "{domain}: {shown} is in order, {lookups} lookups; for which address is not known"
            ),
        ),
        Verdict::Pass => Check::ok(
            ID,
            Phase::Dns,
            format!("{domain}: {who} passes by {shown}, {lookups} lookups"),
        ),
        Verdict::Fail => crit(
            format!("{domain}: {who} may not send for it by {shown}"),
            "add the address to the record, as ip4:ADDRESS",
        ),
        Verdict::SoftFail | Verdict::Neutral => warn(
            format!("{domain}: {who} is {} by {shown}", verdict.word()),
            "add the address to the record, as ip4:ADDRESS",
        ),
    };
    check.subject(domain).data(serde_json::json!({
        "result": verdict.word(),
        "record": record.as_deref().map(printable),
        "lookups": lookups,
    }))
}

#[cfg(test)]
mod tests {
    use super::{super::ask::Book, *};
    use crate::report::State;

    async fn state(book: Book, egress: Option<&str>) -> (State, String) {
        let egress = egress.map(|e| e.parse().unwrap());
        let check = check(&book, "corp.example", egress).await;
        (check.state, check.text)
    }

    #[tokio::test]
    async fn each_verdict_has_its_state() {
        let with = |record: &str| Book::default().txt("corp.example", record);
        let us = Some("203.0.113.9");
        for (record, expected) in [
            ("v=spf1 ip4:203.0.113.0/24 -all", State::Ok),
            ("v=spf1 -all", State::Crit),
            ("v=spf1 ~all", State::Warn),
            ("v=spf1 ?all", State::Warn),
            ("v=spf1 mx", State::Warn),
            ("v=spf1 +all", State::Crit),
            ("v=spf1 all", State::Crit),
            ("v=spf1 ip4:203.0.113.0/24 +all", State::Crit),
            ("v=spf1 ipv4:1.2.3.4 -all", State::Crit),
            ("some text", State::Warn),
        ] {
            assert_eq!(state(with(record), us).await.0, expected, "{record}");
        }
        let failing = Book::default().fails("corp.example", super::super::ask::Kind::Txt);
        assert_eq!(state(failing, us).await.0, State::Unknown);
    }

    #[tokio::test]
    async fn without_an_address_the_record_is_judged_alone() {
        let with = |record: &str| Book::default().txt("corp.example", record);
        for (record, expected) in [
            ("v=spf1 ip4:203.0.113.0/24 -all", State::Ok),
            ("v=spf1 +all", State::Crit),
            (
                "v=spf1 include:a.example include:b.example include:c.example -all",
                State::Crit,
            ),
        ] {
            assert_eq!(state(with(record), None).await.0, expected, "{record}");
        }
    }
}
