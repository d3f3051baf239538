use notifier_runtime::{Cli, Env};
use notifiers::jiff::Timestamp;
use smtp_probe::{Class, Phase, Target, change::Damping};

use super::*;

fn job() -> Job {
    Job {
        target: Target::parse("relay.example:25").unwrap(),
        interval: Duration::from_secs(60),
        damping: Damping::default(),
        labels: BTreeMap::from([("complainer_slack_channel".to_owned(), "#mail".to_owned())]),
    }
}

fn report(is_up: bool, second: i64) -> Report {
    let check = match is_up {
        true => Check::ok("connect", Phase::Connect, "192.0.2.1:25"),
        false => Check::crit(
            "connect",
            Phase::Connect,
            Class::Refused,
            "connection\nrefused\u{1b}[31m",
        )
        .hint("start it"),
    };
    let at = Timestamp::from_second(second).unwrap();
    Report::new("relay.example:25", at, vec![check])
}

/// A source that sees these reports, and what it makes of them; each batch is stored.
async fn told(
    reports: Vec<Report>,
    cursor: Option<serde_json::Value>,
) -> (Vec<FailureRecord>, Option<serde_json::Value>) {
    let (tell, seen) = mpsc::channel(WAITING);
    for report in reports {
        tell.try_send((0, report)).unwrap();
    }
    drop(tell);
    let mut last = cursor.clone();
    let mut records = Vec::new();
    let mut batches =
        Box::new(RelaySource::new(vec![job()], LabelGrammar::default(), seen)).events(cursor);
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        records.extend(batch.failures);
        last = batch.cursor.or(last);
        batch.ack.done();
    }
    (records, last)
}

fn states(records: &[FailureRecord]) -> Vec<&str> {
    records.iter().map(|r| r.state.as_str()).collect()
}

#[tokio::test]
async fn a_recovery_opens_no_issue() {
    let (records, _) = told(vec![report(false, 0), report(true, 60)], None).await;
    assert_eq!(states(&records), ["DOWN", "RECOVERED"]);
    for label in [
        "complainer_default_sentry_instances",
        "complainer_default_jira_instances",
    ] {
        assert_eq!(records[0].labels.get(label), None);
        assert_eq!(records[1].labels[label], "");
    }
}

#[tokio::test]
async fn down_and_up_are_told_once_each_with_what_is_known() {
    let reports = [
        (true, 0),
        (false, 60),
        (false, 120),
        (true, 180),
        (true, 240),
    ];
    let reports = reports.map(|(up, second)| report(up, second)).into();
    let (records, _) = told(reports, None).await;
    assert_eq!(states(&records), ["DOWN", "RECOVERED"]);
    let down = &records[0];
    assert_eq!(
        (down.id.as_str(), down.name.as_str()),
        ("relay.example:25", "relay.example:25")
    );
    assert_eq!(down.host, "relay.example:25");
    assert_eq!(
        down.message.as_deref(),
        Some("connect: connection\\nrefused\\u{1b}[31m")
    );
    assert_eq!(down.reason.as_deref(), Some("connect/refused"));
    assert_eq!(down.finished, Timestamp::from_second(60).unwrap());
    assert_eq!(down.labels["complainer_slack_channel"], "#mail");
    for (name, value) in [
        ("check", "connect"),
        ("phase", "connect"),
        ("class", "refused"),
        ("hint", "start it"),
        ("was", "ok"),
        ("lasted", "60s"),
        ("address", "relay.example:25"),
    ] {
        assert_eq!(
            down.details.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    let up = &records[1];
    assert_eq!(
        up.message.as_deref(),
        Some("all is well again after 2m of being down")
    );
    assert!(up.reason.is_none() && !up.details.contains_key("hint"));
    assert_ne!(up.key, down.key);
}

#[tokio::test]
async fn a_hundred_flaps_in_ten_minutes_are_a_handful_of_messages() {
    let flaps = (0..200).map(|i| report(i % 2 == 1, i * 3));
    let calm = (0..30).map(|i| report(true, 600 + i * 60));
    let (records, _) = told(flaps.chain(calm).collect(), None).await;
    assert_eq!(
        states(&records),
        ["DOWN", "RECOVERED", "FLAPPING", "RECOVERED"]
    );
    let flapping = records[2].message.as_deref().unwrap();
    assert!(
        flapping.starts_with("3 changes within 10m; now down: connect: connection"),
        "{flapping}"
    );
    assert_eq!(
        records[3].message.as_deref(),
        Some("all has been well for 10m3s")
    );
}

#[tokio::test]
async fn a_restart_neither_repeats_nor_forgets() {
    let (first, cursor) = told(vec![report(false, 0)], None).await;
    assert_eq!(states(&first), ["DOWN"]);
    let (second, cursor) = told(vec![report(false, 60), report(false, 120)], cursor).await;
    assert!(second.is_empty());
    let (third, _) = told(vec![report(true, 180)], cursor).await;
    assert_eq!(states(&third), ["RECOVERED"]);
    assert_eq!(
        third[0].message.as_deref(),
        Some("all is well again after 3m of being down")
    );
    // What another version has left does no harm.
    let (anew, _) = told(vec![report(false, 0)], Some(serde_json::json!([1, 2]))).await;
    assert_eq!(states(&anew), ["DOWN"]);
}

#[tokio::test]
async fn what_was_not_stored_is_told_again() {
    let (tell, seen) = mpsc::channel(WAITING);
    let mut batches =
        Box::new(RelaySource::new(vec![job()], LabelGrammar::default(), seen)).events(None);
    tell.try_send((0, report(false, 0))).unwrap();
    let lost = batches.next().await.unwrap().unwrap();
    assert_eq!(states(&lost.failures), ["DOWN"]);
    drop(lost);
    tell.try_send((0, report(false, 60))).unwrap();
    let again = batches.next().await.unwrap().unwrap();
    assert_eq!(states(&again.failures), ["DOWN"]);
    again.ack.done();
    tell.try_send((0, report(false, 120))).unwrap();
    drop(tell);
    assert!(batches.next().await.is_none());
}

fn problems(reporters: &str) -> Option<String> {
    let cli: Cli = cli();
    let args = [format!("-reporters={reporters}")].map(Into::into);
    let env = Env::from_pairs([("SLACK_HOOK_URL", "https://hooks.example/x")]);
    cli.parse(args, &env).err().map(|p| p.to_string())
}

#[test]
fn news_of_a_mail_relay_do_not_go_by_mail_alone() {
    let why = problems("smtp").unwrap();
    assert!(why.contains("must not go by mail alone"), "{why}");
    assert_eq!(problems("smtp,file"), None);
    assert_eq!(problems("slack"), None);
}

#[test]
fn times_are_told_shortly() {
    let of = |seconds| short(Duration::from_secs(seconds));
    assert_eq!(short(Duration::from_millis(250)), "250ms");
    assert_eq!(
        (of(59), of(119), of(120)),
        ("59s".into(), "119s".into(), "2m".into())
    );
    assert_eq!(
        (of(605), of(7500), of(190_000)),
        ("10m5s".into(), "2h5m".into(), "2d4h".into())
    );
}
