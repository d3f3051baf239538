use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn at(n: i64) -> Timestamp {
    Timestamp::from_second(n).unwrap()
}

/// A snapshot of a run that began at `id` × 10.
fn seen(id: u32, active: &str, sub: &str, result: &str, restarts: u32) -> Observation {
    Observation {
        active_state: active.to_owned(),
        sub_state: sub.to_owned(),
        invocation_id: format!("{id:032x}"),
        result: result.to_owned(),
        restarts,
        started: Some(at(i64::from(id) * 10)),
        changed: Some(at(i64::from(id) * 10 + 5)),
        rested: Some(at(match active {
            "active" => i64::from(id) * 10 - 5,
            _ => i64::from(id) * 10 + 5,
        })),
        ..Observation::default()
    }
}

fn running(id: u32, restarts: u32) -> Observation {
    seen(id, "active", "running", "success", restarts)
}

fn failed(id: u32, restarts: u32) -> Observation {
    seen(id, "failed", "failed", "exit-code", restarts)
}

fn waiting(id: u32, restarts: u32) -> Observation {
    seen(id, "activating", "auto-restart", "exit-code", restarts)
}

/// For a moment before a start: the state is the old one, the run the new one.
fn before(id: u32, old: &str, restarts: u32) -> Observation {
    Observation {
        changed: Some(at(i64::from(id) * 10 - 4)),
        rested: Some(at(i64::from(id) * 10 - 5)),
        ..seen(id, old, "dead", "success", restarts)
    }
}

/// What is told of a sequence, as `1` for a run and `1!` for a refused start, and the gaps.
fn all(of: &[Observation]) -> (Vec<String>, Vec<Gap>) {
    let mut known = Known::default();
    let (mut told, mut gaps) = (Vec::new(), Vec::new());
    for seen in of {
        let out = known.judge(seen);
        for f in out.findings {
            let id = f.invocation_id.trim_start_matches('0').to_owned();
            told.push(if f.is_limit { format!("{id}!") } else { id });
        }
        gaps.extend(out.gap.map(|g| {
            assert!(g.since.is_some());
            Gap { since: None, ..g }
        }));
    }
    (told, gaps)
}

#[test]
fn a_failure_is_told_once() {
    let one = [
        before(1, "inactive", 0),
        running(1, 0),
        failed(1, 0),
        failed(1, 0),
    ];
    assert_eq!(all(&one), (vec!["1".to_owned()], vec![]));
    // Seen for the first time as failed.
    assert_eq!(all(&[failed(1, 3)]).0, ["1"]);
    // Started again by hand, and failed again.
    let again = [
        failed(1, 0),
        before(2, "failed", 0),
        running(2, 0),
        failed(2, 0),
    ];
    assert_eq!(all(&again), (vec!["1".into(), "2".into()], vec![]));
}

#[test]
fn what_ends_well_is_not_told() {
    for end in [
        seen(1, "inactive", "dead", "success", 0),
        seen(1, "active", "exited", "success", 0),
        seen(1, "inactive", "dead", "exec-condition", 0),
        seen(1, "deactivating", "stop-sigterm", "watchdog", 0),
        Observation::default(),
    ] {
        let next = running(2, 0);
        assert_eq!(all(&[running(1, 0), end, next]).0, Vec::<String>::new());
    }
}

#[test]
fn each_run_of_a_flap_is_told() {
    let flap = [
        running(1, 0),
        failed(1, 0),
        waiting(1, 0),
        waiting(1, 1),
        before(2, "inactive", 1),
        running(2, 1),
        failed(2, 1),
        waiting(2, 1),
        waiting(2, 2),
        running(3, 2),
        seen(3, "inactive", "dead", "success", 2),
    ];
    assert_eq!(all(&flap), (vec!["1".into(), "2".into()], vec![]));
}

