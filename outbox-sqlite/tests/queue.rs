//! The queue itself: what is kept, leased, settled, held and looked at.

mod common;

use std::time::Duration;

use common::*;
use notifier_core::{
    DeliveryFilter, DeliveryState, DestinationState, Engine, ErrorKind, FailureRecord, FoldRequest,
    Grouping, LeaseRequest, NewReport, Notice, Outbox, Outcome, Silence, Subject, Verdict,
    engine::GroupBy, policy::Rate, redact::Redactor,
};
use outbox_sqlite::{SqliteOptions, SqliteOutbox};

#[tokio::test]
async fn a_failure_goes_the_whole_way_and_survives_at_each_step() {
    let place = Place::new();
    let r = report(1, "ops");
    let id = id_of(&r);
    {
        let o = place.open();
        assert_eq!(o.claim("w", at(0)).await.unwrap(), 0);
        let mut b = batch(0, [r.clone()]);
        b.cursor = Some(serde_json::json!({ "at": 7 }));
        let e = o.enqueue(b).await.unwrap();
        assert_eq!((e.new, e.repeated, e.deliveries), (1, 0, 1));
        assert!(lease(&o, "ops", 5, 0).await.is_empty());
        assert_eq!(o.stats().await.unwrap().unsettled, 1);
    }
    {
        let o = place.open();
        o.claim("w", at(1)).await.unwrap();
        let e = o.enqueue(batch(1, [r.clone()])).await.unwrap();
        assert_eq!((e.new, e.repeated), (0, 1));
        assert_eq!(settle_logs(&o, 1).await, 1);
        assert_eq!(settle_logs(&o, 1).await, 0);
        // What is in line is due, whatever any clock said when it came.
        assert_eq!(
            o.pending().await.unwrap(),
            [(to("ops"), notifier_core::jiff::Timestamp::UNIX_EPOCH)]
        );
        let l = lease(&o, "ops", 5, 1).await;
        assert_eq!(l.len(), 1);
        assert_eq!(
            (&l[0].delivery, &l[0].subject),
            (&r.deliveries[0], &r.subject)
        );
        assert_eq!(l[0].logs.missing.as_deref(), Some("none asked for"));
        o.save_progress(&l[0], serde_json::json!(["a"]))
            .await
            .unwrap();
        assert!(o.pending().await.unwrap().is_empty());
    }
    let o = place.open();
    assert_eq!(o.claim("w", at(2)).await.unwrap(), 1);
    let l = lease(&o, "ops", 5, 2).await.remove(0);
    assert_eq!((l.attempts, l.unknown), (1, true));
    assert_eq!(l.progress, Some(serde_json::json!(["a"])));
    o.settle(&l, verdict(Verdict::Done, 3)).await.unwrap();
    assert_eq!(
        o.settle(&l, verdict(Verdict::Done, 3))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Rejected
    );
    let s = o.story(&id).await.unwrap().unwrap();
    assert_eq!(s.view.state, DeliveryState::Done);
    assert_eq!(s.view.finished, Some(at(3)));
    let outcomes: Vec<_> = s.attempts.iter().map(|a| a.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unknown, Outcome::Delivered]);
    assert_eq!(
        s.attempts[0].detail,
        "the watcher ended during this attempt"
    );
    let stats = o.stats().await.unwrap();
    assert_eq!(
        (stats.done, stats.open(), stats.unknown, stats.seen),
        (1, 0, 1, 1)
    );
    assert_eq!(
        o.cursor("mesos").await.unwrap(),
        Some(serde_json::json!({ "at": 7 }))
    );
    assert_eq!(o.cursor("other").await.unwrap(), None);
}

