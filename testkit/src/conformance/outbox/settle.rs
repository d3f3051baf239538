//! What comes of an attempt.

use notifier_core::{
    DeliveryState, Destination, DestinationState, Outcome, Verdict as Ending, jiff::Timestamp,
};

use super::{
    Suite,
    rig::{Rig, at, ensure, failure, id, ids, notice, ok, report, same, secs, settled, these, to},
};

/// How a destination stands, as far as anything is kept.
pub(super) async fn standing(rig: &Rig<'_>, name: &str) -> Result<DestinationState, String> {
    let all = ok("destinations", rig.outbox().destinations().await)?;
    let mut found = all.into_iter().filter(|(d, _)| *d == to(name));
    let state = found.next().map(|(_, state)| state).unwrap_or_default();
    ensure!(found.next().is_none(), "{name} stands there twice");
    Ok(state)
}

fn left_alone(until: Timestamp) -> DestinationState {
    let mut state = DestinationState::default();
    state.not_before = Some(until);
    state.strikes = 3;
    state.given_up = 1;
    state.failing_since = Some(at(1));
    state.refuses = true;
    state.noticed = Some(at(2));
    state
}

pub(super) async fn cases(s: &mut Suite<'_>) {
    endings(s).await;
    destinations(s).await;

    s.case(
        "what is told because of an attempt is kept with it, once",
        async |rig| {
            rig.ready(at(0), [1, 2], "a").await?;
            for lease in rig.lease("a", 2, at(1)).await? {
                let mut done = settled(Ending::Dead, Outcome::Dead, at(2));
                done.notices = vec![notice("a", at(1), "b"), notice("a", at(1), "c")];
                rig.settle(&lease, done).await?;
            }
            let [told] = these("leased for b", rig.lease("b", 9, at(2)).await?)?;
            same(
                "its kind",
                (told.subject.kind(), told.enqueued),
                ("notice", at(2)),
            )?;
            same(
                "the subject",
                &told.subject,
                &notice("a", at(1), "b").subject,
            )?;
            // A second report of one key is a repeat, wherever it goes.
            same("at c", rig.lease("c", 9, at(2)).await?.len(), 0)
        },
    )
    .await;

    s.case(
        "what waits is pending from when the first of it can be leased",
        async |rig| {
            rig.put(at(5), [report(1, &["a", "b", "c"]), report(2, &["a", "b"])])
                .await?;
            same("before the logs are settled", rig.pending().await?, vec![])?;
            rig.settle_all_logs(at(6)).await?;
            let each = |a: Timestamp, b: Timestamp| {
                let mut all = vec![(to("a"), a), (to("b"), b)];
                all.sort();
                all
            };
            // What is due may be so from any time before.
            let now = at(9);
            let from_now = |pending: Vec<(Destination, Timestamp)>| -> Vec<_> {
                pending
                    .into_iter()
                    .map(|(d, due)| (d, due.max(now)))
                    .collect()
            };
            let c = rig.lease_one("c", at(6)).await?;
            same("at first", from_now(rig.pending().await?), each(now, now))?;
            rig.done(&c, at(7)).await?;
            for lease in rig.lease("a", 2, at(8)).await? {
                let due = if lease.delivery.id == id(1, "a") {
                    90
                } else {
                    40
                };
                rig.retry(&lease, secs(due), at(9)).await?;
            }
            same(
                "after two attempts",
                from_now(rig.pending().await?),
                each(secs(40), now),
            )?;
            let lease = rig.lease_one("b", at(9)).await?;
            let mut later = settled(Ending::RetryAt(secs(1)), Outcome::Retry, at(9));
            later.destination = Some(left_alone(secs(70)));
            rig.settle(&lease, later).await?;
            same(
                "after b is left alone",
                rig.pending().await?,
                each(secs(40), secs(70)),
            )?;
            let lease = rig.lease_one("a", secs(40)).await?;
            same("the first that is due", &lease.delivery.id, &id(2, "a"))?;
            same(
                "while one is leased",
                rig.pending().await?,
                each(secs(90), secs(70)),
            )
        },
    )
    .await;

    s.case(
        "the counter moves when there may be something new to lease",
        async |rig| {
            let mut changes = rig.outbox().changes();
            let mut moved = |what: &str| {
                let moved = ok(
                    what,
                    changes.has_changed().map_err(|_| {
                        notifier_core::Error::internal("nobody moves the counter any more")
                    }),
                )?;
                changes.mark_unchanged();
                ensure!(moved, "it does not move with {what}");
                Ok(())
            };
            rig.put(at(0), [report(1, &["a"])]).await?;
            moved("enqueue")?;
            rig.settle_all_logs(at(0)).await?;
            moved("settle_logs")?;
            let lease = rig.lease_one("a", at(1)).await?;
            rig.retry(&lease, at(2), at(1)).await?;
            moved("settle")?;
            let lease = rig.lease_one("a", at(2)).await?;
            rig.release(&lease).await?;
            moved("release")?;
            let lease = rig.lease_one("a", at(2)).await?;
            rig.done(&lease, at(3)).await?;
            rig.replay(&id(1, "a"), at(4)).await?;
            moved("replay")
        },
    )
    .await;
}

