//! Who gets what, in which order.

use std::{collections::BTreeSet, sync::Arc};

use notifier_core::{
    DeliveryId, DeliveryState, ErrorKind, LeaseRequest, Logs, Outbox, Outcome, Verdict as Ending,
};

use super::{
    Suite,
    rig::{at, batch, ensure, hours, id, ids, ok, refused, report, same, secs, settled, these, to},
};

/// How many lease at once.
const CROWD: usize = 64;

pub(super) async fn cases(s: &mut Suite<'_>) {
    order(s).await;
    exclusive(s).await;
    given_back(s).await;
    claimed(s).await;
}

async fn order(s: &mut Suite<'_>) {
    s.case(
        "deliveries of one destination are leased in the order of enqueueing, at most as many as asked for",
        async |rig| {
            rig.put(at(0), [report(1, &["a", "b"]), report(2, &["b"]), report(3, &["a"])])
                .await?;
            rig.put(at(0), [report(4, &["a"])]).await?;
            rig.put(at(1), [report(5, &["a"])]).await?;
            rig.settle_all_logs(at(2)).await?;
            same("none asked for", rig.lease("a", 0, at(2)).await?.len(), 0)?;
            same("an unknown destination", rig.lease("c", 9, at(2)).await?.len(), 0)?;
            let first = rig.lease("a", 2, at(2)).await?;
            same("the first two", ids(&first), vec![id(1, "a"), id(3, "a")])?;
            same("the others", ids(&rig.lease("a", 9, at(2)).await?), vec![id(4, "a"), id(5, "a")])?;
            same("at b", ids(&rig.lease("b", 9, at(2)).await?), vec![id(1, "b"), id(2, "b")])
        },
    )
    .await;

    s.case(
        "one whose logs are settled late keeps its place",
        async |rig| {
            rig.put(at(0), [report(1, &["a"]), report(2, &["a"])])
                .await?;
            let logs = rig.lease_logs(2, at(0)).await?;
            for lease in logs.iter().rev() {
                rig.settle_logs(lease, notifier_core::Logs::default())
                    .await?;
            }
            same(
                "the order",
                ids(&rig.lease("a", 9, at(1)).await?),
                vec![id(1, "a"), id(2, "a")],
            )
        },
    )
    .await;

    s.case(
        "one that is to be tried again is left out until then, and keeps its place",
        async |rig| {
            rig.ready(at(0), 1..=4, "a").await?;
            let lease = rig.lease_one("a", at(1)).await?;
            rig.retry(&lease, secs(10), at(2)).await?;
            let lease = rig.lease_one("a", at(3)).await?;
            same("the next", &lease.delivery.id, &id(2, "a"))?;
            rig.done(&lease, at(4)).await?;
            let early = rig.lease_one("a", at(9_999)).await?;
            same("before it is due", &early.delivery.id, &id(3, "a"))?;
            let rest = rig.lease("a", 9, secs(10)).await?;
            same("when it is due", ids(&rest), vec![id(1, "a"), id(4, "a")])?;
            same("its attempts", rest.first().map(|l| l.attempts), Some(1))
        },
    )
    .await;

    s.case("a lease says what is known of the delivery", async |rig| {
        rig.ready(at(0), [1], "a").await?;
        let lease = rig.lease_one("a", at(1)).await?;
        same(
            "the delivery",
            &lease.delivery,
            &report(1, &["a"]).deliveries[0],
        )?;
        same("the subject", &lease.subject, &report(1, &["a"]).subject)?;
        same(
            "what was tried",
            (
                lease.attempts,
                lease.unknown,
                &lease.progress,
                lease.enqueued,
            ),
            (0, false, &None, at(0)),
        )?;
        rig.is(&id(1, "a"), DeliveryState::Leased).await?;
        let progress = Some(serde_json::json!({ "done": ["x"] }));
        let later = settled(Ending::RetryAt(at(3)), Outcome::Unknown, at(2));
        rig.settle(&lease, later.with_progress(progress.clone()))
            .await?;
        let again = rig.lease_one("a", at(3)).await?;
        same(
            "what was tried",
            (
                again.attempts,
                again.unknown,
                &again.progress,
                again.enqueued,
            ),
            (1, true, &progress, at(0)),
        )?;
        ensure!(
            again.token != lease.token,
            "two leases have the token {}",
            lease.token
        );
        rig.settle(
            &again,
            settled(Ending::RetryAt(at(5)), Outcome::Retry, at(4)),
        )
        .await?;
        let third = rig.lease_one("a", at(5)).await?;
        same(
            "what was tried",
            (third.attempts, third.unknown, &third.progress),
            (2, false, &progress),
        )
    })
    .await;
}

