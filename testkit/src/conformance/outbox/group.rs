//! What is held, and told together.

use std::{collections::BTreeMap, sync::Arc};

use notifier_core::{
    DeliveryFilter, DeliveryId, DeliveryState, Digest, FailureRecord, Grouping, Lease, Outcome,
    Subject, Verdict as Ending, jiff::Timestamp,
};

use super::{
    Suite,
    logs::found,
    rig::{
        REPORTER, Rig, Verdict, WATCHER, at, ensure, failure, grouped, id, ids, report, same, secs,
        settled, these, to, told,
    },
};

/// The digest that a lease is about.
fn digest(lease: &Lease) -> Result<Arc<Digest>, String> {
    match &lease.subject {
        Subject::Digest(d) => Ok(Arc::clone(d)),
        other => Err(format!("a {} is leased, not a digest", other.kind())),
    }
}

/// One told, `held` held, and a digest of these, whose logs are settled.
pub(super) async fn folded(rig: &Rig<'_>, held: u64) -> Result<Lease, String> {
    rig.put(at(0), (0..=held).map(|n| grouped(n, &["a"], "web", 5)))
        .await?;
    rig.settle_all_logs(at(0)).await?;
    let first = rig.lease_one("a", at(1)).await?;
    rig.done(&first, at(2)).await?;
    let folded = rig.fold(secs(300)).await?;
    same(
        "what was folded",
        (folded.digests, folded.deliveries),
        (1, held),
    )?;
    rig.settle_all_logs(secs(300)).await?;
    rig.lease_one("a", secs(300)).await
}

async fn states(
    rig: &Rig<'_>,
    numbers: std::ops::RangeInclusive<u64>,
    must: DeliveryState,
) -> Verdict {
    for n in numbers {
        rig.is(&id(n, "a"), must).await?;
    }
    Ok(())
}

pub(super) async fn cases(s: &mut Suite<'_>) {
    holds(s).await;
    tells(s).await;
    ends(s).await;
    closes(s).await;
}

async fn holds(s: &mut Suite<'_>) {
    s.case(
        "the first of a group is told at once, and what follows is held",
        async |rig| {
            let done = rig
                .put(at(0), (0..4).map(|n| grouped(n, &["a"], "web", 5)))
                .await?;
            same("what was counted", (done.deliveries, done.held), (4, 3))?;
            let done = rig.put(secs(299), [grouped(4, &["a"], "web", 5)]).await?;
            same("what was counted", (done.deliveries, done.held), (1, 1))?;
            same(
                "whose logs are looked for",
                rig.settle_all_logs(secs(299)).await?,
                1,
            )?;
            same(
                "what is leased",
                ids(&rig.lease("a", 9, secs(299)).await?),
                vec![id(0, "a")],
            )?;
            same("what is pending", rig.pending().await?, vec![])?;
            states(rig, 1..=4, DeliveryState::Held).await?;
            let stats = rig.stats().await?;
            same(
                "what is open",
                (stats.held, stats.leased, stats.open()),
                (4, 1, 5),
            )
        },
    )
    .await;

    s.case(
        "a group is of one fingerprint, reporter, instance and destination",
        async |rig| {
            let mut other = grouped(5, &["a"], "web", 5);
            other.deliveries[0].reporter = "other".to_owned();
            let mut moved = grouped(6, &["a"], "web", 5);
            moved.deliveries[0].destination = to("elsewhere");
            let mut instance = grouped(7, &["a"], "web", 5);
            instance.deliveries[0].instance = "second".to_owned();
            let done = rig
                .put(
                    at(0),
                    [
                        grouped(1, &["a"], "web", 5),
                        grouped(2, &["a", "b"], "web", 5),
                        grouped(3, &["a"], "job", 5),
                        report(4, &["a"]),
                        other,
                        moved,
                        instance,
                    ],
                )
                .await?;
            same("what was counted", (done.deliveries, done.held), (8, 1))?;
            rig.is(&id(2, "a"), DeliveryState::Held).await?;
            rig.is(&id(2, "b"), DeliveryState::Pending).await
        },
    )
    .await;

    s.case("what is silenced opens no group", async |rig| {
        rig.put(at(0), [grouped(1, &["a"], "web", 5).with_silence("x")])
            .await?;
        let done = rig.put(at(1), [grouped(2, &["a"], "web", 5)]).await?;
        same("what is held", done.held, 0)?;
        rig.is(&id(1, "a"), DeliveryState::Silenced).await
    })
    .await;

    s.case("notices are not held", async |rig| {
        for since in 0..2 {
            let notice = super::rig::notice("x", at(since), "a");
            let group = Grouping::new("web", std::time::Duration::from_secs(60));
            same(
                "what is held",
                rig.put(at(1), [notice.with_group(group)]).await?.held,
                0,
            )?;
        }
        same("what is leased", rig.lease("a", 9, at(1)).await?.len(), 2)
    })
    .await;
}

