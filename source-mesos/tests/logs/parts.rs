//! The end of a log, by pages and without.

use futures_util::StreamExt as _;
use notifier_core::LogPart;
use notifier_testkit::http::Framing;

use super::{
    scripted::{listing, locator, note},
    *,
};

/// Bytes of all kinds, no text.
fn noise(len: u32) -> Vec<u8> {
    (0..len)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect()
}

#[tokio::test]
async fn the_end_of_a_log_is_read_to_the_byte() {
    for version in [MesosVersion::V1_11, MesosVersion::V0_28] {
        let cluster = FakeCluster::builder()
            .version(version)
            .start()
            .await
            .unwrap();
        let log = noise(200_000);
        let task = cluster.launch(TaskSpec::new("t.1"));
        cluster.set_log(&task, Stream::Stdout, log.clone());
        cluster.set_log(&task, Stream::Stderr, Vec::new());
        cluster.fail(&task, Death::failed());
        let (watch, failure) = failed(&cluster).await;
        let logs = watch.locator.locate(&failure).await.unwrap();
        let read = async |log: &LogStream, part| {
            let mut open = watch.locator.open(&failure, log, part).await.unwrap();
            let mut bytes = Vec::new();
            while let Some(piece) = open.bytes.next().await {
                bytes.extend_from_slice(&piece.unwrap());
            }
            (open.size, bytes)
        };
        let [stdout, stderr] =
            ["stdout", "stderr"].map(|name| logs.iter().find(|l| l.name == name).unwrap());
        for last in [1, 65_536, 65_537, 150_000, 200_000, 300_000] {
            let (size, bytes) = read(stdout, LogPart::Last(last)).await;
            assert_eq!(size, Some(200_000));
            let begin = log.len().saturating_sub(last as usize);
            assert!(bytes == log[begin..], "{last} of {version:?}");
        }
        assert_eq!(read(stderr, LogPart::Last(9)).await, (Some(0), Vec::new()));
        let downloads = |what: &str| {
            cluster
                .agent(0)
                .count_requests(|r| r.path().starts_with(what))
        };
        assert_eq!(downloads("/files/download"), 0, "{version:?}");
        assert_eq!(
            read(stdout, LogPart::Whole).await,
            (Some(200_000), log.clone())
        );
    }
}

/// Where an agent has no pages, or answers something else in their place, the whole is read.
#[tokio::test]
async fn without_pages_the_end_is_that_of_the_whole() {
    let log = noise(200_000);
    for (pages, tells) in [
        (Reply::text(404, "no"), true),
        (Reply::text(200, "<html>"), true),
        (
            Reply::json(200, &serde_json::json!({"data": "", "offset": 5})),
            false,
        ),
        (Reply::text(500, "no"), false),
    ] {
        let agent = ScriptedServer::start().await.unwrap();
        let directory = "/w/slaves/S/frameworks/F/executors/a/runs/1";
        agent.always_on("/state", listing(&[("a", directory)]));
        agent.always_on("/files/read", pages);
        let mut whole = Reply::new(200).body(log.clone());
        if !tells {
            whole = whole.delivery(Delivery::new().framing(Framing::Chunked));
        }
        agent.always_on("/files/download", whole);
        let locator = locator();
        let failure = note(&agent, "a", &["1"]);
        let logs = locator.locate(&failure).await.unwrap();
        let mut open = locator
            .open(&failure, &logs[0], LogPart::Last(70_000))
            .await
            .unwrap();
        assert_eq!(open.size, tells.then_some(200_000));
        let mut bytes = Vec::new();
        while let Some(piece) = open.bytes.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert!(bytes == log[130_000..]);
    }
}

/// One that hangs is asked once: the next report does not wait for it.
#[tokio::test]
async fn an_agent_that_hangs_is_left_alone() {
    let cluster = FakeCluster::start().await.unwrap();
    let task = cluster.launch(TaskSpec::new("t.1"));
    cluster.fail(&task, Death::failed());
    let (watch, failure) = failed(&cluster).await;
    let logs = watch.locator.locate(&failure).await.unwrap();
    cluster.agent(0).hang();
    let reads = || {
        cluster
            .agent(0)
            .count_requests(|r| r.path().starts_with("/files/read"))
    };
    for part in [LogPart::Last(100), LogPart::Last(100), LogPart::Whole] {
        let opened = watch.locator.open(&failure, &logs[0], part).await;
        let e = opened.unwrap_err();
        assert!(e.to_string().contains("does not answer"), "{e}");
        assert_eq!(reads(), 1);
    }
}