async fn exclusive(s: &mut Suite<'_>) {
    s.case(
        "of 64 that lease at once no two get the same",
        async |rig| {
            rig.ready(at(0), 0..300, "a").await?;
            let tasks: Vec<_> = (0..CROWD)
                .map(|n| {
                    let outbox = Arc::clone(rig.outbox());
                    tokio::spawn(async move {
                        let mut mine = Vec::new();
                        // More often than there is something: one that never ends is broken.
                        for _ in 0..400 {
                            let request = LeaseRequest::new(1 + n % 3, at(1), secs(60));
                            let got = ok("lease", outbox.lease(&to("a"), request).await)?;
                            if got.is_empty() {
                                break;
                            }
                            mine.extend(got);
                            tokio::task::yield_now().await;
                        }
                        Ok::<_, String>(mine)
                    })
                })
                .collect();
            let mut leases = Vec::new();
            for task in tasks {
                leases.extend(task.await.map_err(|e| e.to_string())??);
            }
            let each: BTreeSet<_> = ids(&leases).into_iter().collect();
            let tokens: BTreeSet<u64> = leases.iter().map(|l| l.token).collect();
            same(
                "the leases, their deliveries and tokens",
                (leases.len(), each.len(), tokens.len()),
                (300, 300, 300),
            )
        },
    )
    .await;

    s.case(
        "where many enqueue, lease and settle at once, everything is sent once",
        async |rig| {
            let mut producers = Vec::new();
            for task in 0..8 {
                let outbox = Arc::clone(rig.outbox());
                producers.push(tokio::spawn(async move {
                    for n in 0..25 {
                        let one = report(task * 100 + n, &["a"]);
                        ok("enqueue", outbox.enqueue(batch(at(n), [one])).await)?;
                        tokio::task::yield_now().await;
                    }
                    Ok::<(), String>(())
                }));
            }
            let workers: Vec<_> = (0..8)
                .map(|_| tokio::spawn(works(Arc::clone(rig.outbox()), 200)))
                .collect();
            for task in producers {
                task.await.map_err(|e| e.to_string())??;
            }
            let mut sent = Vec::new();
            for task in workers {
                sent.extend(task.await.map_err(|e| e.to_string())??);
            }
            let each: BTreeSet<_> = sent.iter().collect();
            same(
                "what was sent, and how often",
                (each.len(), sent.len()),
                (200, 200),
            )
        },
    )
    .await;

    s.case(
        "what is leased is leased to nobody else until the lease runs out",
        async |rig| {
            rig.ready(at(0), [1], "a").await?;
            let request = LeaseRequest::new(9, at(1), secs(60));
            let lost = ok("lease", rig.outbox().lease(&to("a"), request).await)?;
            same("the first lease", ids(&lost), vec![id(1, "a")])?;
            same("what is pending", rig.pending().await?, vec![])?;
            same(
                "a second lease",
                rig.lease("a", 9, at(59_999)).await?.len(),
                0,
            )?;
            same("after the end", rig.lease("a", 9, secs(60)).await?.len(), 1)
        },
    )
    .await;
}

/// Who leases and settles until everything has arrived.
async fn works(outbox: Arc<dyn Outbox>, all: u64) -> Result<Vec<DeliveryId>, String> {
    let mut mine = Vec::new();
    for _ in 0..20_000 {
        let request = LeaseRequest::new(3, secs(1), secs(60));
        for lease in ok("lease_logs", outbox.lease_logs(request).await)? {
            let logs = outbox.settle_logs(&lease, Logs::default()).await;
            ok("settle_logs", logs)?;
        }
        for lease in ok("lease", outbox.lease(&to("a"), request).await)? {
            let done = settled(Ending::Done, Outcome::Delivered, secs(2));
            ok("settle", outbox.settle(&lease, done).await)?;
            mine.push(lease.delivery.id);
        }
        if ok("stats", outbox.stats().await)?.done == all {
            return Ok(mine);
        }
        tokio::task::yield_now().await;
    }
    Err("not everything is sent".to_owned())
}