async fn tells(s: &mut Suite<'_>) {
    s.case("nothing is folded before the group ends", async |rig| {
        rig.put(at(0), (0..3).map(|n| grouped(n, &["a"], "web", 5)))
            .await?;
        rig.put(secs(10), [grouped(3, &["a"], "job", 1)]).await?;
        let early = rig.fold(at(69_999)).await?;
        same(
            "what was folded, and when the next ends",
            (early.digests, early.deliveries, early.next),
            (0, 0, Some(secs(70))),
        )?;
        let early = rig.fold(at(299_999)).await?;
        same(
            "when the next ends",
            (early.digests, early.next),
            (0, Some(secs(300))),
        )?;
        let folded = rig.fold(secs(300)).await?;
        same(
            "what was folded, and when the next ends",
            (folded.digests, folded.deliveries, folded.next),
            (1, 2, Some(secs(600))),
        )
    })
    .await;

    s.case("a digest tells exactly what was held", async |rig| {
        let host = |n: u64| {
            // The triangular numbers: 1 on the first agent, 2 on the second, …
            let mut k = 0;
            while k * (k + 1) / 2 <= n {
                k += 1;
            }
            k
        };
        let one = |n: u64| -> FailureRecord {
            let mut f = failure(n);
            f.host = format!("agent-{}", host(n));
            f.with_default_key()
        };
        // The first is told at once; 300 are held on 24 agents.
        let grouping = || Grouping::new("web is dying", std::time::Duration::from_secs(300));
        rig.put(at(0), [told(one(999), &["a"]).with_group(grouping())])
            .await?;
        for part in 0..10 {
            let reports =
                (part * 30..part * 30 + 30).map(|n| told(one(n), &["a"]).with_group(grouping()));
            let held = rig.put(secs(part), reports).await?.held;
            same("what is held", held, 30)?;
        }
        let folded = rig.fold(secs(300)).await?;
        same(
            "what was folded",
            (folded.digests, folded.deliveries),
            (1, 300),
        )?;
        rig.settle_all_logs(secs(300)).await?;
        let [_, lease] = these("leased", rig.lease("a", 9, secs(300)).await?)?;
        let d = digest(&lease)?;
        same("the count", d.count, 300)?;
        same("the fingerprint", d.fingerprint.as_str(), "web is dying")?;
        same("the times", (d.first, d.last), (at(0), at(299)))?;
        same("the example", &d.example, &one(299))?;
        let mut must: BTreeMap<u64, u64> = BTreeMap::new();
        for n in 0..300 {
            *must.entry(host(n)).or_default() += 1;
        }
        let must: Vec<(String, u64)> = must
            .into_iter()
            .rev()
            .take(Digest::MOST_HOSTS)
            .map(|(k, n)| (format!("agent-{k}"), n))
            .collect();
        same("the agents", (&d.hosts, d.host_count), (&must, 24))?;
        let key = told(one(0), &["a"]).deliveries[0].id.clone();
        same("its id", d.id.as_str(), key.as_str())?;
        let key = lease.subject.key();
        let must = DeliveryId::derive(WATCHER, &key, REPORTER, "a", 0);
        same("the delivery's id", &lease.delivery.id, &must)?;
        same(
            "its way",
            (
                lease.delivery.reporter.as_str(),
                lease.delivery.instance.as_str(),
            ),
            (REPORTER, "a"),
        )?;
        let story = rig.story(&must).await?;
        same("what it stands for", story.folds, 300)?;
        same("its key", story.view.key, key)?;
        let filter = DeliveryFilter::state(DeliveryState::Folded);
        let members = rig.inspect(&filter).await?;
        same("what is folded", members.len(), 300)?;
        for member in &members {
            same(
                "the digest that tells it",
                member.digest.as_ref(),
                Some(&must),
            )?;
        }
        same("what is open", rig.stats().await?.open(), 302)
    })
    .await;

    s.case(
        "what was dropped while it was held is not told",
        async |rig| {
            rig.put(at(0), (0..4).map(|n| grouped(n, &["a"], "web", 5)))
                .await?;
            rig.put(at(0), (10..12).map(|n| grouped(n, &["a"], "job", 5)))
                .await?;
            for n in [2, 11] {
                rig.discard(&id(n, "a"), at(1)).await?;
            }
            let folded = rig.fold(secs(300)).await?;
            same(
                "what was folded",
                (folded.digests, folded.deliveries),
                (1, 2),
            )?;
            rig.is(&id(2, "a"), DeliveryState::Dropped).await?;
            rig.is(&id(3, "a"), DeliveryState::Folded).await
        },
    )
    .await;

    s.case(
        "a digest has logs of its own, those of its example",
        async |rig| {
            rig.put(at(0), (0..3).map(|n| grouped(n, &["a"], "web", 5)))
                .await?;
            rig.settle_all_logs(at(0)).await?;
            let first = rig.lease_one("a", at(1)).await?;
            rig.done(&first, at(2)).await?;
            rig.fold(secs(300)).await?;
            same("without logs", rig.lease("a", 9, secs(300)).await?.len(), 0)?;
            let [logs] = these("looked for", rig.lease_logs(9, secs(300)).await?)?;
            same("whose logs", &logs.record.key, &failure(2).key)?;
            rig.settle_logs(&logs, found(7)).await?;
            let lease = rig.lease_one("a", secs(300)).await?;
            same("the digest's logs", &lease.logs, &found(7))?;
            same("what it tells", digest(&lease)?.count, 2)?;
            same(
                "the example's own",
                rig.story(&id(2, "a")).await?.logs,
                None,
            )
        },
    )
    .await;
}

