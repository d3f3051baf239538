use super::*;

fn job(errors: u64, in_a_row: u64, disabled: bool) -> Job {
    Job {
        name: "a".to_owned(),
        retries: 2,
        errors,
        errors_in_a_row: in_a_row,
        disabled,
        ..Job::default()
    }
}

#[test]
fn what_grew_is_told_once() {
    let mut e = Entry::new(job(3, 1, false));
    assert_eq!(e.growth(), 0);
    assert!(e.renew(job(5, 3, true), Vec::new()));
    assert_eq!((e.growth(), e.failures(1), e.failures(2)), (2, 2, 3));
    assert!(e.is_newly_disabled());
    e.told(2, true);
    e.settle();
    assert_eq!((e.growth(), e.is_newly_disabled()), (0, false));
    assert!(!e.renew(job(5, 3, true), Vec::new()));
}

#[test]
fn what_was_expected_is_no_news() {
    let mut e = Entry::new(job(0, 0, false));
    e.expect(Timestamp::UNIX_EPOCH, false);
    e.settle();
    e.renew(job(0, 0, false), Vec::new());
    e.absorb();
    e.settle();
    // Counted at last, and disabled for it.
    e.renew(job(1, 1, true), Vec::new());
    e.absorb();
    e.settle();
    assert_eq!((e.growth(), e.is_newly_disabled()), (0, false));
    e.renew(job(2, 2, true), Vec::new());
    e.absorb();
    assert_eq!(e.growth(), 1);
}

#[test]
fn what_was_told_before_any_list_is_no_news() {
    let failed = Timestamp::from_second(1000).unwrap();
    let error = |errors| Job {
        last_error: failed.to_string(),
        ..job(errors, errors, false)
    };
    let mut e = Entry::unlisted("a", failed);
    e.renew(error(1), Vec::new());
    assert_eq!(e.growth(), 1);
    let mut e = Entry::unlisted("a", failed);
    e.expect_unlisted();
    e.renew(error(1), Vec::new());
    assert_eq!(e.growth(), 0);
    // Not counted by then.
    let mut e = Entry::unlisted("a", failed);
    e.expect_unlisted();
    for (errors, growth) in [(0, 0), (1, 0), (2, 1)] {
        e.renew(
            if errors == 0 {
                job(0, 0, false)
            } else {
                error(errors)
            },
            Vec::new(),
        );
        e.absorb();
        assert_eq!(e.growth(), growth);
        e.settle();
    }
}

#[test]
fn another_job_of_the_same_name_begins_anew() {
    let mut e = Entry::new(job(5, 5, false));
    e.renew(job(0, 0, false), Vec::new());
    assert_eq!(e.growth(), 0);
    e.renew(job(1, 1, false), Vec::new());
    assert_eq!(e.growth(), 1);
}

#[test]
fn runs_count_from_the_last_success() {
    let at = |s| Timestamp::from_second(s).unwrap();
    let mut e = Entry::new(job(0, 0, false));
    assert_eq!(e.count_runs(1, at(10)), 1);
    assert_eq!(e.count_runs(1, at(20)), 2);
    let mut next = job(0, 0, false);
    next.last_success = at(30).to_string();
    e.renew(next.clone(), Vec::new());
    assert_eq!(e.count_runs(1, at(40)), 1);
    // One that failed before a success that came meanwhile.
    next.last_success = at(60).to_string();
    e.renew(next, Vec::new());
    assert_eq!(e.count_runs(1, at(50)), 1);
    assert_eq!(e.count_runs(1, at(70)), 1);
}

#[test]
fn a_first_list_has_counted_what_waits() {
    let at = |s| Timestamp::from_second(s).unwrap();
    let run = |s, attempt| Run {
        failed: at(s),
        due: None,
        attempt,
    };
    let job = |errors, row, retries| Job {
        retries,
        last_error: at(1100).to_string(),
        ..job(errors, row, false)
    };
    let three = || vec![run(1020, 0), run(1000, 0), run(1040, 0)];
    // No retries: each of them, or those that are counted.
    assert_eq!(counted(&job(3, 3, 0), three()), 3);
    assert_eq!(counted(&job(9, 7, 0), three()), 3);
    assert_eq!(counted(&job(2, 2, 0), three()), 2);
    // Attempts, then one that gets none.
    let tries = || vec![run(1000, 0), run(1010, 1), run(1020, 2), run(1030, 0)];
    assert_eq!(counted(&job(2, 2, 2), tries()), 2);
    // One more that the cluster has not told.
    assert_eq!(counted(&job(3, 3, 2), tries()), 3);
    // It had failed for good before.
    assert_eq!(counted(&job(9, 5, 2), three()), 3);
    // Later than what is counted.
    assert_eq!(counted(&job(1, 1, 0), vec![run(1000, 0), run(1200, 0)]), 1);
    // A success between them.
    let mut well = job(3, 1, 0);
    well.last_success = at(1030).to_string();
    assert_eq!(counted(&well, three()), 3);
    assert_eq!(counted(&job(0, 0, 0), three()), 0);
}
