use proptest::prelude::*;

use super::*;

const SETTLE: Duration = Duration::from_secs(60);

fn row(active: &str, hash: &str) -> Row {
    Row {
        unit: "a.service".to_owned(),
        machine: "m".to_owned(),
        hash: hash.to_owned(),
        load: "loaded".to_owned(),
        active: active.to_owned(),
        sub: String::new(),
    }
}

fn place() -> Place {
    Place {
        unit: "a.service".to_owned(),
        machine: "m".to_owned(),
    }
}

fn unit(machine: &str, desired: &str) -> Said {
    Said::There(Unit {
        name: "a.service".to_owned(),
        machine: machine.to_owned(),
        desired: desired.to_owned(),
        ..Unit::default()
    })
}

fn here() -> Said {
    unit("m", "launched")
}

/// A tracker that has seen the unit run.
fn running() -> Tracker {
    let mut t = Tracker::default();
    t.see(&row("active", "1"), 1, true);
    t
}

/// What is told now, by its stamps; it counts as stored then.
fn told(t: &mut Tracker, said: &Said) -> Vec<i64> {
    let due = t.judge(SETTLE, |_| said.clone(), |_| true);
    let stamps = due.iter().map(|at| t.falls[*at].stamp).collect();
    for at in due.into_iter().rev() {
        t.falls.remove(at);
    }
    stamps
}

