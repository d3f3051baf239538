//! What comes in.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use notifier_core::{DeliveryState, EnqueueBatch, ErrorKind, NewReport, Notice, Subject};

use super::{
    Suite,
    rig::{
        SOURCE, at, batch, ensure, failure, grouped, id, notice, ok, refused, report, retryable,
        same, secs, these, to,
    },
};

pub(super) async fn cases(s: &mut Suite<'_>) {
    s.case(
        "what is enqueued is there as it was given, in order",
        async |rig| {
            let reports: Vec<NewReport> = (0..3).map(|n| report(n, &["a", "b"])).collect();
            let done = rig.put(at(5), reports.clone()).await?;
            same(
                "what was counted",
                (done.repeated, done.deliveries, done.held, done.silenced),
                (0, 6, 0, 0),
            )?;
            let views = rig.all().await?;
            let must = reports
                .iter()
                .flat_map(|r| r.deliveries.iter().map(|d| (d.clone(), r.subject.clone())));
            same("the number of deliveries", views.len(), 6)?;
            for (view, (delivery, subject)) in views.iter().zip(must) {
                same("the delivery", &view.delivery, &delivery)?;
                same("its key", &view.key, &subject.key())?;
                same("what it is about", &view.about, &subject.about())?;
                same(
                    "its state",
                    (view.state, view.attempts, view.unknown, view.generation),
                    (DeliveryState::Pending, 0, 0, 0),
                )?;
                same(
                    "its times",
                    (view.enqueued, view.due, view.finished),
                    (at(5), at(5), None),
                )?;
                ensure!(
                    view.last.is_none() && view.progress.is_none() && view.digest.is_none(),
                    "something is known of an attempt that was not made: {view:?}"
                );
                let story = rig.story(&delivery.id).await?;
                same("the subject", &story.subject, &subject)?;
                ensure!(
                    story.logs.is_none() && story.attempts.is_empty() && story.folds == 0,
                    "its story is {story:?}"
                );
            }
            ensure!(
                views.windows(2).all(|w| w[0].sequence < w[1].sequence),
                "the sequence numbers do not rise"
            );
            same(
                "the stories",
                rig.outbox()
                    .story(&id(9, "a"))
                    .await
                    .ok()
                    .flatten()
                    .is_none(),
                true,
            )
        },
    )
    .await;

    s.case("a key that was seen is not enqueued again", async |rig| {
        let done = rig
            .enqueue(batch(at(0), [report(1, &["a"]), report(1, &["a"])]))
            .await?;
        same(
            "twice in a batch",
            (done.new, done.repeated, done.deliveries),
            (1, 1, 1),
        )?;
        let done = rig.enqueue(batch(at(1), [report(1, &["b"])])).await?;
        same(
            "in a later batch",
            (done.new, done.repeated, done.deliveries),
            (0, 1, 0),
        )?;
        rig.settle_all_logs(at(2)).await?;
        let lease = rig.lease_one("a", at(2)).await?;
        rig.done(&lease, at(3)).await?;
        let done = rig.enqueue(batch(at(4), [report(1, &["a"])])).await?;
        same("after it arrived", (done.new, done.repeated), (0, 1))?;
        let other = EnqueueBatch::new("another source", at(4)).with(report(1, &["a"]));
        same("from another source", rig.enqueue(other).await?.repeated, 1)?;

        let mut seen = batch(at(5), []);
        seen.seen = vec![failure(2).key];
        rig.enqueue(seen).await?;
        let done = rig.enqueue(batch(at(6), [report(2, &["a"])])).await?;
        same("marked as seen", (done.new, done.repeated), (0, 1))?;

        let done = rig.enqueue(batch(at(7), [report(3, &[])])).await?;
        same("told to nobody", (done.new, done.deliveries), (1, 0))?;
        let done = rig.enqueue(batch(at(8), [report(3, &["a"])])).await?;
        same("told to nobody before", (done.new, done.repeated), (0, 1))?;
        same("the number of deliveries", rig.all().await?.len(), 1)?;
        same("the number of keys", rig.stats().await?.seen, 3)
    })
    .await;

    s.case(
        "each source has its cursor, that of its last batch",
        async |rig| {
            same("the first cursor", rig.cursor(SOURCE).await?, None)?;
            for (n, value) in [serde_json::json!({"page": [1, null]}), serde_json::json!(7)]
                .into_iter()
                .enumerate()
            {
                let mut b = batch(at(n as u64), [report(n as u64, &["a"])]);
                b.cursor = Some(value.clone());
                rig.enqueue(b).await?;
                rig.put(at(9), [report(10 + n as u64, &["a"])]).await?;
                same("the cursor", rig.cursor(SOURCE).await?, Some(value))?;
            }
            let mut other = EnqueueBatch::new("another source", at(10));
            other.cursor = Some(serde_json::json!("mine"));
            rig.enqueue(other).await?;
            same(
                "the cursor",
                rig.cursor(SOURCE).await?,
                Some(serde_json::json!(7)),
            )?;
            same(
                "the other's cursor",
                rig.cursor("another source").await?,
                Some(serde_json::json!("mine")),
            )
        },
    )
    .await;

    s.case_of(
        "a batch over the limit is refused, and nothing of it is kept",
        10,
        async |rig| {
            rig.ready(at(0), 0..8, "a").await?;
            let before = rig.snapshot().await?;
            let mut over = batch(at(1), (100..103).map(|n| report(n, &["a"])));
            over.cursor = Some(serde_json::json!("new"));
            over.seen = vec![failure(200).key];
            match rig.outbox().enqueue(over.clone()).await {
                Err(e) if e.kind() == ErrorKind::Full => retryable("a full outbox", &e)?,
                r => return Err(format!("three in the place of two: {r:?}")),
            }
            same("what is kept", rig.snapshot().await?, before)?;
            same("the cursor", rig.cursor(SOURCE).await?, None)?;
            let done = rig
                .put(at(2), [report(100, &["a"]), report(200, &["a"])])
                .await?;
            same("what was refused before", done.new, 2)?;
            let full = rig.outbox().enqueue(batch(at(3), [report(300, &["a"])]));
            refused("one more", ErrorKind::Full, full.await)
        },
    )
    .await;

    s.case_of("what is finished makes room", 4, async |rig| {
        rig.ready(at(0), 0..4, "a").await?;
        let [done, dead, later] = these("leased", rig.lease("a", 3, at(1)).await?)?;
        let one = |n| batch(at(2), [report(n, &["a"])]);
        let full = rig.outbox().enqueue(one(10)).await;
        refused("while three of them are leased", ErrorKind::Full, full)?;
        rig.done(&done, at(2)).await?;
        same("after one is done", rig.enqueue(one(10)).await?.new, 1)?;
        rig.dead(&dead, at(2)).await?;
        same("after one is dead", rig.enqueue(one(11)).await?.new, 1)?;
        rig.retry(&later, secs(9), at(2)).await?;
        let full = rig.outbox().enqueue(one(12)).await;
        refused("after one is to be tried again", ErrorKind::Full, full)?;
        rig.discard(&later.delivery.id, at(3)).await?;
        same("after one is dropped", rig.enqueue(one(12)).await?.new, 1)?;
        let stats = rig.stats().await?;
        same("what is open", (stats.open(), stats.capacity), (4, 4))
    })
    .await;

    s.case_of(
        "a batch that is larger than all there is room for is taken by an empty outbox",
        2,
        async |rig| {
            rig.put(at(0), (0..5).map(|n| report(n, &["a"]))).await?;
            let one = batch(at(1), [report(10, &["a"])]);
            refused(
                "one more",
                ErrorKind::Full,
                rig.outbox().enqueue(one.clone()).await,
            )?;
            rig.settle_all_logs(at(1)).await?;
            for lease in rig.lease("a", 4, at(1)).await? {
                rig.done(&lease, at(1)).await?;
            }
            same("one where one is open", rig.enqueue(one).await?.new, 1)?;
            let large = batch(at(2), (20..25).map(|n| report(n, &["a"])));
            refused(
                "a large one while something is open",
                ErrorKind::Full,
                rig.outbox().enqueue(large).await,
            )
        },
    )
    .await;

    s.case_of(
        "what needs no room is taken though it is full",
        2,
        async |rig| {
            rig.put(at(0), (0..5).map(|n| report(n, &["a"]))).await?;
            let mut b = batch(at(1), [report(1, &["a"]), report(6, &[])]);
            b.reports
                .push(report(7, &["a"]).with_silence("maintenance"));
            b.seen = vec![failure(8).key];
            b.cursor = Some(serde_json::json!(1));
            let done = rig.enqueue(b).await?;
            same(
                "what was counted",
                (done.new, done.repeated, done.silenced),
                (2, 1, 1),
            )?;
            same(
                "the cursor",
                rig.cursor(SOURCE).await?,
                Some(serde_json::json!(1)),
            )?;
            same("the number of keys", rig.stats().await?.seen, 8)
        },
    )
    .await;

    s.case_of(
        "notices are not refused though it is full",
        2,
        async |rig| {
            rig.put(at(0), (0..2).map(|n| report(n, &["a"]))).await?;
            let recovery = Notice::new(to("a").as_str(), "works again", at(0));
            let recovery = Subject::Recovery(Arc::new(recovery));
            let mut second = notice("a", at(0), "c");
            second.subject = recovery;
            second.deliveries[0].id = id(77, "c");
            let done = rig.put(at(1), [notice("a", at(0), "b"), second]).await?;
            same("what was kept", done.deliveries, 2)?;
            same("what is open", rig.stats().await?.open(), 4)
        },
    )
    .await;

    s.case_of("what is held takes room", 3, async |rig| {
        rig.put(at(0), (0..3).map(|n| grouped(n, &["a"], "web", 5)))
            .await?;
        same("what is held", rig.stats().await?.held, 2)?;
        let more = batch(at(1), [grouped(3, &["a"], "web", 5)]);
        refused(
            "one more",
            ErrorKind::Full,
            rig.outbox().enqueue(more).await,
        )?;
        same("what is folded", rig.fold(secs(300)).await?.deliveries, 2)?;
        let stats = rig.stats().await?;
        same("what is folded", (stats.folded, stats.open()), (2, 4))?;
        let more = batch(secs(301), [report(4, &["b"])]);
        refused(
            "one more",
            ErrorKind::Full,
            rig.outbox().enqueue(more).await,
        )
    })
    .await;

    s.case("many at once enqueue each key once", async |rig| {
        let tasks: Vec<_> = (0..32u64)
            .map(|task| {
                let outbox = Arc::clone(rig.outbox());
                tokio::spawn(async move {
                    let mut new = 0;
                    for n in 0..16u64 {
                        let mine = report(1000 + task * 100 + n, &["a"]);
                        let shared = report(n, &["a", "b"]);
                        let done = outbox.enqueue(batch(at(n), [mine, shared])).await;
                        new += ok("enqueue", done)?.new;
                        tokio::task::yield_now().await;
                    }
                    Ok::<u64, String>(new)
                })
            })
            .collect();
        let mut new = 0;
        for task in tasks {
            new += task.await.map_err(|e| e.to_string())??;
        }
        same("the new ones", new, 32 * 16 + 16)?;
        let views = rig.all().await?;
        let ids: BTreeSet<_> = views.iter().map(|v| &v.delivery.id).collect();
        same("the deliveries", (views.len(), ids.len()), (544, 544))
    })
    .await;

    s.case(
        "a call that is dropped has happened wholly or not at all",
        async |rig| {
            for n in 0..60u64 {
                let before = rig.all().await?.len();
                let mut b = batch(
                    at(n),
                    [report(n * 10, &["a", "b"]), report(n * 10 + 1, &["a"])],
                );
                b.cursor = Some(serde_json::json!(n));
                let call = rig.outbox().enqueue(b);
                // Dropped before it is begun, at its first pause, or a little later.
                match n % 3 {
                    0 => drop(call),
                    1 => drop(tokio::time::timeout(Duration::ZERO, call).await),
                    _ => drop(tokio::time::timeout(Duration::from_micros(n * 20), call).await),
                }
                // What comes behind it is behind whatever came of it.
                rig.put(at(n), [report(n * 10 + 2, &[])]).await?;
                let cursor = rig.cursor(SOURCE).await? == Some(serde_json::json!(n));
                let added = rig.all().await?.len() - before;
                same("what was added", added, if cursor { 3 } else { 0 })?;
                let again = batch(at(n), [report(n * 10, &[]), report(n * 10 + 1, &[])]);
                let repeated = rig.enqueue(again).await?.repeated;
                same(
                    "the keys that were seen",
                    repeated,
                    if cursor { 2 } else { 0 },
                )?;
            }
            Ok(())
        },
    )
    .await;
}