#[test]
fn over_the_limit_one_more_is_told() {
    let mut refused = seen(2, "inactive", "dead", "exit-code", 2);
    let full = [
        running(1, 0),
        failed(1, 0),
        waiting(1, 1),
        running(2, 1),
        failed(2, 1),
        waiting(2, 1),
        waiting(2, 2),
        refused.clone(),
        failed(2, 2),
        failed(2, 2),
    ];
    let told: Vec<String> = ["1", "2", "2!"].map(str::to_owned).into();
    assert_eq!(all(&full), (told.clone(), vec![]));
    // The end of the run and the refusal are seen as one.
    let folded = [running(1, 0), failed(1, 0), running(2, 1), failed(2, 2)];
    assert_eq!(all(&folded).0, told);
    // Without a failure before.
    refused.active_state = "failed".to_owned();
    refused.result = START_LIMIT.to_owned();
    refused.restarts = 0;
    assert_eq!(all(&[running(2, 0), refused]).0, ["2!"]);
    // A start by hand that is refused later.
    let by_hand = [failed(2, 1), waiting(2, 2), failed(2, 2), failed(2, 2)];
    assert_eq!(all(&by_hand).0, ["2", "2!"]);
}

#[test]
fn who_will_be_started_again() {
    let mut known = Known::default();
    assert_eq!(known.judge(&failed(1, 0)).will_restart, None);
    assert_eq!(
        known.judge(&waiting(1, 0)).will_restart,
        Some(format!("{:032x}", 1))
    );
    assert_eq!(
        known.judge(&running(2, 1)).will_restart,
        Some(format!("{:032x}", 1))
    );
    known.judge(&failed(2, 1));
    // By hand.
    assert_eq!(known.judge(&running(3, 0)).will_restart, None);
}

#[test]
fn a_unit_that_vanishes_may_have_failed() {
    let mut known = Known::default();
    assert_eq!(known.removed(), None);
    known.judge(&running(1, 0));
    assert_eq!(known.removed().unwrap().restarted, 0);
    known.judge(&failed(1, 0));
    assert_eq!(known.removed(), None);
}

#[test]
fn gaps_are_seen() {
    let gap = |id: u32, restarted| Gap {
        invocation_id: format!("{id:032x}"),
        restarted,
        since: None,
    };
    // The end was not seen; by hand, or by systemd.
    assert_eq!(all(&[running(1, 0), running(2, 0)]).1, [gap(1, 0)]);
    assert_eq!(all(&[running(1, 0), running(2, 1)]).1, [gap(1, 1)]);
    // Some between.
    assert_eq!(
        all(&[running(1, 0), failed(1, 0), running(4, 3)]).1,
        [gap(1, 2)]
    );
    assert_eq!(all(&[failed(1, 0), waiting(1, 1), running(2, 1)]).1, []);
    assert_eq!(
        all(&[running(1, 0), waiting(1, 1), waiting(3, 3)]).1,
        [gap(1, 1)]
    );
    // The count began anew, since somebody started it.
    assert_eq!(all(&[failed(1, 4), running(2, 0)]).1, []);
    assert_eq!(all(&[running(1, 4), running(2, 0)]).1, [gap(1, 0)]);
    // Its restart failed for good before somebody started it, and none of that was seen.
    assert_eq!(all(&[failed(1, 0), running(3, 0)]).1, [gap(1, 0)]);
    assert_eq!(all(&[failed(1, 0), before(3, "failed", 0)]).1, [gap(1, 0)]);
    // Somebody started it while it waited, or what came of its restart was not seen.
    assert_eq!(all(&[waiting(1, 1), running(2, 0)]).1.len(), 1);
    // It ended well, and is started again all the same.
    let well = seen(1, "activating", "auto-restart", "success", 0);
    assert_eq!(
        all(&[running(1, 0), well.clone(), running(2, 1)]),
        (vec![], vec![])
    );
    assert_eq!(all(&[running(1, 0), well, running(3, 2)]).1, [gap(1, 1)]);
}

/// How a run of the model ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Failed,
    /// And systemd refuses the next start.
    Refused,
}

