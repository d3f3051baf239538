//! What people look at and change.

use notifier_core::{
    DeliveryFilter, DeliveryId, DeliveryState, DeliveryView, ErrorKind, LeaseRequest, Silence,
};

use super::{
    Suite,
    rig::{
        REPORTER, Rig, Verdict, WATCHER, at, ensure, failure, grouped, hours, id, ids, ok, refused,
        report, same, secs, to,
    },
};

pub(super) async fn cases(s: &mut Suite<'_>) {
    looks(s).await;
    replays(s).await;
    discards(s).await;
    silences(s).await;
}

/// Some of each state, at three destinations.
pub(super) async fn some_of_each(rig: &Rig<'_>) -> Verdict {
    for n in 0..20 {
        let names: &[&str] = if n % 3 == 0 { &["a", "b"] } else { &["a"] };
        let r = match n {
            5 | 6 => report(n, names).with_silence("maintenance"),
            9..=13 => grouped(n, names, "web", 5),
            _ => report(n, names),
        };
        rig.put(secs(n), [r]).await?;
    }
    rig.settle_all_logs(secs(20)).await?;
    let request = LeaseRequest::new(6, secs(20), hours(1));
    for lease in ok("lease", rig.outbox().lease(&to("a"), request).await)? {
        match &lease.subject {
            s if s.key() == failure(0).key => rig.retry(&lease, secs(90), secs(21)).await?,
            s if s.key() == failure(1).key => rig.dead(&lease, secs(21)).await?,
            s if [2, 3].map(|n| failure(n).key).contains(&s.key()) => {
                rig.done(&lease, secs(21)).await?;
            }
            _ => {}
        }
    }
    rig.discard(&id(12, "a"), secs(22)).await?;
    rig.fold(secs(309)).await?;
    rig.put(secs(311), [grouped(40, &["a"], "web", 5)]).await?;
    let views = rig.all().await?;
    for state in DeliveryState::ALL {
        ensure!(views.iter().any(|v| v.state == state), "nothing is {state}");
    }
    Ok(())
}

/// What a filter lets through, by hand.
fn fits(f: &DeliveryFilter, v: &DeliveryView) -> bool {
    f.state.is_none_or(|s| s == v.state)
        && f.destination
            .as_ref()
            .is_none_or(|d| *d == v.delivery.destination)
        && f.id_prefix
            .as_ref()
            .is_none_or(|x| v.delivery.id.as_str().starts_with(x.as_str()))
        && f.reporter
            .as_ref()
            .is_none_or(|r| *r == v.delivery.reporter)
        && f.key.as_ref().is_none_or(|k| *k == v.key)
        && f.since.is_none_or(|t| v.enqueued >= t)
        && f.before.is_none_or(|t| v.enqueued < t)
        && f.after.is_none_or(|s| {
            if f.newest_first {
                v.sequence < s
            } else {
                v.sequence > s
            }
        })
}

