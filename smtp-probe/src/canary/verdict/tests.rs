use super::*;
use crate::canary::{
    find::Place, head::Head, hop, mark::Mark, sending::Accepted, stopped::Waiting,
};

const BEGUN: &str = "2026-11-22T04:21:27.000Z";

fn at(ms: i64) -> Timestamp {
    let begun: Timestamp = BEGUN.parse().unwrap();
    Timestamp::from_millisecond(begun.as_millisecond() + ms).unwrap()
}

fn flight() -> Flight {
    Flight {
        mark: Mark::new(at(0)).unwrap(),
        begun: at(0),
        accepted: Accepted {
            queue_id: Some("4jWKZS0001zabc".to_owned()),
            local: "10.1.2.3:40000".parse().unwrap(),
            took: Duration::from_millis(5),
            at: tokio::time::Instant::now(),
            taken: at(5),
        },
        has_sender: false,
    }
}

fn target() -> Target {
    Target::new("relay.example", 25)
}

fn arrived(header: &str) -> Found {
    Found {
        id: String::new(),
        what: What::Arrived {
            hops: hop::way(&Head::read(header.as_bytes())),
            is_altered: false,
        },
        at: None,
        place: Place::Gone,
    }
}

/// Two servers with short queue ids: 5 ms after the beginning, and 20 ms later.
const WAY: &str = "Received: from relay.example (relay.example [192.0.2.1]) by upstream.example (Postfix) with ESMTPSA id 061A812345; Sun, 22 Nov 2026 04:21:27 +0000\n\
    Received: from me (unknown [10.1.2.3]) by relay.example (Postfix) with ESMTP id 0138812345; Sun, 22 Nov 2026 04:21:27 +0000\n\n";

fn after(target: &Target, found_: Found, ms: u64, late: &[Late]) -> Check {
    found(
        target,
        &flight(),
        found_,
        Duration::from_millis(ms),
        late,
        at(60_000),
    )
}

#[test]
fn the_way_is_told_hop_by_hop() {
    let check = after(&target(), arrived(WAY), 40, &[]);
    assert_eq!(
        check.text,
        "delivered in 0.04s through 2 hops: relay.example 5ms, upstream.example 20ms"
    );
    assert_eq!(
        (check.state, check.class, check.hint),
        (State::Ok, None, None)
    );
    let data = check.data.unwrap();
    assert_eq!(data["delivery_ms"], 40.0);
    assert_eq!(data["smtp_ms"], 5.0);
    assert_eq!(data["queue_id"], "4jWKZS0001zabc");
    assert_eq!(data["egress"], "192.0.2.1");
    assert_eq!(data["hops"][0]["client"], "10.1.2.3");
    assert_eq!(data["hops"][1]["auth"], true);
    assert_eq!(data["hops"][1]["delay_ms"], 20);
}

#[test]
fn delays_by_dates_alone_are_rounded_and_clocks_may_differ() {
    let date = |s: u32| format!("Sun, 22 Nov 2026 04:21:{s:02} +0000");
    let header = format!(
        "Received: by d; nonsense\nReceived: by c; {}\nReceived: by b; {}\nReceived: by a; {}\n\n",
        date(5),
        date(30),
        date(27)
    );
    let check = after(&target(), arrived(&header), 5000, &[]);
    assert_eq!(
        check.text,
        "delivered in 5.00s through 4 hops: a <1s, b 3s, c, d"
    );
    assert_eq!(
        after(&target(), arrived("\n"), 40, &[]).text,
        "delivered in 0.04s"
    );
}

#[test]
fn the_limits_make_it_a_warning_and_no_more() {
    for (ms, state) in [
        (29_900, State::Ok),
        (30_000, State::Warn),
        (120_000, State::Warn),
        (200_000, State::Warn),
    ] {
        let check = after(&target(), arrived(WAY), ms, &[]);
        assert_eq!(check.state, state, "{ms}");
        assert_eq!(check.hint.is_some(), state == State::Warn);
        let measure = check.measure.unwrap();
        assert_eq!((measure.warn, measure.crit), (Some(30.0), Some(120.0)));
    }
}

#[test]
fn a_gateway_that_hides_clients_is_a_warning() {
    for (seen, is_hidden) in [
        ("10.255.0.3", true),
        ("10.0.0.2", true),
        ("172.17.0.1", true),
        ("10.1.2.3", false),
        ("192.0.2.9", false),
        ("10.0.1.2", false),
        ("172.17.0.2", false),
    ] {
        let header = WAY.replace("10.1.2.3", seen);
        let check = after(&target(), arrived(&header), 40, &[]);
        assert_eq!(
            check.data.as_ref().unwrap()["client"]["is_hidden"],
            is_hidden,
            "{seen}"
        );
        assert_eq!(check.data.as_ref().unwrap()["client"]["seen"], seen);
        assert_eq!(check.state == State::Warn, is_hidden, "{seen}");
        assert_eq!(
            check.text.contains("client address hidden"),
            is_hidden,
            "{seen}"
        );
    }
}

