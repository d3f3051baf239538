//! A failure's logs come before its deliveries.

use notifier_core::{
    ErrorKind, LeaseRequest, LogLease, LogStream, Logs, Outcome, StoredLog, Verdict as Ending,
};

use super::{
    Suite,
    rig::{
        Rig, Verdict, at, ensure, failure, grouped, id, notice, ok, refused, report, same, secs,
        settled, these,
    },
};

/// Logs that are told from others.
pub(super) fn found(n: u64) -> Logs {
    let mut logs = Logs::default();
    let stream = LogStream::new("stderr", format!("http://agent.example/{n}"));
    logs.streams.push(StoredLog::left(stream, "not asked for"));
    logs
}

async fn refuses(rig: &Rig<'_>, lease: &LogLease) -> Verdict {
    let late = rig.outbox().settle_logs(lease, found(9)).await;
    refused("logs under a lost lease", ErrorKind::Rejected, late)
}

pub(super) async fn cases(s: &mut Suite<'_>) {
    s.case(
        "nothing of a failure is leased before its logs are settled, once for all its deliveries",
        async |rig| {
            rig.put(at(0), [report(1, &["a", "b"]), report(2, &["a"])])
                .await?;
            for name in ["a", "b"] {
                let early = rig.lease(name, 9, secs(9)).await?;
                ensure!(early.is_empty(), "{early:?} is leased without logs");
            }
            same("what is pending", rig.pending().await?, vec![])?;
            same("what is not settled", rig.stats().await?.unsettled, 2)?;
            let first = rig.lease_logs(1, at(1)).await?;
            let second = rig.lease_logs(9, at(1)).await?;
            let [first] = these("looked for", first)?;
            let [second] = these("looked for", second)?;
            same("the oldest", &*first.record, &failure(1))?;
            same("the next", &*second.record, &failure(2))?;
            same("what is not settled", rig.stats().await?.unsettled, 2)?;
            rig.settle_logs(&first, found(1)).await?;
            same("what is not settled", rig.stats().await?.unsettled, 1)?;
            for name in ["a", "b"] {
                let lease = rig.lease_one(name, at(2)).await?;
                same("the failure", &lease.delivery.id, &id(1, name))?;
                same("its logs", &lease.logs, &found(1))?;
            }
            same(
                "the story's logs",
                rig.story(&id(1, "a")).await?.logs,
                Some(found(1)),
            )?;
            rig.settle_logs(&second, found(2)).await?;
            same("its logs", rig.lease_one("a", at(2)).await?.logs, found(2))?;
            refuses(rig, &first).await
        },
    )
    .await;

    s.case(
        "logs are looked for by one at a time, and again after a lease has run out",
        async |rig| {
            rig.put(at(0), [report(1, &["a"])]).await?;
            let request = LeaseRequest::new(9, at(1), secs(60));
            let lost = ok("lease_logs", rig.outbox().lease_logs(request).await)?;
            let [lost] = these("looked for", lost)?;
            same("a second look", rig.lease_logs(9, secs(59)).await?.len(), 0)?;
            let [again] = these("looked for again", rig.lease_logs(9, secs(60)).await?)?;
            refuses(rig, &lost).await?;
            rig.settle_logs(&again, found(1)).await?;
            same(
                "the logs",
                rig.lease_one("a", secs(61)).await?.logs,
                found(1),
            )
        },
    )
    .await;

    s.case("claim takes back what was leased for logs", async |rig| {
        rig.put(at(0), [report(1, &["a"])]).await?;
        let [lost] = these("looked for", rig.lease_logs(9, at(1)).await?)?;
        rig.claim(at(2)).await?;
        let [again] = these("looked for again", rig.lease_logs(9, at(2)).await?)?;
        refuses(rig, &lost).await?;
        rig.settle_logs(&again, found(1)).await
    })
    .await;

    s.case(
        "no logs are looked for where nothing is to be sent",
        async |rig| {
            rig.put(
                at(0),
                [
                    report(1, &["a"]).with_silence("maintenance"),
                    report(2, &[]),
                    report(3, &["a"]),
                    notice("x", at(0), "a"),
                    grouped(4, &["b"], "web", 5),
                    grouped(5, &["b"], "web", 5),
                ],
            )
            .await?;
            rig.discard(&id(3, "a"), at(1)).await?;
            same("what is not settled", rig.stats().await?.unsettled, 1)?;
            let leases = rig.lease_logs(9, at(2)).await?;
            let keys: Vec<_> = leases.iter().map(|l| l.record.key.clone()).collect();
            same("what is looked for", keys, vec![failure(4).key])
        },
    )
    .await;

    s.case("a notice is leased without logs", async |rig| {
        rig.put(at(0), [notice("x", at(0), "a")]).await?;
        let lease = rig.lease_one("a", at(0)).await?;
        same("its kind", lease.subject.kind(), "notice")?;
        same("its logs", lease.logs, Logs::default())
    })
    .await;

    s.case(
        "what is sent again has the logs that were found",
        async |rig| {
            rig.put(
                at(0),
                [report(1, &["a"]), report(2, &["a"]).with_silence("x")],
            )
            .await?;
            for lease in rig.lease_logs(9, at(1)).await? {
                rig.settle_logs(&lease, found(1)).await?;
            }
            let lease = rig.lease_one("a", at(2)).await?;
            rig.settle(&lease, settled(Ending::Dead, Outcome::Dead, at(3)))
                .await?;
            for n in 1..=2 {
                rig.replay(&id(n, "a"), at(4)).await?;
            }
            same("its logs", rig.lease_one("a", at(5)).await?.logs, found(1))?;
            // Nobody has looked for those of the silenced one.
            same("what is not settled", rig.stats().await?.unsettled, 1)?;
            let [lease] = these("looked for", rig.lease_logs(9, at(6)).await?)?;
            rig.settle_logs(&lease, found(2)).await?;
            same("its logs", rig.lease_one("a", at(7)).await?.logs, found(2))
        },
    )
    .await;
}