async fn looks(s: &mut Suite<'_>) {
    s.case(
        "a filter shows what fits it, in order, and no more than asked for",
        async |rig| {
            some_of_each(rig).await?;
            let all = rig.all().await?;
            let filter = |f: fn(&mut DeliveryFilter)| {
                let mut filter = DeliveryFilter::default();
                f(&mut filter);
                filter
            };
            let middle = all.get(all.len() / 2).map(|v| v.sequence);
            let mut filters: Vec<DeliveryFilter> = DeliveryState::ALL
                .into_iter()
                .map(DeliveryFilter::state)
                .collect();
            filters.extend([
                filter(|f| f.destination = Some(to("b"))),
                filter(|f| f.destination = Some(to("nowhere"))),
                filter(|f| f.reporter = Some(REPORTER.to_owned())),
                filter(|f| f.reporter = Some("nobody".to_owned())),
                filter(|f| f.key = Some(failure(3).key)),
                filter(|f| f.id_prefix = Some("3".to_owned())),
                filter(|f| f.since = Some(secs(7))),
                filter(|f| f.before = Some(secs(7))),
                filter(|f| (f.since, f.before) = (Some(secs(3)), Some(secs(8)))),
                filter(|f| {
                    (f.state, f.destination) = (Some(DeliveryState::Pending), Some(to("a")))
                }),
                filter(|f| f.limit = 3),
            ]);
            for mut f in filters {
                for (newest_first, after, limit) in [
                    (false, None, f.limit),
                    (true, None, f.limit),
                    (false, middle, 2),
                    (true, middle, 2),
                ] {
                    (f.newest_first, f.after, f.limit) = (newest_first, after, limit);
                    let mut must: Vec<u64> = all
                        .iter()
                        .filter(|v| fits(&f, v))
                        .map(|v| v.sequence)
                        .collect();
                    if newest_first {
                        must.reverse();
                    }
                    if limit > 0 {
                        must.truncate(limit);
                    }
                    let shown: Vec<u64> =
                        rig.inspect(&f).await?.iter().map(|v| v.sequence).collect();
                    same(&format!("what {f:?} shows"), shown, must)?;
                }
            }
            Ok(())
        },
    )
    .await;

    s.case("page after page shows everything once", async |rig| {
        some_of_each(rig).await?;
        for newest_first in [false, true] {
            let mut filter = DeliveryFilter::default();
            (filter.newest_first, filter.limit) = (newest_first, 4);
            let mut shown = Vec::new();
            loop {
                let page = rig.inspect(&filter).await?;
                let Some(last) = page.last() else { break };
                filter.after = Some(last.sequence);
                shown.extend(page.into_iter().map(|v| v.delivery.id));
            }
            if newest_first {
                shown.reverse();
            }
            let all: Vec<DeliveryId> = rig
                .all()
                .await?
                .into_iter()
                .map(|v| v.delivery.id)
                .collect();
            same("the pages together", shown, all)?;
        }
        Ok(())
    })
    .await;

    s.case("a story shows what a list shows", async |rig| {
        some_of_each(rig).await?;
        for view in rig.all().await? {
            let story = rig.story(&view.delivery.id).await?;
            same("the view", format!("{:?}", story.view), format!("{view:?}"))?;
            same("the subject", story.subject.key(), view.key)?;
            same("the attempts", story.attempts.len(), view.attempts as usize)?;
        }
        let none = rig.outbox().story(&DeliveryId::new("no such one")).await;
        ensure!(ok("story", none)?.is_none(), "there is a story of nothing");
        Ok(())
    })
    .await;

    s.case("the counts are what a list shows", async |rig| {
        some_of_each(rig).await?;
        recount(rig).await
    })
    .await;
}

/// That the counts are what a list shows.
pub(super) async fn recount(rig: &Rig<'_>) -> Verdict {
    let stats = rig.stats().await?;
    let views = rig.all().await?;
    let unknown: u64 = views.iter().map(|v| u64::from(v.unknown)).sum();
    same("possible doubles", stats.unknown, unknown)?;
    for (state, counted) in [
        (DeliveryState::Pending, stats.pending),
        (DeliveryState::Leased, stats.leased),
        (DeliveryState::Held, stats.held),
        (DeliveryState::Folded, stats.folded),
        (DeliveryState::Done, stats.done),
        (DeliveryState::Dead, stats.dead),
        (DeliveryState::Silenced, stats.silenced),
        (DeliveryState::Dropped, stats.dropped),
    ] {
        let listed = views.iter().filter(|v| v.state == state).count() as u64;
        same(&format!("how many are {state}"), counted, listed)?;
    }
    Ok(())
}