async fn ends(s: &mut Suite<'_>) {
    s.case("what a digest tells ends as the digest does", async |rig| {
        for (ending, must) in [
            (Ending::Done, DeliveryState::Done),
            (Ending::Dead, DeliveryState::Dead),
        ] {
            rig.reopen().await?;
            let lease = folded(rig, 3).await?;
            states(rig, 1..=3, DeliveryState::Folded).await?;
            let later = settled(Ending::RetryAt(secs(310)), Outcome::Retry, secs(301));
            rig.settle(&lease, later).await?;
            states(rig, 1..=3, DeliveryState::Folded).await?;
            let lease = rig.lease_one("a", secs(310)).await?;
            same("what it tells", digest(&lease)?.count, 3)?;
            rig.settle(&lease, settled(ending, Outcome::Delivered, secs(311)))
                .await?;
            states(rig, 1..=3, must).await?;
            rig.is(&lease.delivery.id, must).await?;
            same(
                "when it ended",
                rig.view(&id(1, "a")).await?.finished,
                Some(secs(311)),
            )?;
            same("what is open", rig.stats().await?.open(), 0)?;
        }
        Ok(())
    })
    .await;

    s.case("what a digest tells is dropped with it", async |rig| {
        let lease = folded(rig, 3).await?;
        rig.release(&lease).await?;
        rig.discard(&lease.delivery.id, secs(301)).await?;
        states(rig, 1..=3, DeliveryState::Dropped).await?;
        same("what is open", rig.stats().await?.open(), 0)
    })
    .await;

    s.case("a digest is sent again as the same digest", async |rig| {
        let lease = folded(rig, 3).await?;
        rig.dead(&lease, secs(301)).await?;
        let again = rig.replay(&lease.delivery.id, secs(302)).await?;
        let second = rig.lease_one("a", secs(302)).await?;
        same("its id", &second.delivery.id, &again)?;
        same("what it tells", &second.subject, &lease.subject)?;
        let one = rig.replay(&id(2, "a"), secs(302)).await?;
        rig.settle_all_logs(secs(302)).await?;
        let third = rig.lease_one("a", secs(302)).await?;
        same(
            "one of them alone",
            (&third.delivery.id, &third.subject),
            (&one, &report(2, &[]).subject),
        )
    })
    .await;
}