#[tokio::test]
async fn the_line_keeps_its_order_over_retries_and_releases() {
    let place = Place::new();
    let o = place.open();
    o.enqueue(batch(0, (0..5).map(|n| report(n, "ops"))))
        .await
        .unwrap();
    settle_logs(&o, 0).await;
    let ids: Vec<_> = (0..5).map(|n| id_of(&report(n, "ops"))).collect();
    let l = lease(&o, "ops", 3, 1).await;
    o.settle(&l[0], verdict(Verdict::RetryAt(at(100)), 1))
        .await
        .unwrap();
    o.settle(&l[1], verdict(Verdict::Done, 1)).await.unwrap();
    o.release(&l[2]).await.unwrap();
    assert!(o.release(&l[2]).await.is_err());
    let again = lease(&o, "ops", 1, 2).await;
    assert_eq!((again[0].attempts, &again[0].delivery.id), (0, &ids[2]));
    o.release(&again[0]).await.unwrap();
    let order: Vec<_> = lease(&o, "ops", 9, 2)
        .await
        .into_iter()
        .map(|l| l.delivery.id)
        .collect();
    assert_eq!(order, ids[2..]);
    assert_eq!(o.pending().await.unwrap(), [(to("ops"), at(100))]);
    // What run out goes back, and the one to be tried again is before it.
    let order: Vec<_> = lease(&o, "ops", 9, 100)
        .await
        .into_iter()
        .map(|l| l.delivery.id)
        .collect();
    assert_eq!(order, [&ids[..1], &ids[2..]].concat());
    assert_eq!(o.stats().await.unwrap().unknown, 3);
}