async fn replays(s: &mut Suite<'_>) {
    let derived =
        |n, generation| DeliveryId::derive(WATCHER, &failure(n).key, REPORTER, "a", generation);
    s.case(
        "what is finished is sent again, as the next generation",
        async |rig| {
            some_of_each(rig).await?;
            for (n, state) in [
                (1, DeliveryState::Dead),
                (2, DeliveryState::Done),
                (5, DeliveryState::Silenced),
                (12, DeliveryState::Dropped),
            ] {
                rig.is(&id(n, "a"), state).await?;
                let before = rig.view(&id(n, "a")).await?;
                let again = rig.replay(&id(n, "a"), secs(400)).await?;
                same("the new id", &again, &derived(n, 1))?;
                let view = rig.view(&again).await?;
                same(
                    "the new one",
                    (
                        view.state,
                        view.generation,
                        view.attempts,
                        view.enqueued,
                        view.due,
                    ),
                    (DeliveryState::Pending, 1, 0, secs(400), secs(400)),
                )?;
                same(
                    "its way",
                    (&view.key, &view.delivery.destination, view.finished),
                    (&before.key, &before.delivery.destination, None),
                )?;
                let after = rig.view(&id(n, "a")).await?;
                same("the first one", format!("{after:?}"), format!("{before:?}"))?;
            }
            Ok(())
        },
    )
    .await;

    s.case("each replay has a generation of its own", async |rig| {
        rig.ready(at(0), [1], "a").await?;
        let lease = rig.lease_one("a", at(1)).await?;
        rig.done(&lease, at(2)).await?;
        for (of, must) in [(0, 1), (0, 2)] {
            let again = rig.replay(&derived(1, of), at(3)).await?;
            same("the new id", again, derived(1, must))?;
        }
        let leases = rig.lease("a", 9, at(4)).await?;
        same(
            "what is sent",
            ids(&leases),
            vec![derived(1, 1), derived(1, 2)],
        )?;
        for lease in &leases {
            same(
                "what was tried",
                (lease.attempts, lease.unknown),
                (0, false),
            )?;
            rig.done(lease, at(5)).await?;
        }
        let again = rig.replay(&derived(1, 1), at(6)).await?;
        same("the new id", again, derived(1, 3))?;
        same(
            "its generation",
            rig.view(&derived(1, 3)).await?.generation,
            3,
        )
    })
    .await;

    s.case("what is not finished is not sent again", async |rig| {
        some_of_each(rig).await?;
        let before = rig.snapshot().await?;
        for view in rig.all().await? {
            if !view.state.is_finished() {
                let replay = rig
                    .outbox()
                    .replay(WATCHER, &view.delivery.id, secs(400))
                    .await;
                refused(
                    &format!("one that is {}", view.state),
                    ErrorKind::Rejected,
                    replay,
                )?;
            }
        }
        let none = rig
            .outbox()
            .replay(WATCHER, &DeliveryId::new("none"), secs(400))
            .await;
        refused("one that there is not", ErrorKind::Rejected, none)?;
        same("what is kept", rig.snapshot().await?, before)
    })
    .await;
}

