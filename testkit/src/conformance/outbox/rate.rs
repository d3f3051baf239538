//! How fast a destination is sent to.

use std::time::Duration;

use notifier_core::{jiff::Timestamp, policy::Rate};

use super::{
    Suite,
    rig::{Rig, Verdict, after, at, ensure, same, secs, to},
};

/// Ten a second, and twenty at once.
fn rate() -> Rate {
    Rate::new(10, Duration::from_secs(1)).with_burst(20)
}

/// When each was leased.
#[derive(Default)]
struct Leased(Vec<Timestamp>);

impl Leased {
    /// Leases what is allowed, and notes it.
    async fn take(&mut self, rig: &Rig<'_>, max: usize, now: Timestamp) -> Result<usize, String> {
        let leases = rig.lease_at("a", max, now, Some(rate())).await?;
        for lease in &leases {
            rig.done(lease, now).await?;
            self.0.push(now);
        }
        Ok(leases.len())
    }

    /// That no span of time has more than the rate allows.
    fn keep_the_rate(&self) -> Verdict {
        for (i, from) in self.0.iter().enumerate() {
            for (n, to) in self.0[i..].iter().enumerate() {
                let span = to.as_millisecond() - from.as_millisecond();
                let (leased, allowed) = (n as i64 + 1, 20 + span / 100);
                ensure!(
                    leased <= allowed,
                    "{leased} are leased in {span} ms, and {allowed} may be"
                );
            }
        }
        Ok(())
    }
}

pub(super) async fn cases(s: &mut Suite<'_>) {
    s.case(
        "no span of time has more leases than the rate allows",
        async |rig| {
            rig.ready(at(0), 0..400, "a").await?;
            let mut rng = fastrand::Rng::with_seed(11);
            let (mut leased, mut now) = (Leased::default(), at(0));
            for _ in 0..200 {
                now = after(now, rng.u64(0..250));
                leased.take(rig, rng.usize(0..30), now).await?;
            }
            leased.keep_the_rate()?;
            // A clock that stands still at the end of a long rest.
            now = after(now, 60_000);
            same("after a rest", leased.take(rig, 99, now).await?, 20)?;
            same("at the same time", leased.take(rig, 99, now).await?, 0)?;
            leased.keep_the_rate()
        },
    )
    .await;

    s.case(
        "who waits until what is pending can be leased, leases at once, and at the full rate",
        async |rig| {
            rig.ready(at(0), 0..100, "a").await?;
            let (mut leased, mut now) = (Leased::default(), at(0));
            while let Some((destination, due)) = rig.pending().await?.into_iter().next() {
                same("where to", destination, to("a"))?;
                now = now.max(due);
                ensure!(
                    leased.take(rig, 7, now).await? > 0,
                    "{} are leased, and at {now} nothing, though pending says so",
                    leased.0.len()
                );
            }
            same("what is leased", leased.0.len(), 100)?;
            leased.keep_the_rate()?;
            // 20 at once, and 80 more at 10 a second.
            ensure!(now <= secs(9), "it takes until {now}");
            Ok(())
        },
    )
    .await;

    s.case(
        "each destination has its own rate, and one without is not held up",
        async |rig| {
            rig.ready(at(0), 0..50, "a").await?;
            rig.ready(at(0), 100..150, "b").await?;
            rig.ready(at(0), 200..250, "c").await?;
            for name in ["a", "b"] {
                let leases = rig.lease_at(name, 99, at(1), Some(rate())).await?;
                same("the burst", leases.len(), 20)?;
            }
            same("without a rate", rig.lease("c", 99, at(1)).await?.len(), 50)
        },
    )
    .await;

    s.case("asking for none uses nothing up", async |rig| {
        rig.ready(at(0), 0..50, "a").await?;
        for n in 0..50 {
            rig.lease_at("a", 0, at(n), Some(rate())).await?;
            rig.lease_at("b", 9, at(n), Some(rate())).await?;
        }
        same(
            "the burst",
            rig.lease_at("a", 99, at(50), Some(rate())).await?.len(),
            20,
        )
    })
    .await;

    s.durable_case("the rate outlives a crash", async |rig| {
        rig.ready(at(0), 0..200, "a").await?;
        let mut rng = fastrand::Rng::with_seed(12);
        let (mut leased, mut now) = (Leased::default(), at(0));
        for _ in 0..20 {
            now = after(now, rng.u64(0..200));
            leased.take(rig, 30, now).await?;
            rig.crash(now).await?;
            leased.take(rig, 30, now).await?;
        }
        ensure!(leased.0.len() > 30, "only {} are leased", leased.0.len());
        leased.keep_the_rate()
    })
    .await;
}