async fn endings(s: &mut Suite<'_>) {
    s.case(
        "what is done is kept as done, and not leased again",
        async |rig| {
            rig.ready(at(0), [1, 2], "a").await?;
            let lease = rig.lease_one("a", at(1)).await?;
            let done = settled(Ending::Done, Outcome::Delivered, at(7));
            let progress = serde_json::json!("all");
            rig.settle(&lease, done.clone().with_progress(Some(progress.clone())))
                .await?;
            let view = rig.view(&id(1, "a")).await?;
            same(
                "its state",
                (view.state, view.attempts, view.unknown),
                (DeliveryState::Done, 1, 0),
            )?;
            same(
                "its times",
                (view.finished, view.enqueued),
                (Some(at(7)), at(0)),
            )?;
            same("the last attempt", view.last, Some(done.attempt))?;
            same("its progress", view.progress, Some(progress))?;
            same(
                "the others",
                ids(&rig.lease("a", 9, secs(500)).await?),
                vec![id(2, "a")],
            )?;
            rig.is_lost(&lease, secs(501)).await
        },
    )
    .await;

    s.case("what is given up is kept as a dead letter", async |rig| {
        rig.ready(at(0), [1], "a").await?;
        let lease = rig.lease_one("a", at(1)).await?;
        rig.dead(&lease, at(7)).await?;
        let view = rig.view(&id(1, "a")).await?;
        same(
            "its state",
            (view.state, view.finished),
            (DeliveryState::Dead, Some(at(7))),
        )?;
        same("its key", view.key, failure(1).key)?;
        same(
            "what is leased",
            rig.lease("a", 9, secs(500)).await?.len(),
            0,
        )?;
        same("dead letters", rig.stats().await?.dead, 1)
    })
    .await;

    s.case("every attempt is kept as it was", async |rig| {
        rig.ready(at(0), [1], "a").await?;
        let mut must = Vec::new();
        for (n, outcome) in [
            Outcome::Retry,
            Outcome::Unknown,
            Outcome::Unknown,
            Outcome::Retry,
        ]
        .into_iter()
        .enumerate()
        {
            let now = secs(n as u64);
            let lease = rig.lease_one("a", now).await?;
            let mut later = settled(Ending::RetryAt(secs(n as u64 + 1)), outcome, now);
            later.attempt.code = (n % 2 == 0).then(|| format!("code {n}"));
            later.attempt.latency_ms = 100 + n as u64;
            must.push(later.attempt.clone());
            rig.settle(&lease, later).await?;
            let view = rig.view(&id(1, "a")).await?;
            same(
                "its state",
                (view.state, view.due),
                (DeliveryState::Pending, secs(n as u64 + 1)),
            )?;
        }
        let story = rig.story(&id(1, "a")).await?;
        same("the attempts", &story.attempts, &must)?;
        same("the last", story.view.last.as_ref(), must.last())?;
        same(
            "what is counted",
            (story.view.attempts, story.view.unknown),
            (4, 2),
        )?;
        same("possible doubles", rig.stats().await?.unknown, 2)
    })
    .await;

    s.case(
        "progress is kept until there is other progress",
        async |rig| {
            rig.ready(at(0), [1], "a").await?;
            let json = |n: u64| serde_json::json!({ "step": n, "of": ["a", 1.5, null] });
            let lease = rig.lease_one("a", at(1)).await?;
            rig.save_progress(&lease, json(1)).await?;
            same(
                "what was saved",
                rig.view(&id(1, "a")).await?.progress,
                Some(json(1)),
            )?;
            rig.is(&id(1, "a"), DeliveryState::Leased).await?;
            rig.retry(&lease, at(2), at(2)).await?;
            let lease = rig.lease_one("a", at(2)).await?;
            same(
                "after an attempt that says nothing",
                lease.progress.clone(),
                Some(json(1)),
            )?;
            let later = settled(Ending::RetryAt(at(3)), Outcome::Retry, at(3));
            rig.settle(&lease, later.with_progress(Some(json(2))))
                .await?;
            let lease = rig.lease_one("a", at(3)).await?;
            same("after one that does", lease.progress, Some(json(2)))
        },
    )
    .await;
}

async fn destinations(s: &mut Suite<'_>) {
    s.case(
        "how a destination stands is kept until it stands otherwise",
        async |rig| {
            rig.ready(at(0), 1..=4, "a").await?;
            same(
                "what is kept of any",
                ok("destinations", rig.outbox().destinations().await)?,
                vec![],
            )?;
            let kept = left_alone(at(3));
            for (n, (given, must)) in [
                (None, DestinationState::default()),
                (Some(kept), kept),
                (None, kept),
                (
                    Some(DestinationState::default()),
                    DestinationState::default(),
                ),
            ]
            .into_iter()
            .enumerate()
            {
                let now = at(10 + n as u64);
                let lease = rig.lease_one("a", now).await?;
                let mut done = settled(Ending::Done, Outcome::Delivered, now);
                done.destination = given;
                rig.settle(&lease, done).await?;
                same("how it stands", standing(rig, "a").await?, must)?;
                same(
                    "how another stands",
                    standing(rig, "b").await?,
                    DestinationState::default(),
                )?;
            }
            Ok(())
        },
    )
    .await;

    s.case(
        "nothing is leased while the destination is left alone, and others are",
        async |rig| {
            rig.ready(at(0), [1, 2], "a").await?;
            rig.ready(at(0), [3], "b").await?;
            let lease = rig.lease_one("a", at(1)).await?;
            let mut later = settled(Ending::RetryAt(at(2)), Outcome::Retry, at(1));
            later.destination = Some(left_alone(secs(30)));
            rig.settle(&lease, later).await?;
            rig.put(at(2), [notice("x", at(2), "a")]).await?;
            same(
                "at a, before",
                rig.lease("a", 9, at(29_999)).await?.len(),
                0,
            )?;
            same("at b", rig.lease("b", 9, at(3)).await?.len(), 1)?;
            same("at a, then", rig.lease("a", 9, secs(30)).await?.len(), 3)
        },
    )
    .await;
}