#[tokio::test(start_paused = true)]
async fn told_once_and_again_after_it_ran() {
    let mut t = running();
    for (stamp, active, expected) in [
        (2, "failed", Some(2)),
        (3, "failed", None),
        (4, "activating", None),
        (5, "failed", Some(5)),
        // Not known: neither well nor failed.
        (6, "", None),
        (7, "failed", None),
        (8, "inactive", None),
        (9, "active", None),
        (10, "failed", Some(10)),
    ] {
        t.see(&row(active, "1"), stamp, false);
        assert_eq!(told(&mut t, &here()), Vec::from_iter(expected), "{stamp}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_had_failed_at_first_is_known() {
    let mut t = Tracker::default();
    t.see(&row("failed", "1"), 1, true);
    t.see(&row("failed", "1"), 2, false);
    assert_eq!(told(&mut t, &here()), [] as [i64; 0]);
    let mut t = Tracker::default();
    t.see(&row("failed", "1"), 1, false);
    assert_eq!(told(&mut t, &here()), [1]);
}

#[tokio::test(start_paused = true)]
async fn absent_is_not_known() {
    let mut t = running();
    t.see(&row("failed", "1"), 2, false);
    assert_eq!(told(&mut t, &here()), [2]);
    t.listed(&HashSet::new());
    assert_eq!(t.absent(), [place()]);
    t.explain(&place(), &here());
    t.explain(&place(), &Said::Unknown);
    t.see(&row("failed", "1"), 3, false);
    assert!(t.absent().is_empty());
    assert_eq!(told(&mut t, &here()), [] as [i64; 0]);
    // Destroyed, taken off, or moved: it fails anew.
    for (stamp, said) in [
        (4, Said::Gone),
        (5, unit("", "inactive")),
        (6, unit("n", "launched")),
    ] {
        t.listed(&HashSet::new());
        t.explain(&place(), &said);
        assert!(t.absent().is_empty());
        t.see(&row("failed", "1"), stamp, false);
        assert_eq!(told(&mut t, &here()), [stamp]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_well_and_absent_has_failed_when_it_comes_back_so() {
    let mut t = running();
    t.listed(&HashSet::new());
    assert!(t.absent().is_empty());
    t.see(&row("failed", "1"), 2, false);
    assert_eq!(told(&mut t, &here()), [2]);
}

#[tokio::test(start_paused = true)]
async fn left_over_on_another_machine() {
    let elsewhere = unit("n", "launched");
    let mut t = Tracker::default();
    t.see(&row("failed", "1"), 1, false);
    assert!(told(&mut t, &elsewhere).is_empty());
    t.listed(&HashSet::new());
    tokio::time::advance(SETTLE * 2).await;
    assert!(told(&mut t, &elsewhere).is_empty() && t.falls.is_empty());
    // One that stays is told.
    let mut t = Tracker::default();
    t.see(&row("failed", "1"), 1, false);
    assert!(told(&mut t, &elsewhere).is_empty());
    tokio::time::advance(SETTLE).await;
    assert_eq!(told(&mut t, &elsewhere), [1]);
    // One that was seen to fail there is told at once.
    let mut t = running();
    t.see(&row("failed", "1"), 2, false);
    assert_eq!(told(&mut t, &elsewhere), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_new_file_while_it_has_failed() {
    let failed = || {
        let mut t = running();
        t.see(&row("failed", "1"), 2, false);
        told(&mut t, &here());
        t.see(&row("failed", "2"), 3, false);
        assert!(told(&mut t, &here()).is_empty());
        t
    };
    // It is started.
    let mut t = failed();
    t.see(&row("active", "2"), 4, false);
    tokio::time::advance(SETTLE * 2).await;
    assert!(told(&mut t, &here()).is_empty() && t.falls.is_empty());
    // It has failed as well.
    let mut t = failed();
    t.see(&row("failed", "2"), 4, false);
    assert!(told(&mut t, &here()).is_empty());
    tokio::time::advance(SETTLE).await;
    assert_eq!(told(&mut t, &here()), [3]);
    t.see(&row("failed", "2"), 5, false);
    assert!(told(&mut t, &here()).is_empty());
    // It is only loaded.
    let mut t = failed();
    tokio::time::advance(SETTLE).await;
    assert!(told(&mut t, &unit("m", "loaded")).is_empty() && t.falls.is_empty());
    // It is absent for a while.
    let mut t = failed();
    t.listed(&HashSet::new());
    assert!(t.falls.is_empty());
    t.see(&row("failed", "2"), 5, false);
    tokio::time::advance(SETTLE).await;
    assert_eq!(told(&mut t, &here()), [5]);
    // A hash that is not known is no other one.
    let mut t = running();
    t.see(&row("failed", ""), 2, false);
    assert_eq!(told(&mut t, &here()), [2]);
    t.see(&row("failed", "1"), 3, false);
    t.see(&row("failed", ""), 4, false);
    tokio::time::advance(SETTLE * 2).await;
    assert!(told(&mut t, &here()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_told_after_a_while() {
    let mut t = running();
    t.see(&row("failed", "1"), 2, false);
    t.see(&row("active", "1"), 3, false);
    assert!(told(&mut t, &Said::Unknown).is_empty());
    assert!(t.judge(SETTLE, |_| here(), |_| false).is_empty());
    tokio::time::advance(SETTLE).await;
    assert_eq!(told(&mut t, &Said::Unknown), [2]);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_where_it_ended() {
    let mut t = running();
    t.see(&row("failed", "1"), 2, false);
    let mut again = Tracker::resume(t.failed(), t.falls.clone(), 2);
    again.see(&row("failed", "1"), 3, false);
    assert_eq!(told(&mut again, &here()), [2]);
    let mut again = Tracker::resume(again.failed(), Vec::new(), 3);
    again.see(&row("failed", "1"), 4, false);
    assert!(told(&mut again, &here()).is_empty());
    again.see(&row("active", "1"), 5, false);
    let mut again = Tracker::resume(again.failed(), Vec::new(), 5);
    again.see(&row("failed", "1"), 6, false);
    assert_eq!(told(&mut again, &here()), [6]);
}

#[tokio::test(start_paused = true)]
async fn what_is_absent_for_long_is_forgotten_beyond_a_bound() {
    let mut t = Tracker::default();
    for n in 0..MOST_MISSING + 5 {
        let unit = format!("{n}.service");
        let row = Row {
            unit,
            ..row("failed", "1")
        };
        t.see(&row, 1, true);
    }
    t.listed(&HashSet::new());
    assert_eq!(t.absent().len(), MOST_MISSING);
    assert_eq!(t.failed().len(), MOST_MISSING);
}

#[test]
fn stamps_grow_though_the_clock_does_not() {
    let mut t = Tracker::default();
    let at = |ms| Timestamp::from_millisecond(ms).unwrap();
    let all: Vec<i64> = [5, 5, 3, 9].map(|ms| t.next_stamp(at(ms))).into();
    assert_eq!(all, [5, 6, 7, 9]);
}

proptest! {
    /// However it comes and goes, each time that it is seen failed after it was seen well is told,
    /// once, and nothing else is.
    #[test]
    fn each_fall_is_told_once(states in prop::collection::vec(0u8..4, 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut t = running();
            let mut last = "active";
            for (stamp, state) in (2..).zip(states) {
                let active = ["active", "failed", "activating", ""][usize::from(state)];
                if active.is_empty() {
                    t.listed(&HashSet::new());
                    prop_assert!(told(&mut t, &here()).is_empty());
                    continue;
                }
                t.see(&row(active, "1"), stamp, false);
                let expected = active == "failed" && last != "failed";
                prop_assert_eq!(told(&mut t, &here()).len(), usize::from(expected));
                last = active;
            }
            Ok(())
        })?;
    }
}