#[test]
fn changed_headers_and_earlier_ones_are_told() {
    let mut changed = arrived(WAY);
    if let What::Arrived { is_altered, .. } = &mut changed.what {
        *is_altered = true;
    }
    let check = after(&target(), changed, 40, &[]);
    assert_eq!(
        (check.state, check.class),
        (State::Warn, Some(Class::Proto))
    );
    let late = |ms: i64| Late {
        sent: Mark::new(at(-600_000)).unwrap().sent(None),
        found: Found {
            at: Some(at(-600_000 + ms)),
            ..arrived("\n")
        },
    };
    let check = after(&target(), arrived(WAY), 40, &[late(29_000)]);
    assert_eq!(check.state, State::Ok, "{}", check.text);
    let check = after(&target(), arrived(WAY), 40, &[late(300_000)]);
    assert_eq!(check.state, State::Warn);
    assert!(
        check
            .text
            .ends_with("the canary of 04:11:27 UTC came late, after 300s"),
        "{}",
        check.text
    );
    let mut bounced = late(1);
    bounced.found.what = What::Bounced(Bounce {
        why: Some("550 no".to_owned()),
        ..Bounce::default()
    });
    let check = after(&target(), arrived(WAY), 40, &[bounced]);
    assert_eq!(check.state, State::Warn);
    assert!(check.text.ends_with("bounced: 550 no"), "{}", check.text);
}

#[test]
fn a_file_says_itself_when_it_came() {
    let file = || Place::File("x".into());
    let ms = Duration::from_millis;
    for (came, want) in [(25, 20), (2, 0), (5000, 1000), (-5000, 1000)] {
        let found = delivery(&flight(), &file(), Some(at(came)), ms(1000));
        assert_eq!(found, ms(want), "{came}");
    }
    assert_eq!(
        delivery(&flight(), &Place::Uid(1), Some(at(25)), ms(1000)),
        ms(1000)
    );
    assert_eq!(delivery(&flight(), &file(), None, ms(1000)), ms(1000));
}

#[test]
fn what_did_not_come_says_where_it_stopped() {
    let seen = Seen::Waiting(Waiting {
        queue: "deferred".to_owned(),
        reason: Some("connect to a[192.0.2.1]:25: Connection refused".to_owned()),
    });
    let check = missing(&target(), &flight(), &seen, Duration::from_secs(120));
    assert_eq!(
        (check.state, check.class),
        (State::Crit, Some(Class::Refused))
    );
    assert_eq!(
        check.text,
        "not delivered in 120s: relay.example:25 took it as 4jWKZS0001zabc, where it is deferred: connect to a[192.0.2.1]:25: Connection refused"
    );
    let data = check.data.unwrap();
    assert_eq!(data["stopped_at"], "deferred");
    assert_eq!(data["hop"], "relay.example:25");
    assert!(data["reason"].as_str().unwrap().starts_with("connect to"));
    let due = Mark::new(at(-60_000))
        .unwrap()
        .sent(Some("4jWKZS0009zabc".to_owned()));
    let check = overdue(&target(), &flight(), &due, &seen, at(60_000));
    assert_eq!(check.state, State::Crit);
    assert!(
        check
            .text
            .starts_with("the canary of 04:20:27 UTC was not delivered in 120s: "),
        "{}",
        check.text
    );
    assert!(check.text.contains("4jWKZS0009zabc"));
    let check = on_its_way(&target(), &flight(), &[], Duration::from_secs(8), at(0));
    assert_eq!(check.state, State::Unknown);
    let stop = Stop::new(Phase::Delivery, Class::Refused, "no");
    assert_eq!(
        taken_blind(stop, &flight(), &target()).state,
        State::Unknown
    );
    let check = left_queue(&target(), &flight(), Duration::from_secs(31));
    assert_eq!(check.state, State::Warn);
    let bounce = Bounce {
        reporter: Some("up.example".to_owned()),
        status: Some("4.4.7".to_owned()),
        why: None,
    };
    let check = bounced(&flight(), &bounce);
    assert_eq!(
        (check.state, check.class),
        (State::Crit, Some(Class::Reply4))
    );
    assert_eq!(check.text, "bounced by up.example: 4.4.7");
}