async fn closes(s: &mut Suite<'_>) {
    s.case(
        "a group that was quiet for its interval is forgotten: the next is told at once",
        async |rig| {
            let lease = folded(rig, 2).await?;
            rig.done(&lease, secs(301)).await?;
            let quiet = rig.fold(secs(600)).await?;
            same(
                "what was folded, and when the next ends",
                (quiet.digests, quiet.next),
                (0, None),
            )?;
            let done = rig.put(
                secs(601),
                [grouped(10, &["a"], "web", 5), grouped(11, &["a"], "web", 5)],
            );
            same("what is held", done.await?.held, 1)?;
            rig.is(&id(10, "a"), DeliveryState::Pending).await
        },
    )
    .await;

    s.case(
        "a group whose end has passed is closed also where nobody folds",
        async |rig| {
            rig.put(at(0), [grouped(1, &["a"], "web", 5)]).await?;
            let done = rig.put(secs(300), [grouped(2, &["a"], "web", 5)]).await?;
            same("what is held", done.held, 0)?;
            let done = rig.put(secs(301), [grouped(3, &["a"], "web", 5)]).await?;
            same("what is held", done.held, 1)
        },
    )
    .await;

    s.case(
        "what comes after the end of a group that holds something is held as well",
        async |rig| {
            rig.put(at(0), (1..3).map(|n| grouped(n, &["a"], "web", 5)))
                .await?;
            let done = rig.put(secs(400), [grouped(3, &["a"], "web", 5)]).await?;
            same("what is held", done.held, 1)?;
            same("what was folded", rig.fold(secs(401)).await?.deliveries, 2)
        },
    )
    .await;

    s.case(
        "a crash loop is one message and a digest for each interval",
        async |rig| {
            // One death in four seconds, for an hour; digests each five minutes.
            let (mut messages, mut told) = (0, 0);
            let mut now: Timestamp = at(0);
            for n in 0..900 {
                now = secs(n * 4);
                rig.put(now, [grouped(n, &["a"], "web", 5)]).await?;
                rig.fold(now).await?;
                rig.settle_all_logs(now).await?;
                for lease in rig.lease("a", 9, now).await? {
                    messages += 1;
                    told += digest(&lease).map_or(1, |d| d.count);
                    rig.done(&lease, now).await?;
                }
            }
            let held = rig.stats().await?.held;
            same("what is told or held", told + held, 900)?;
            ensure!(
                (11..=13).contains(&messages),
                "{messages} messages in an hour, until {now}"
            );
            same("what is done", rig.stats().await?.done, told + messages - 1)
        },
    )
    .await;

    s.durable_case(
        "what is held outlives a crash, and is told exactly",
        async |rig| {
            rig.put(at(0), (0..4).map(|n| grouped(n, &["a"], "web", 5)))
                .await?;
            rig.crash(at(1)).await?;
            let done = rig.put(at(2), [grouped(4, &["a"], "web", 5)]).await?;
            same("what is held", done.held, 1)?;
            rig.crash(at(3)).await?;
            same("what was folded", rig.fold(secs(300)).await?.deliveries, 4)?;
            rig.crash(secs(301)).await?;
            states(rig, 1..=4, DeliveryState::Folded).await?;
            rig.settle_all_logs(secs(302)).await?;
            let [_, lease] = these("leased", rig.lease("a", 9, secs(302)).await?)?;
            same("what it tells", digest(&lease)?.count, 4)?;
            rig.crash(secs(303)).await?;
            states(rig, 1..=4, DeliveryState::Folded).await?;
            let leases = rig.lease("a", 9, secs(304)).await?;
            same(
                "what may have arrived",
                leases.iter().filter(|l| l.unknown).count(),
                2,
            )?;
            for lease in &leases {
                rig.done(lease, secs(305)).await?;
            }
            rig.crash(secs(306)).await?;
            states(rig, 0..=4, DeliveryState::Done).await?;
            let done = rig.put(secs(307), [grouped(5, &["a"], "web", 5)]).await?;
            same("what is held", done.held, 1)
        },
    )
    .await;
}
