//! What other processes may do.

use notifier_core::{DeliveryState, ErrorKind, Silence};

use super::{
    Suite,
    rig::{WATCHER, at, batch, ensure, hours, id, ids, ok, refused, report, same, secs},
};

pub(super) async fn cases(s: &mut Suite<'_>) {
    s.shared_case(
        "only one process leases, and another one is told who does",
        async |rig| {
            rig.ready(at(0), [1], "a").await?;
            let other = rig.beside().await?;
            let Err(e) = other.claim("second", at(1)).await else {
                return Err("another process claims it as well".to_owned());
            };
            same("the kind of error", e.kind(), ErrorKind::Config)?;
            ensure!(
                e.to_string().contains(WATCHER),
                "{WATCHER} is not named in {e}"
            );
            same("what is leased", rig.lease("a", 9, at(2)).await?.len(), 1)
        },
    )
    .await;

    s.shared_case(
        "when the process that leases has ended, another one may lease",
        async |rig| {
            rig.ready(at(0), [1, 2], "a").await?;
            let lost = rig.lease_one("a", at(1)).await?;
            let other = rig.beside().await?;
            rig.crash_only().await?;
            same(
                "what is taken back",
                ok("claim", other.claim("second", at(2)).await)?,
                1,
            )?;
            refused(
                "a second claim",
                ErrorKind::Config,
                rig.outbox().claim(WATCHER, at(3)).await,
            )?;
            let late = other.release(&lost).await;
            refused("a late answer", ErrorKind::Rejected, late)?;
            drop(other);
            same("what is taken back", rig.claim(at(4)).await?, 0)?;
            let leases = rig.lease("a", 9, at(4)).await?;
            same("what is leased", ids(&leases), vec![id(1, "a"), id(2, "a")])
        },
    )
    .await;

    s.shared_case(
        "another process enqueues, looks and changes while one leases",
        async |rig| {
            rig.ready(at(0), 1..=4, "a").await?;
            let first = rig.lease_one("a", at(1)).await?;
            let other = rig.beside().await?;
            let done = other
                .enqueue(batch(at(2), [report(1, &["a"]), report(5, &["a"])]))
                .await;
            let done = ok("enqueue", done)?;
            same("what was counted", (done.new, done.repeated), (1, 1))?;
            let story = ok("story", other.story(&id(1, "a")).await)?;
            same(
                "what is leased",
                story.map(|s| s.view.state),
                Some(DeliveryState::Leased),
            )?;
            let leased = other.discard(&id(1, "a"), at(3)).await;
            refused("to drop what is leased", ErrorKind::Rejected, leased)?;
            ok("discard", other.discard(&id(2, "a"), at(3)).await)?;
            rig.done(&first, at(4)).await?;
            let again = ok("replay", other.replay(WATCHER, &id(1, "a"), at(5)).await)?;
            let condition = ok("a condition", "name=web".parse())?;
            let silence = Silence::new("s", vec![condition], hours(0), hours(1));
            ok("put_silence", other.put_silence(silence.clone()).await)?;
            let stats = ok("stats", other.stats().await)?;
            same("the counts", stats, rig.stats().await?)?;
            drop(other);
            same(
                "the silences",
                ok("silences", rig.outbox().silences().await)?,
                vec![silence],
            )?;
            rig.settle_all_logs(at(6)).await?;
            let leases = rig.lease("a", 9, secs(1)).await?;
            let must = vec![id(3, "a"), id(4, "a"), id(5, "a"), again];
            same("what is leased", ids(&leases), must)
        },
    )
    .await;

    s.shared_case(
        "two processes that enqueue at once enqueue each key once",
        async |rig| {
            let handles = [std::sync::Arc::clone(rig.outbox()), rig.beside().await?];
            let tasks = handles.map(|outbox| {
                tokio::spawn(async move {
                    let mut new = 0;
                    for n in 0..50 {
                        let done = outbox.enqueue(batch(at(n), [report(n, &["a", "b"])])).await;
                        new += ok("enqueue", done)?.new;
                        tokio::task::yield_now().await;
                    }
                    Ok::<u64, String>(new)
                })
            });
            let mut new = 0;
            for task in tasks {
                new += task.await.map_err(|e| e.to_string())??;
            }
            same("the new ones", new, 50)?;
            same("the deliveries", rig.all().await?.len(), 100)
        },
    )
    .await;
}