async fn discards(s: &mut Suite<'_>) {
    s.case(
        "what waits or is dead can be dropped, and nothing else",
        async |rig| {
            some_of_each(rig).await?;
            for view in rig.all().await? {
                let what = format!("one that is {}", view.state);
                let id = &view.delivery.id;
                let before = rig.view(id).await?;
                let discard = rig.outbox().discard(id, secs(400)).await;
                match before.state {
                    // The digest drops what it tells; that may have come before.
                    DeliveryState::Folded | DeliveryState::Dropped | DeliveryState::Silenced => {
                        continue;
                    }
                    DeliveryState::Pending | DeliveryState::Held | DeliveryState::Dead => {
                        ok(&what, discard)?;
                        rig.is(id, DeliveryState::Dropped).await?;
                    }
                    _ => {
                        refused(&what, ErrorKind::Rejected, discard)?;
                        rig.is(id, before.state).await?;
                    }
                }
            }
            let none = rig
                .outbox()
                .discard(&DeliveryId::new("none"), secs(400))
                .await;
            refused("one that there is not", ErrorKind::Rejected, none)?;
            rig.settle_all_logs(secs(419)).await?;
            for name in ["a", "b"] {
                let left = rig.lease(name, 99, secs(419)).await?;
                same("what is leased", left.len(), 0)?;
            }
            same("what is pending", rig.pending().await?, vec![])?;
            recount(rig).await
        },
    )
    .await;

    s.case(
        "what was dropped while its logs were looked for is not sent",
        async |rig| {
            rig.put(at(0), [report(1, &["a"])]).await?;
            let logs = rig.lease_logs(9, at(1)).await?;
            rig.discard(&id(1, "a"), at(2)).await?;
            for lease in &logs {
                // Refused or not: nothing must come of it.
                let _ = rig
                    .outbox()
                    .settle_logs(lease, notifier_core::Logs::default())
                    .await;
            }
            same("what is leased", rig.lease("a", 9, at(3)).await?.len(), 0)?;
            let view = rig.view(&id(1, "a")).await?;
            same(
                "its state",
                (view.state, view.finished),
                (DeliveryState::Dropped, Some(at(2))),
            )
        },
    )
    .await;
}

fn silence(name: &str, from: u64, note: &str) -> Result<Silence, String> {
    let matchers = vec![
        ok("a condition", format!("name={name}").parse())?,
        ok("a condition", "label.team=~^ops|dev$".parse())?,
    ];
    let mut silence = Silence::new(name, matchers, hours(from), hours(from + 2));
    silence.author = "someone".to_owned();
    silence.note = note.to_owned();
    Ok(silence)
}

async fn silences(s: &mut Suite<'_>) {
    s.case(
        "silences are kept as they are, the newest first, one for each id",
        async |rig| {
            same(
                "at first",
                ok("silences", rig.outbox().silences().await)?,
                vec![],
            )?;
            let (a, b, c) = (
                silence("a", 0, "x")?,
                silence("b", 1, "")?,
                silence("c", 2, "y")?,
            );
            for silence in [&a, &b, &c] {
                ok(
                    "put_silence",
                    rig.outbox().put_silence(silence.clone()).await,
                )?;
            }
            let all = ok("silences", rig.outbox().silences().await)?;
            same("all", all, vec![c.clone(), b.clone(), a.clone()])?;
            let mut ended = b.clone();
            (ended.ends, ended.note) = (hours(1), "over".to_owned());
            ok("put_silence", rig.outbox().put_silence(ended.clone()).await)?;
            let all = ok("silences", rig.outbox().silences().await)?;
            same("after one was ended", all, vec![c, ended, a])
        },
    )
    .await;

    s.case(
        "what is silenced is kept with the reason, and not sent",
        async |rig| {
            let reason = "silence 7 until tomorrow by someone";
            let mut b = super::rig::batch(at(0), [report(1, &["a", "b"]).with_silence(reason)]);
            b.reports.push(report(2, &["a"]));
            let done = rig.enqueue(b).await?;
            same(
                "what was counted",
                (done.new, done.deliveries, done.silenced),
                (2, 3, 2),
            )?;
            let view = rig.view(&id(1, "a")).await?;
            same(
                "its state",
                (view.state, view.finished),
                (DeliveryState::Silenced, Some(at(0))),
            )?;
            ensure!(
                view.delivery.why.contains(reason),
                "the reason is not in {:?}",
                view.delivery.why
            );
            rig.settle_all_logs(at(1)).await?;
            same(
                "what is sent",
                ids(&rig.lease("a", 9, at(1)).await?),
                vec![id(2, "a")],
            )?;
            same("at b", rig.lease("b", 9, at(1)).await?.len(), 0)?;
            same("what is open", rig.stats().await?.open(), 1)?;
            let again = super::rig::batch(at(2), [report(1, &["a"])]);
            same("the repeated ones", rig.enqueue(again).await?.repeated, 1)
        },
    )
    .await;
}
