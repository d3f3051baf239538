//! How long a key is remembered.

use notifier_core::FailureKey;

use super::{
    Suite,
    rig::{Rig, Verdict, after, batch, ensure, failure, hours, report, same},
};

/// Lets ten days go by, with a batch each half hour.
async fn ten_days(rig: &Rig<'_>, listed: Option<Vec<FailureKey>>) -> Verdict {
    for half in 1..=480 {
        let mut b = batch(
            after(hours(0), half * 1_800_000),
            [report(1000 + half, &[])],
        );
        b.listed.clone_from(&listed);
        rig.enqueue(b).await?;
    }
    Ok(())
}

pub(super) async fn cases(s: &mut Suite<'_>) {
    s.case(
        "a key is remembered while its source lists it",
        async |rig| {
            rig.put(hours(0), [report(1, &[]), report(2, &["a"])])
                .await?;
            rig.settle_all_logs(hours(0)).await?;
            let lease = rig.lease_one("a", hours(0)).await?;
            rig.done(&lease, hours(0)).await?;
            ten_days(rig, Some(vec![failure(1).key, failure(2).key])).await?;
            let again = batch(hours(241), [report(1, &["a"]), report(2, &["a"])]);
            same("the repeated ones", rig.enqueue(again).await?.repeated, 2)
        },
    )
    .await;

    s.case(
        "a key is remembered while something is open for it",
        async |rig| {
            rig.put(hours(0), [report(1, &["a"])]).await?;
            ten_days(rig, Some(Vec::new())).await?;
            let again = batch(hours(241), [report(1, &["a"])]);
            same("the repeated ones", rig.enqueue(again).await?.repeated, 1)?;
            same("the number of deliveries", rig.all().await?.len(), 1)
        },
    )
    .await;

    s.case("a key is remembered for a time beyond", async |rig| {
        rig.put(hours(0), [report(1, &[])]).await?;
        let kept = u64::try_from(rig.seen_for().as_millis()).unwrap_or(u64::MAX);
        for part in 1..20 {
            let mut b = batch(after(hours(0), kept / 20 * part), []);
            b.listed = Some(Vec::new());
            rig.enqueue(b).await?;
        }
        let again = batch(after(hours(0), kept / 20 * 19), [report(1, &["a"])]);
        same("the repeated ones", rig.enqueue(again).await?.repeated, 1)
    })
    .await;

    s.case(
        "keys that nobody lists any more are forgotten",
        async |rig| {
            ten_days(rig, None).await?;
            // One comes each half hour; some are kept for longer, since nobody looks all the time.
            let kept = rig.seen_for().as_secs() / 1800;
            let seen = rig.stats().await?.seen;
            ensure!(
                seen <= kept + 100,
                "{seen} keys are remembered, where {kept} came in the time they are"
            );
            Ok(())
        },
    )
    .await;

    s.case(
        "a key that comes back after it was forgotten makes no second delivery of the same id",
        async |rig| {
            rig.put(hours(0), [report(1, &["a"])]).await?;
            rig.settle_all_logs(hours(0)).await?;
            let lease = rig.lease_one("a", hours(0)).await?;
            rig.done(&lease, hours(0)).await?;
            ten_days(rig, Some(Vec::new())).await?;
            rig.enqueue(batch(hours(241), [report(1, &["a"])])).await?;
            same("the deliveries of that id", rig.all().await?.len(), 1)
        },
    )
    .await;
}