async fn given_back(s: &mut Suite<'_>) {
    s.case(
        "a lease that runs out counts as an attempt of unknown outcome, and its late answers change nothing",
        async |rig| {
            rig.ready(at(0), [1, 2], "a").await?;
            let lost = rig.lease_one("a", at(1)).await?;
            let progress = serde_json::json!("half");
            rig.save_progress(&lost, progress.clone()).await?;
            let again = rig.lease_one("a", secs(120)).await?;
            same("which is leased", &again.delivery.id, &id(1, "a"))?;
            same(
                "what is said of it",
                (again.attempts, again.unknown, &again.progress),
                (1, true, &Some(progress)),
            )?;
            let story = rig.story(&id(1, "a")).await?;
            same("what is counted", (story.view.attempts, story.view.unknown), (1, 1))?;
            let outcomes: Vec<_> = story.attempts.iter().map(|a| a.outcome).collect();
            same("the attempts", outcomes, vec![Outcome::Unknown])?;
            same("the last", story.view.last.map(|a| a.outcome), Some(Outcome::Unknown))?;
            same("possible doubles", rig.stats().await?.unknown, 1)?;
            rig.is_lost(&lost, secs(121)).await?;
            rig.done(&again, secs(122)).await?;
            rig.is_lost(&again, secs(123)).await
        },
    )
    .await;

    s.case(
        "a lease that is given back is as if nothing had been",
        async |rig| {
            rig.ready(at(0), 1..=3, "a").await?;
            let before = rig.snapshot().await?;
            let leases = rig.lease("a", 2, at(1)).await?;
            for lease in leases.iter().rev() {
                rig.release(lease).await?;
            }
            same("what is kept", rig.snapshot().await?, before)?;
            for lease in &leases {
                rig.is_lost(lease, at(2)).await?;
            }
            let again = rig.lease("a", 9, at(2)).await?;
            same(
                "the order",
                ids(&again),
                vec![id(1, "a"), id(2, "a"), id(3, "a")],
            )?;
            let [again, ..]: [_; 3] = these("leased", again)?;
            same(
                "what was tried",
                (again.attempts, again.unknown),
                (0, false),
            )?;
            let story = rig.story(&id(1, "a")).await?;
            same("its attempts", story.attempts.len(), 0)
        },
    )
    .await;
}

async fn claimed(s: &mut Suite<'_>) {
    s.case(
        "claim takes back at once what was leased, as attempts of unknown outcome",
        async |rig| {
            rig.ready(at(0), 1..=3, "a").await?;
            let lost = rig.lease("a", 2, at(1)).await?;
            same("what is taken back", rig.claim(at(2)).await?, 2)?;
            for lease in &lost {
                let view = rig.view(&lease.delivery.id).await?;
                same(
                    "what is known of it",
                    (view.state, view.attempts, view.unknown),
                    (DeliveryState::Pending, 1, 1),
                )?;
                rig.is_lost(lease, at(3)).await?;
            }
            same("possible doubles", rig.stats().await?.unknown, 2)?;
            let again = rig.lease("a", 9, at(3)).await?;
            same(
                "the order",
                ids(&again),
                vec![id(1, "a"), id(2, "a"), id(3, "a")],
            )?;
            let unknown: Vec<bool> = again.iter().map(|l| l.unknown).collect();
            same("what may have arrived", unknown, vec![true, true, false])?;
            for lease in &again {
                rig.done(lease, at(4)).await?;
            }
            same("what is taken back", rig.claim(at(5)).await?, 0)
        },
    )
    .await;

    s.case(
        "claim brings back what a clock that was set has put off",
        async |rig| {
            rig.ready(at(0), [1], "a").await?;
            rig.ready(at(0), [2], "b").await?;
            rig.ready(at(0), [3], "c").await?;
            let a = rig.lease_one("a", at(1)).await?;
            rig.retry(&a, hours(30), at(1)).await?;
            let b = rig.lease_one("b", at(1)).await?;
            let mut later = settled(Ending::RetryAt(secs(1)), Outcome::Retry, at(1));
            let mut state = notifier_core::DestinationState::default();
            state.not_before = Some(hours(30));
            later.destination = Some(state);
            rig.settle(&b, later).await?;
            let c = rig.lease_one("c", at(1)).await?;
            rig.retry(&c, hours(1), at(1)).await?;
            same("what is due", rig.lease("a", 9, secs(2)).await?.len(), 0)?;
            same("what is due", rig.lease("b", 9, secs(2)).await?.len(), 0)?;
            rig.claim(secs(2)).await?;
            same(
                "what was due tomorrow",
                rig.lease("a", 9, secs(2)).await?.len(),
                1,
            )?;
            same(
                "what was left alone until then",
                rig.lease("b", 9, secs(2)).await?.len(),
                1,
            )?;
            same(
                "what is due in an hour",
                rig.lease("c", 9, secs(2)).await?.len(),
                0,
            )?;
            same(
                "what is due in an hour",
                rig.lease("c", 9, hours(1)).await?.len(),
                1,
            )
        },
    )
    .await;

    s.case(
        "an answer under a token that was never given is refused",
        async |rig| {
            rig.ready(at(0), [1], "a").await?;
            let mut lease = rig.lease_one("a", at(1)).await?;
            lease.token = lease.token.wrapping_add(1_000_000);
            let settled = settled(Ending::Done, Outcome::Delivered, at(2));
            let late = rig.outbox().settle(&lease, settled).await;
            refused(
                "an answer under a token that was never given",
                ErrorKind::Rejected,
                late,
            )?;
            rig.is(&id(1, "a"), DeliveryState::Leased).await
        },
    )
    .await;
}
