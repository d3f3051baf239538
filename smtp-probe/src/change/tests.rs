use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

const SECOND: i64 = 1000;
const WINDOW: i64 = 600 * SECOND;

#[test]
fn states_become_standings() {
    let of = |s: State| Standing::from(s);
    assert_eq!(of(State::Skip), Standing::Ok);
    assert_eq!(of(State::Ok), Standing::Ok);
    assert_eq!(of(State::Warn), Standing::Degraded);
    assert_eq!(of(State::Unknown), Standing::Degraded);
    assert_eq!(of(State::Crit), Standing::Down);
}

#[test]
fn what_is_bad_from_the_start_is_told_at_once() {
    for (bad, news) in [
        (Standing::Down, News::Down),
        (Standing::Degraded, News::Degraded),
    ] {
        let mut course = Course::default();
        let change = course.observe(bad, at(0), Damping::default()).unwrap();
        assert_eq!((change.news, change.from), (news, None));
        assert_eq!(course.observe(bad, at(SECOND), Damping::default()), None);
    }
}

#[test]
fn it_is_told_how_long_it_lasted() {
    let mut course = Course::default();
    let damping = Damping::default();
    assert_eq!(course.observe(Standing::Ok, at(0), damping), None);
    let down = course
        .observe(Standing::Down, at(5 * SECOND), damping)
        .unwrap();
    assert_eq!(down.lasted, Duration::from_secs(5));
    let up = course
        .observe(Standing::Ok, at(65 * SECOND), damping)
        .unwrap();
    assert_eq!(up.news, News::Recovered);
    assert_eq!(up.from, Some(Standing::Down));
    assert_eq!(up.lasted, Duration::from_secs(60));
    assert_eq!(up.changes, 2);
}

#[test]
fn a_hundred_flaps_in_ten_minutes_are_a_handful_of_messages() {
    let mut course = Course::default();
    let mut told = Vec::new();
    // Down and up again a hundred times in ten minutes, seen every three seconds.
    for i in 0..200 {
        let standing = match i % 2 {
            0 => Standing::Down,
            _ => Standing::Ok,
        };
        let change = course.observe(standing, at(i * 3 * SECOND), Damping::default());
        told.extend(change.map(|c| c.news));
    }
    for i in 0..400 {
        let time = at((600 + i * 3) * SECOND);
        let change = course.observe(Standing::Ok, time, Damping::default());
        told.extend(change.map(|c| c.news));
    }
    assert_eq!(
        told,
        [News::Down, News::Recovered, News::Flapping, News::Recovered]
    );
    assert!(!course.is_flapping());
}

#[test]
fn a_clock_that_goes_back_breaks_nothing() {
    let mut course = Course::default();
    let damping = Damping::default();
    course.observe(Standing::Ok, at(WINDOW), damping);
    let down = course.observe(Standing::Down, at(0), damping).unwrap();
    assert_eq!(down.lasted, Duration::ZERO);
    let up = course.observe(Standing::Ok, at(SECOND), damping).unwrap();
    assert_eq!(up.lasted, Duration::ZERO);
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        3 => Just(Standing::Ok),
        1 => Just(Standing::Degraded),
        2 => Just(Standing::Down),
    ]
}

/// Steps of up to twenty minutes, most of them short.
fn steps() -> impl Strategy<Value = Vec<(Standing, i64)>> {
    let step = prop_oneof![
        4 => 1..60 * SECOND,
        1 => 1..2 * WINDOW,
    ];
    proptest::collection::vec((standing(), step), 1..200)
}

proptest! {
    #[test]
    fn there_are_never_many_messages_in_one_window(steps in steps()) {
        let mut course = Course::default();
        let mut now = 0;
        let mut told: Vec<i64> = Vec::new();
        for (standing, step) in steps {
            now += step;
            if course.observe(standing, at(now), Damping::default()).is_some() {
                told.push(now);
                let recent = told.iter().filter(|t| now - **t < WINDOW).count();
                prop_assert!(recent <= 4, "{told:?}");
            }
        }
    }

    #[test]
    fn in_the_end_everybody_knows_how_it_stands(steps in steps(), last in standing()) {
        let mut course = Course::default();
        let mut now = 0;
        let mut known = Standing::Ok;
        let mut see = |standing, time| {
            if let Some(change) = course.observe(standing, at(time), Damping::default()) {
                prop_assert_eq!(change.to, standing);
                match change.news {
                    News::Flapping => {}
                    _ => known = change.to,
                }
            }
            Ok(())
        };
        for (standing, step) in steps {
            now += step;
            see(standing, now)?;
        }
        see(last, now + 1)?;
        see(last, now + 1 + WINDOW)?;
        prop_assert_eq!(known, last);
        prop_assert!(!course.is_flapping());
    }

    #[test]
    fn a_restart_changes_nothing(steps in steps()) {
        let (mut whole, mut kept) = (Course::default(), Course::default());
        let mut now = 0;
        for (standing, step) in steps {
            now += step;
            let text = serde_json::to_string(&kept).unwrap();
            prop_assert!(text.len() < 400, "{text}");
            kept = serde_json::from_str(&text).unwrap();
            let a = whole.observe(standing, at(now), Damping::default());
            let b = kept.observe(standing, at(now), Damping::default());
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn after_a_quiet_time_a_change_is_told_as_it_is(steps in steps(), next in standing()) {
        let mut course = Course::default();
        let mut now = 0;
        let mut stands = Standing::Ok;
        for (standing, step) in steps {
            now += step;
            stands = standing;
            course.observe(standing, at(now), Damping::default());
        }
        course.observe(stands, at(now + WINDOW), Damping::default());
        let change = course.observe(next, at(now + WINDOW + SECOND), Damping::default());
        match next == stands {
            true => prop_assert_eq!(change, None),
            false => prop_assert_eq!(change.map(|c| c.news), Some(News::from(next))),
        }
    }
}