#[tokio::test]
async fn nothing_is_sent_faster_than_the_rate_over_a_restart() {
    let place = Place::new();
    let rate: Rate = "1/s:3".parse().unwrap();
    let request = |now| LeaseRequest::new(10, at(now), at(now + 600)).with_rate(Some(rate));
    {
        let o = place.open();
        o.enqueue(batch(0, (0..9).map(|n| report(n, "ops"))))
            .await
            .unwrap();
        settle_logs(&o, 0).await;
        assert_eq!(o.lease(&to("ops"), request(0)).await.unwrap().len(), 3);
        assert_eq!(o.pending().await.unwrap(), [(to("ops"), at(1))]);
    }
    let o = place.open();
    assert_eq!(o.pending().await.unwrap(), [(to("ops"), at(1))]);
    assert_eq!(o.lease(&to("ops"), request(0)).await.unwrap().len(), 0);
    assert_eq!(o.lease(&to("ops"), request(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_destination_is_left_alone_and_notices_go_in_the_same_commit() {
    let place = Place::new();
    let o = place.open();
    o.enqueue(batch(0, [report(1, "ops"), report(2, "ops")]))
        .await
        .unwrap();
    settle_logs(&o, 0).await;
    let l = lease(&o, "ops", 1, 0).await.remove(0);
    let mut s = verdict(Verdict::Dead, 1);
    let mut state = DestinationState::default();
    state.not_before = Some(at(50));
    state.given_up = 3;
    s.destination = Some(state);
    let notice = Subject::Notice(Notice::new("ops", "it is dead", at(1)).into());
    let id = notifier_core::DeliveryId::derive("w", &notice.key(), "file", "x", 0);
    let told = notifier_core::NewDelivery::new(id.clone(), "file", "x", to("file"));
    s.notices = vec![
        notifier_core::NewReport::new(notice.clone(), vec![told.clone()]),
        notifier_core::NewReport::new(notice, vec![told]),
    ];
    o.settle(&l, s).await.unwrap();
    assert_eq!(o.destinations().await.unwrap(), [(to("ops"), state)]);
    assert!(lease(&o, "ops", 1, 49).await.is_empty());
    assert_eq!(
        o.pending().await.unwrap(),
        [
            (to("file"), notifier_core::jiff::Timestamp::UNIX_EPOCH),
            (to("ops"), at(50))
        ]
    );
    // A notice has no logs to wait for.
    assert_eq!(lease(&o, "file", 9, 1).await.len(), 1);
    let l = lease(&o, "ops", 1, 50).await.remove(0);
    let mut s = verdict(Verdict::Done, 51);
    s.destination = Some(DestinationState::default());
    o.settle(&l, s).await.unwrap();
    assert!(o.destinations().await.unwrap().is_empty());
    assert_eq!(o.stats().await.unwrap().dead, 1);
}

#[tokio::test]
async fn a_full_outbox_refuses_a_batch_as_a_whole() {
    let place = Place::new();
    let o = SqliteOutbox::open(&place.path, SqliteOptions::default().with_capacity(3)).unwrap();
    o.enqueue(batch(0, (0..10).map(|n| report(n, "ops"))))
        .await
        .unwrap();
    let mut b = batch(0, [report(10, "ops"), report(3, "ops")]);
    b.cursor = Some(1.into());
    let e = o.enqueue(b).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.is_retryable(), e.to_string().as_str()),
        (
            ErrorKind::Full,
            true,
            "the outbox holds 10 deliveries and takes 3"
        )
    );
    assert_eq!(o.cursor("mesos").await.unwrap(), None);
    assert_eq!(o.stats().await.unwrap().seen, 10);
    // What is known or a word about the notifier itself needs no room.
    o.enqueue(batch(0, [report(3, "ops")])).await.unwrap();
    let notice = Subject::Notice(Notice::new("ops", "it is dead", at(1)).into());
    let mut r = report(11, "ops");
    r.subject = notice;
    assert_eq!(o.enqueue(batch(0, [r])).await.unwrap().deliveries, 1);
    assert_eq!(deliver(&o, "ops", 1).await.len(), 11);
    o.enqueue(batch(2, [report(10, "ops")])).await.unwrap();
}

#[tokio::test]
async fn what_is_alike_is_told_together_with_exact_counts() {
    let place = Place::new();
    let o = place.open();
    let like = || Grouping::new("marathon web", Duration::from_secs(60));
    let reports = |from, to| (from..to).map(move |n| report(n, "ops").with_group(like()));
    let e = o.enqueue(batch(0, reports(0, 100))).await.unwrap();
    assert_eq!((e.deliveries, e.held), (100, 99));
    assert_eq!(settle_logs(&o, 0).await, 1);
    let f = o.fold(FoldRequest::new("w", at(59))).await.unwrap();
    assert_eq!((f.digests, f.next), (0, Some(at(60))));
    let e = o.enqueue(batch(61, reports(100, 101))).await.unwrap();
    assert_eq!(e.held, 1);
    let f = o.fold(FoldRequest::new("w", at(62))).await.unwrap();
    assert_eq!((f.digests, f.deliveries, f.next), (1, 100, Some(at(122))));
    assert_eq!(settle_logs(&o, 62).await, 1);
    let mut l = lease(&o, "ops", 9, 62).await;
    let digest = l.pop().unwrap();
    let Subject::Digest(d) = &digest.subject else {
        panic!("{:?}", digest.subject)
    };
    assert_eq!(
        (d.count, d.host_count, d.fingerprint.as_str()),
        (100, 3, "marathon web")
    );
    assert_eq!(
        (d.first, d.last, d.example.id.as_str()),
        (at(1), at(100), "web.100")
    );
    assert_eq!(
        d.hosts,
        [
            ("agent-1".to_owned(), 34),
            ("agent-0".to_owned(), 33),
            ("agent-2".to_owned(), 33)
        ]
    );
    assert_eq!(d.id, id_of(&report(1, "ops")).as_str());
    assert_eq!(digest.delivery.why, "digest of 100");
    let s = o.stats().await.unwrap();
    assert_eq!((s.folded, s.held, s.leased), (100, 0, 2));
    let member = o.story(&id_of(&report(5, "ops"))).await.unwrap().unwrap();
    assert_eq!(member.view.digest.as_ref(), Some(&digest.delivery.id));
    o.settle(&digest, verdict(Verdict::RetryAt(at(70)), 63))
        .await
        .unwrap();
    assert_eq!(o.stats().await.unwrap().folded, 100);
    let digest = lease(&o, "ops", 9, 70).await.remove(0);
    o.settle(&digest, verdict(Verdict::Done, 71)).await.unwrap();
    let s = o.stats().await.unwrap();
    assert_eq!((s.folded, s.done), (0, 101));
    let story = o.story(&digest.delivery.id).await.unwrap().unwrap();
    assert_eq!(story.folds, 100);
    // A quiet interval closes it, and the next one is told at once.
    let f = o.fold(FoldRequest::new("w", at(122))).await.unwrap();
    assert_eq!((f.digests, f.next), (0, None));
    assert_eq!(
        o.enqueue(batch(123, reports(101, 102))).await.unwrap().held,
        0
    );
}

#[tokio::test]
async fn silenced_ones_are_kept_and_can_be_replayed() {
    let place = Place::new();
    let o = place.open();
    let r = report(1, "ops").with_silence("silence 7 until noon");
    let e = o.enqueue(batch(0, [r.clone()])).await.unwrap();
    assert_eq!((e.deliveries, e.silenced), (1, 1));
    assert_eq!(settle_logs(&o, 0).await, 0);
    let id = id_of(&r);
    let v = o.story(&id).await.unwrap().unwrap().view;
    assert_eq!(v.delivery.why, "asked for by default; silence 7 until noon");
    assert_eq!(v.state, DeliveryState::Silenced);
    let new = o.replay("w", &id, at(5)).await.unwrap();
    assert_ne!(new, id);
    assert!(o.replay("w", &new, at(5)).await.is_err());
    assert_eq!(deliver(&o, "ops", 6).await, std::slice::from_ref(&new));
    let third = o.replay("w", &id, at(7)).await.unwrap();
    assert!(third != new && third != id);
    // Its logs are settled already.
    assert_eq!(lease(&o, "ops", 1, 7).await[0].delivery.id, third);
    let v = o.story(&third).await.unwrap().unwrap().view;
    assert_eq!((v.generation, v.state), (2, DeliveryState::Leased));
    assert!(o.discard(&third, at(8)).await.is_err());
    assert!(o.discard(&id, at(8)).await.is_err());

    let mut s = Silence::new("7", vec!["name=web".parse().unwrap()], at(0), at(9));
    o.put_silence(s.clone()).await.unwrap();
    let other = Silence::new("8", vec!["name=db".parse().unwrap()], at(1), at(9));
    o.put_silence(other.clone()).await.unwrap();
    s.ends = at(1);
    o.put_silence(s.clone()).await.unwrap();
    assert_eq!(o.silences().await.unwrap(), [other, s]);
}

#[tokio::test]
async fn what_waits_can_be_dropped() {
    let place = Place::new();
    let o = place.open();
    let r = report(1, "ops");
    o.enqueue(batch(0, [r.clone()])).await.unwrap();
    o.discard(&id_of(&r), at(1)).await.unwrap();
    let s = o.stats().await.unwrap();
    assert_eq!((s.dropped, s.unsettled, s.open()), (1, 0, 0));
    assert_eq!(settle_logs(&o, 1).await, 0);
    let e = o.discard(&id_of(&report(2, "x")), at(1)).await.unwrap_err();
    assert!(e.to_string().starts_with("there is no delivery "), "{e}");
    assert_eq!(e.kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn looking_through_pages_both_ways() {
    let place = Place::new();
    let o = place.open();
    for n in 0..10 {
        let to = if n % 2 == 0 { "ops" } else { "dev" };
        o.enqueue(batch(i64::try_from(n).unwrap(), [report(n, to)]))
            .await
            .unwrap();
    }
    deliver(&o, "dev", 20).await;
    let ids = |views: Vec<notifier_core::DeliveryView>| -> Vec<String> {
        views.into_iter().map(|v| v.about).collect()
    };
    assert_eq!(
        ids(o.inspect(&DeliveryFilter::default()).await.unwrap()).len(),
        10
    );
    let count = |f: DeliveryFilter| {
        let o = &o;
        async move { o.inspect(&f).await.unwrap().len() }
    };
    assert_eq!(count(DeliveryFilter::state(DeliveryState::Done)).await, 5);
    assert_eq!(
        count(DeliveryFilter::state(DeliveryState::Pending)).await,
        5
    );
    let mut f = DeliveryFilter::default();
    f.destination = Some(to("ops"));
    assert_eq!(count(f.clone()).await, 5);
    f.since = Some(at(2));
    f.before = Some(at(6));
    assert_eq!(count(f.clone()).await, 2);
    f.reporter = Some("file".to_owned());
    assert_eq!(count(f).await, 0);
    let mut f = DeliveryFilter::default();
    f.key = Some(record(3).key);
    assert_eq!(count(f).await, 1);
    for newest_first in [false, true] {
        let mut f = DeliveryFilter::default();
        f.newest_first = newest_first;
        f.limit = 3;
        let mut seen = Vec::new();
        loop {
            let page = o.inspect(&f).await.unwrap();
            let Some(last) = page.last() else { break };
            f.after = Some(last.sequence);
            seen.extend(page.into_iter().map(|v| v.sequence));
        }
        let mut should: Vec<u64> = (1..=10).collect();
        if newest_first {
            should.reverse();
        }
        assert_eq!(seen, should);
    }
}

#[tokio::test]
async fn old_things_are_forgotten_and_listed_keys_are_not() {
    let day = 24 * 3600;
    let place = Place::new();
    let o = place.open();
    o.enqueue(batch(
        0,
        [report(1, "ops"), report(2, "ops"), report(3, "dev")],
    ))
    .await
    .unwrap();
    deliver(&o, "ops", 1).await;
    settle_logs(&o, 1).await;
    let l = lease(&o, "dev", 1, 1).await.remove(0);
    o.settle(&l, verdict(Verdict::Dead, 1)).await.unwrap();
    let listed = |now| {
        let mut b = batch(now, []);
        b.listed = Some(vec![record(1).key]);
        b
    };
    for d in 1..=9 {
        o.enqueue(listed(d * day)).await.unwrap();
    }
    let s = o.stats().await.unwrap();
    assert_eq!((s.done, s.dead, s.seen), (0, 1, 2));
    let e = o
        .enqueue(batch(
            9 * day,
            [report(1, "ops"), report(2, "ops"), report(3, "dev")],
        ))
        .await
        .unwrap();
    assert_eq!((e.new, e.repeated), (1, 2));
    for d in 10..=92 {
        o.enqueue(listed(d * day)).await.unwrap();
    }
    let s = o.stats().await.unwrap();
    assert_eq!((s.dead, s.pending, s.seen), (0, 1, 2));
    let sql = place.sql();
    for (table, n) in [("attempts", 0), ("subjects", 1), ("deliveries", 1)] {
        let found: i64 = sql
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0))
            .unwrap();
        assert_eq!(found, n, "{table}");
    }
}

#[tokio::test]
async fn times_of_a_clock_that_was_set_do_not_hold_anything_up() {
    let place = Place::new();
    let o = place.open();
    let r = || report(1, "ops").with_group(Grouping::new("g", Duration::from_secs(60)));
    let hour = 3600;
    o.enqueue(batch(100 * hour, [r(), report(2, "ops")]))
        .await
        .unwrap();
    settle_logs(&o, 100 * hour).await;
    let l = lease(&o, "ops", 1, 100 * hour).await.remove(0);
    let mut s = verdict(Verdict::RetryAt(at(101 * hour)), 100 * hour);
    let mut state = DestinationState::default();
    state.not_before = Some(at(101 * hour));
    s.destination = Some(state);
    o.settle(&l, s).await.unwrap();
    o.claim("w", at(0)).await.unwrap();
    let ids: Vec<_> = lease(&o, "ops", 9, 0)
        .await
        .into_iter()
        .map(|l| l.delivery.id)
        .collect();
    assert_eq!(ids, [id_of(&report(1, "ops")), id_of(&report(2, "ops"))]);
    let f = o.fold(FoldRequest::new("w", at(0))).await.unwrap();
    assert_eq!(f.next, Some(at(60)));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_commits_and_nothing_is_leased_twice() {
    let place = Place::new();
    let o = std::sync::Arc::new(place.open());
    let mut tasks = Vec::new();
    for t in 0..64_u64 {
        let o = std::sync::Arc::clone(&o);
        tasks.push(tokio::spawn(async move {
            for n in 0..10 {
                o.enqueue(batch(0, [report(t * 100 + n, "ops")]))
                    .await
                    .unwrap();
            }
        }));
    }
    for t in tasks.drain(..) {
        t.await.unwrap();
    }
    settle_logs(&*o, 0).await;
    for _ in 0..64 {
        let o = std::sync::Arc::clone(&o);
        tasks.push(tokio::spawn(async move {
            loop {
                let l = lease(&*o, "ops", 3, 1).await;
                if l.is_empty() {
                    break;
                }
                for l in l {
                    assert!(l.attempts == 0);
                    o.settle(&l, verdict(Verdict::Done, 2)).await.unwrap();
                }
            }
        }));
    }
    for t in tasks {
        t.await.unwrap();
    }
    let s = o.stats().await.unwrap();
    assert_eq!((s.done, s.open(), s.unknown), (640, 0, 0));
}

#[tokio::test]
async fn others_see_changes() {
    let place = Place::new();
    let o = place.open();
    o.claim("w", at(0)).await.unwrap();
    let mut changes = o.changes();
    changes.mark_unchanged();
    let other = SqliteOutbox::open_existing(&place.path, SqliteOptions::default()).unwrap();
    // Until it is noticed: a second or so.
    let mut n = 0;
    while !changes.has_changed().unwrap() {
        other.enqueue(batch(0, [report(n, "ops")])).await.unwrap();
        n += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(o.stats().await.unwrap().pending, n);
}

#[tokio::test]
async fn who_looks_sees_what_a_watcher_has_seen() {
    let place = Place::new();
    let mut f = record(1).with_label("DB_PASSWORD", "s3cretvalue1");
    f.name = "web uses s3cretvalue1".to_owned();
    let r = NewReport::failure(f.clone(), report(1, "ops").deliveries);
    place.open().enqueue(batch(0, [r.clone()])).await.unwrap();
    let stored: String = place
        .sql()
        .query_one("SELECT body FROM subjects", [], |r| r.get(0))
        .unwrap();
    assert!(stored.contains("\"DB_PASSWORD\":\"sealed:1:"), "{stored}");

    let look = || SqliteOutbox::open_existing(&place.path, SqliteOptions::default()).unwrap();
    let story = look().story(&id_of(&r)).await.unwrap().unwrap();
    assert_eq!(story.subject, r.subject);
    // So it is masked, and alike, as the watcher has it.
    let masked = Redactor::new(story.subject.failure().unwrap().secret_labels());
    assert_eq!(masked.redact(&f.name), "web uses ***");
    let alike = |f: &FailureRecord| {
        let engine = Engine::builder("w")
            .group(GroupBy::new(GroupBy::DEFAULT, Duration::from_secs(60)).unwrap());
        engine.build().unwrap().explain(f).fingerprint.unwrap()
    };
    assert_eq!(alike(story.subject.failure().unwrap()), alike(&f));

    // Without the key it is left out, and none is made.
    let key = format!("{}.key", place.path.display());
    std::fs::remove_file(&key).unwrap();
    let story = look().story(&id_of(&r)).await.unwrap().unwrap();
    assert_eq!(label(&story.subject, "DB_PASSWORD"), None);
    assert_eq!(label(&story.subject, "team"), Some("core"));
    assert!(!std::path::Path::new(&key).exists());
}
