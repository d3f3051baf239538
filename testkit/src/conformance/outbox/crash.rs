//! What outlives the process.

use notifier_core::{
    DeliveryState, DestinationState, ErrorKind, Outcome, Silence, Verdict as Ending,
};

use super::{
    Suite,
    admin::{recount, some_of_each},
    logs::found,
    rig::{
        SOURCE, at, batch, failure, hours, id, ids, notice, ok, refused, report, same, secs,
        settled, these,
    },
    settle::standing,
};

pub(super) async fn cases(s: &mut Suite<'_>) {
    s.durable_case(
        "everything that was acknowledged outlives a crash",
        async |rig| {
            some_of_each(rig).await?;
            // What is leased is looked at before anybody takes it back.
            let before = rig.snapshot().await?;
            rig.crash_only().await?;
            same("what is kept", rig.snapshot().await?, before)?;
            same("what is taken back", rig.claim(secs(400)).await?, 2)?;
            let before = rig.snapshot().await?;
            rig.crash_only().await?;
            same("what is kept", rig.snapshot().await?, before)?;
            recount(rig).await
        },
    )
    .await;

    s.durable_case(
        "keys, cursors and what is to be sent outlive a crash",
        async |rig| {
            let mut b = batch(at(0), [report(1, &["a", "b"]), report(2, &[])]);
            b.seen = vec![failure(3).key];
            b.cursor = Some(serde_json::json!({ "at": [1, 2, 3] }));
            rig.enqueue(b.clone()).await?;
            for n in 0..3 {
                rig.crash(at(1)).await?;
                let cursor = rig.cursor(SOURCE).await?;
                same(
                    "the cursor",
                    cursor,
                    Some(serde_json::json!({ "at": [1, 2, 3] })),
                )?;
                let again = batch(
                    at(2),
                    [report(1, &["a"]), report(2, &["a"]), report(3, &["a"])],
                );
                same("the repeated ones", rig.enqueue(again).await?.repeated, 3)?;
                let views = rig.all().await?;
                same("what there is", views.len(), 2 + n)?;
                let first = views.first().map(|v| &v.delivery);
                same("the first", first, b.reports[0].deliveries.first())?;
                rig.put(at(3), [report(10 + n as u64, &["a"])]).await?;
            }
            Ok(())
        },
    )
    .await;

    s.durable_case(
        "nothing that is finished is leased after a crash",
        async |rig| {
            rig.ready(at(0), 1..=5, "a").await?;
            let [first, ..]: [_; 4] = these("leased", rig.lease("a", 4, at(1)).await?)?;
            rig.done(&first, at(2)).await?;
            rig.crash_only().await?;
            rig.is(&id(1, "a"), DeliveryState::Done).await?;
            rig.claim(at(3)).await?;
            let leases = rig.lease("a", 2, at(3)).await?;
            same("what is leased", ids(&leases), vec![id(2, "a"), id(3, "a")])?;
            let [second, _] = these("leased", leases)?;
            rig.dead(&second, at(4)).await?;
            rig.crash(at(4)).await?;
            rig.discard(&id(4, "a"), at(5)).await?;
            rig.crash(at(5)).await?;
            let leases = rig.lease("a", 9, at(6)).await?;
            same("what is leased", ids(&leases), vec![id(3, "a"), id(5, "a")])?;
            for (n, state) in [
                (1, DeliveryState::Done),
                (2, DeliveryState::Dead),
                (4, DeliveryState::Dropped),
            ] {
                rig.is(&id(n, "a"), state).await?;
            }
            Ok(())
        },
    )
    .await;

    s.durable_case("what was leased at a crash may have arrived", async |rig| {
        rig.ready(at(0), 1..=3, "a").await?;
        let lost = rig.lease("a", 2, at(1)).await?;
        same("what is taken back", rig.crash(at(2)).await?, 2)?;
        let again = rig.lease("a", 9, at(3)).await?;
        same(
            "the order",
            ids(&again),
            vec![id(1, "a"), id(2, "a"), id(3, "a")],
        )?;
        let said: Vec<_> = again.iter().map(|l| (l.attempts, l.unknown)).collect();
        same(
            "what is said of them",
            said,
            vec![(1, true), (1, true), (0, false)],
        )?;
        same("possible doubles", rig.stats().await?.unknown, 2)?;
        for lease in &lost {
            rig.is_lost(lease, at(4)).await?;
        }
        let story = rig.story(&id(1, "a")).await?;
        let outcomes: Vec<_> = story.attempts.iter().map(|a| a.outcome).collect();
        same("the attempts", outcomes, vec![Outcome::Unknown])
    })
    .await;

    s.durable_case(
        "tokens from before a crash are not given again",
        async |rig| {
            let mut tokens = std::collections::BTreeSet::new();
            rig.ready(at(0), 1..=3, "a").await?;
            for n in 0..5 {
                for lease in rig.lease("a", 9, at(n)).await? {
                    let token = lease.token;
                    if !tokens.insert(token) {
                        return Err(format!("the token {token} is given twice"));
                    }
                }
                rig.crash(at(n + 1)).await?;
            }
            same("the tokens", tokens.len(), 15)
        },
    )
    .await;

    s.durable_case(
        "progress outlives a crash, also in the middle of an attempt",
        async |rig| {
            rig.ready(at(0), [1], "a").await?;
            let json = |n: u64| serde_json::json!({ "step": n });
            let lease = rig.lease_one("a", at(1)).await?;
            rig.save_progress(&lease, json(1)).await?;
            rig.crash(at(2)).await?;
            let lease = rig.lease_one("a", at(2)).await?;
            same("what was saved", lease.progress.clone(), Some(json(1)))?;
            let later = settled(Ending::RetryAt(at(3)), Outcome::Retry, at(3));
            rig.settle(&lease, later.with_progress(Some(json(2))))
                .await?;
            rig.crash(at(3)).await?;
            let lease = rig.lease_one("a", at(3)).await?;
            same(
                "what was kept",
                (lease.progress, lease.attempts, lease.unknown),
                (Some(json(2)), 2, false),
            )
        },
    )
    .await;

    s.durable_case(
        "how a destination stands, and what is told of it, outlive a crash",
        async |rig| {
            rig.ready(at(0), [1], "a").await?;
            let lease = rig.lease_one("a", at(1)).await?;
            let mut later = settled(Ending::RetryAt(at(5)), Outcome::Retry, at(1));
            let mut state = DestinationState::default();
            (state.not_before, state.strikes) = (Some(secs(60)), 4);
            later.destination = Some(state);
            later.notices = vec![notice("a", at(1), "b")];
            rig.settle(&lease, later).await?;
            rig.crash(at(2)).await?;
            same("how it stands", standing(rig, "a").await?, state)?;
            same("before", rig.lease("a", 9, at(59_999)).await?.len(), 0)?;
            same("then", rig.lease("a", 9, secs(60)).await?.len(), 1)?;
            same(
                "what is told of it",
                rig.lease_one("b", at(3)).await?.subject.kind(),
                "notice",
            )
        },
    )
    .await;

    s.durable_case(
        "logs outlive a crash, and who looked for them is forgotten",
        async |rig| {
            rig.put(at(0), [report(1, &["a"]), report(2, &["a"])])
                .await?;
            let [settled, lost] = these("looked for", rig.lease_logs(9, at(1)).await?)?;
            rig.settle_logs(&settled, found(1)).await?;
            rig.crash(at(2)).await?;
            let late = rig.outbox().settle_logs(&lost, found(9)).await;
            refused("logs under a lost lease", ErrorKind::Rejected, late)?;
            same("its logs", rig.lease_one("a", at(2)).await?.logs, found(1))?;
            let [again] = these("looked for", rig.lease_logs(9, at(2)).await?)?;
            same("whose", &again.record.key, &failure(2).key)
        },
    )
    .await;

    s.durable_case("silences outlive a crash", async |rig| {
        let condition = ok("a condition", "label.team=~^ops".parse())?;
        let silence = Silence::new("s", vec![condition], hours(0), hours(2));
        ok(
            "put_silence",
            rig.outbox().put_silence(silence.clone()).await,
        )?;
        rig.crash(at(1)).await?;
        same(
            "all",
            ok("silences", rig.outbox().silences().await)?,
            vec![silence],
        )
    })
    .await;

    s.durable_case("replays outlive a crash", async |rig| {
        rig.ready(at(0), [1], "a").await?;
        let lease = rig.lease_one("a", at(1)).await?;
        rig.done(&lease, at(2)).await?;
        let again = rig.replay(&id(1, "a"), at(3)).await?;
        rig.crash(at(4)).await?;
        let lease = rig.lease_one("a", at(5)).await?;
        same("what is sent", lease.delivery.id, again)?;
        same(
            "its generation",
            rig.story(&id(1, "a")).await?.view.generation,
            0,
        )
    })
    .await;
}