/// All that systemd 252 shows of some runs, whether a run that somebody started is known by that alone, and what
/// is to be told. `by_hand`: the next start is not systemd's.
fn model(runs: &[(End, bool)]) -> (Vec<(Observation, bool)>, Vec<String>) {
    let (mut shown, mut told) = (Vec::new(), Vec::new());
    let (mut restarts, mut old, mut is_by_hand) = (0, "inactive", true);
    for (n, (end, by_hand)) in runs.iter().enumerate() {
        let id = u32::try_from(n).unwrap() + 1;
        let name = format!("{id:x}");
        let mut show = |of: Observation| shown.push((of, false));
        show(before(id, old, restarts));
        show(running(id, restarts));
        shown.last_mut().unwrap().1 = is_by_hand;
        let mut show = |of: Observation| shown.push((of, false));
        old = "inactive";
        is_by_hand = true;
        match (end, by_hand) {
            (End::Well, _) => {
                show(seen(id, "inactive", "dead", "success", restarts));
                restarts = 0;
            }
            (End::Failed, true) => {
                show(failed(id, restarts));
                told.push(name);
                (restarts, old) = (0, "failed");
            }
            (End::Failed, false) => {
                show(failed(id, restarts));
                show(waiting(id, restarts));
                restarts += 1;
                show(waiting(id, restarts));
                told.push(name);
                is_by_hand = false;
            }
            (End::Refused, _) => {
                show(failed(id, restarts));
                show(waiting(id, restarts));
                restarts += 1;
                show(waiting(id, restarts));
                show(seen(id, "inactive", "dead", "exit-code", restarts));
                show(failed(id, restarts));
                told.push(name.clone());
                told.push(format!("{name}!"));
                (restarts, old) = (0, "failed");
            }
        }
    }
    (shown, told)
}

fn runs() -> impl Strategy<Value = Vec<(End, bool)>> {
    let end = prop_oneof![
        Just(End::Well),
        Just(End::Failed),
        Just(End::Failed),
        Just(End::Refused)
    ];
    proptest::collection::vec((end, any::<bool>()), 1..12)
}

proptest! {
    #[test]
    fn what_is_all_seen_is_told_exactly(runs in runs()) {
        let (shown, told) = model(&runs);
        let shown: Vec<Observation> = shown.into_iter().map(|(s, _)| s).collect();
        prop_assert_eq!(all(&shown), (told, vec![]));
    }

    /// Signals that systemd folds into one: any may be missing, and what is missed is known to be.
    #[test]
    fn nothing_is_invented_doubled_or_lost_without_a_word(
        runs in runs(),
        missing in proptest::collection::vec(any::<bool>(), 100),
    ) {
        let (mut shown, told) = model(&runs);
        // The last one always comes, since nothing follows that could take its place.
        shown.last_mut().unwrap().1 = true;
        let seen: Vec<Observation> = shown.into_iter().zip(missing)
            .filter(|((_, must), missing)| *must || !missing).map(|((s, _), _)| s).collect();
        let (found, gaps) = all(&seen);
        let set: BTreeSet<&String> = found.iter().collect();
        prop_assert_eq!(set.len(), found.len());
        for f in &found {
            prop_assert!(told.contains(f), "{} of {:?}", f, told);
        }
        // Failures of runs between two that were seen are found, or there is a gap there.
        let ends: Vec<String> = gaps.iter().map(|g| g.invocation_id.clone()).collect();
        for run in told.iter().filter(|t| !t.ends_with('!') && !found.contains(t)) {
            prop_assert!(!ends.is_empty(), "{} is lost: {:?}", run, seen);
        }
    }

    #[test]
    fn any_order_of_anything_is_told_once(
        of in proptest::collection::vec((1u32..5, 0usize..6, 0u32..4), 0..40),
    ) {
        let snapshots: Vec<Observation> = of.into_iter().map(|(id, kind, restarts)| match kind {
            0 => running(id, restarts),
            1 => failed(id, restarts),
            2 => waiting(id, restarts),
            3 => before(id, "failed", restarts),
            4 => seen(id, "inactive", "dead", "exit-code", restarts),
            _ => Observation::default(),
        }).collect();
        let (found, _) = all(&snapshots);
        let set: BTreeSet<&String> = found.iter().collect();
        prop_assert_eq!(set.len(), found.len());
    }
}
