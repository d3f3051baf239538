//! The queue of a real Postfix: what waits, since when and why, however it is looked at.

use std::time::Duration;

use notifier_core::{Clock as _, ManualClock, SystemClock};
use notifier_testkit::{
    peer,
    postfix::{Builder, Postfix},
    smtp::Certificates,
};
use smtp_probe::{Check, Level, Prober, Queue, Report, State, Target};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::{Instant, sleep},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One message, by hand; the answer to its end.
async fn send(server: &Postfix) {
    let link = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    let mut link = BufReader::new(link);
    let commands = [
        "",
        "HELO client.example",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<c@far.example>",
        "DATA",
        "Subject: x\r\n\r\nx\r\n.",
        "QUIT",
    ];
    for command in commands {
        if !command.is_empty() {
            let line = format!("{command}\r\n");
            link.get_mut().write_all(line.as_bytes()).await.unwrap();
        }
        let mut reply = String::new();
        link.read_line(&mut reply).await.unwrap();
        assert!(reply.starts_with(['2', '3']), "{command}: {reply}");
    }
}

/// Looks until all messages have a reason, and gives the reasons.
async fn deferred(server: &Postfix, count: usize) {
    let end = Instant::now() + PATIENCE;
    loop {
        let queue = server.queue().await.unwrap();
        let is_deferred = |m: &serde_json::Value| {
            m["queue_name"] == "deferred" && m["recipients"][0]["delay_reason"].is_string()
        };
        if queue.len() == count && queue.iter().all(is_deferred) {
            return;
        }
        assert!(Instant::now() < end, "{queue:?} {}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
}

/// What the log says of each client that went, once it says so of a whole transaction.
async fn goodbyes(server: &Postfix) -> Vec<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let log = server.log();
        let gone = log.lines().filter(|l| l.contains("disconnect from"));
        let gone: Vec<String> = gone.map(str::to_owned).collect();
        if gone.iter().any(|l| l.ends_with(" commands=5")) {
            return gone;
        }
        assert!(Instant::now() < end, "{log}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// One that keeps what it cannot hand on, and does not try again during a test.
fn relay() -> Builder {
    Postfix::builder("relay")
        .trusts("127.0.0.0/8")
        .setting("minimal_backoff_time = 1000s")
        .setting("maximal_backoff_time = 2000s")
        .setting("queue_run_delay = 500s")
}

/// One whose next server is not there: port 1 of this machine.
fn stranded() -> Builder {
    relay()
        .setting("relayhost = [127.0.0.1]:1")
        .setting("default_transport = smtp:")
}

fn target(server: &Postfix, queue: Queue) -> Target {
    let mut target = Target::new("127.0.0.1", server.port());
    target.queue = Some(queue);
    target.limits.total = PATIENCE;
    target.limits.connect = PATIENCE;
    target
}

async fn probe(target: Target) -> Report {
    Prober::new(target).run().await
}

/// The report of somebody whose clock is ahead by so much.
async fn later(target: Target, seconds: i64) -> Report {
    let now = SystemClock.now().as_second() + seconds;
    let clock = ManualClock::new(notifier_core::jiff::Timestamp::from_second(now).unwrap());
    Prober::new(target).clock(clock).run().await
}

fn of<'a>(report: &'a Report, id: &str, subject: &str) -> &'a Check {
    let found = report
        .checks
        .iter()
        .find(|c| c.id == id && c.subject.as_deref() == Some(subject));
    found.unwrap_or_else(|| panic!("no {id} {subject}: {report:#?}"))
}

fn check<'a>(report: &'a Report, id: &str) -> &'a Check {
    report
        .check(id)
        .unwrap_or_else(|| panic!("no {id}: {report:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_the_same_however_it_is_looked_at() {
    let Some(server) = stranded().start_or_skip().await else {
        return;
    };
    let empty = probe(target(&server, Queue::Showq(server.showq()))).await;
    assert_eq!(check(&empty, "queue_depth").state, State::Ok);
    assert_eq!(check(&empty, "queue_depth").text, "no messages");
    for _ in 0..2 {
        send(&server).await;
    }
    deferred(&server, 2).await;

    let socket = Queue::Showq(server.showq());
    let folder = Queue::Folder(server.queue_folder());
    let by_showq = later(target(&server, socket), 2000).await;
    assert_eq!(
        check(&by_showq, "queue_depth").data.as_ref().unwrap()["via"],
        "showq"
    );
    assert_eq!(check(&by_showq, "queue_depth").state, State::Ok);

    // Without its master, by the program; without its configuration, by the files.
    server.stop().await.unwrap();
    let mut with_configuration = target(&server, folder.clone());
    with_configuration.main_cf = Some(server.main_cf());
    let by_program = later(with_configuration, 2000).await;
    let by_files = later(target(&server, folder), 2000).await;
    for (report, via) in [(&by_program, "postqueue"), (&by_files, "files")] {
        let depth = check(report, "queue_depth");
        assert_eq!(depth.data.as_ref().unwrap()["via"], via);
        assert_eq!(
            (depth.state, depth.class.unwrap().word()),
            (State::Crit, "refused")
        );
        assert!(
            depth.text.starts_with("Postfix is not running"),
            "{depth:#?}"
        );
    }
    for report in [&by_showq, &by_program, &by_files] {
        let depth = check(report, "queue_depth");
        assert_eq!(depth.measure.as_ref().unwrap().value, 2.0);
        assert!(depth.text.ends_with("2 messages: 2 deferred"), "{depth:#?}");
        let age = of(report, "queue_age", "deferred");
        assert_eq!(age.state, State::Warn, "{age:#?}");
        let seconds = age.measure.as_ref().unwrap().value;
        assert!((1990.0..3600.0).contains(&seconds), "{seconds}");
        assert_eq!(of(report, "queue_age", "active").text, "nothing is active");
        let reasons = check(report, "queue_reasons");
        assert_eq!(
            (reasons.state, reasons.class.unwrap().word()),
            (State::Warn, "refused")
        );
        assert!(
            reasons
                .text
                .contains("connect to 127.0.0.1[127.0.0.1]:1: Connection refused"),
            "{reasons:#?}"
        );
        assert_eq!(reasons.data.as_ref().unwrap()["groups"]["refused"], 2);
    }
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_that_a_frozen_manager_leaves_is_enough() {
    let Some(server) = stranded().start_or_skip().await else {
        return;
    };
    server.freeze("qmgr").await.unwrap();
    send(&server).await;
    for (seconds, state) in [(0, State::Ok), (120, State::Warn), (400, State::Crit)] {
        let report = later(target(&server, Queue::Showq(server.showq())), seconds).await;
        assert_eq!(check(&report, "queue_depth").state, State::Ok);
        let age = of(&report, "queue_age", "active");
        assert_eq!(age.state, state, "{age:#?}");
        assert_eq!(age.hint.is_some(), state > State::Ok);
    }
    server.thaw().await.unwrap();
    deferred(&server, 1).await;

    // A list that does not come is no empty one.
    server.freeze("showq").await.unwrap();
    let mut hanging = target(&server, Queue::Folder(server.queue_folder()));
    hanging.limits.total = Duration::from_secs(10);
    let report = probe(hanging.clone()).await;
    let depth = check(&report, "queue_depth");
    assert_eq!(
        (depth.state, depth.class.unwrap().word()),
        (State::Crit, "timeout")
    );
    assert!(depth.text.starts_with("showq hangs"), "{depth:#?}");
    assert!(depth.text.ends_with("1 message: 1 deferred"), "{depth:#?}");
    hanging.level = Level::Live;
    let report = probe(hanging).await;
    assert_eq!(check(&report, "queue_depth").state, State::Crit);
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_life_asks_showq_only_and_leaves_no_trace() {
    let Some(server) = stranded().start_or_skip().await else {
        return;
    };
    let mut live = target(&server, Queue::Showq(server.showq()));
    live.level = Level::Live;
    let report = probe(live.clone()).await;
    assert_eq!(report.overall, State::Ok, "{report:#?}");
    assert_eq!(
        check(&report, "queue_depth").text,
        "Postfix runs: showq answers"
    );
    // Of what came, the log knows who looked whether it greets, and one transaction of ours.
    send(&server).await;
    for line in goodbyes(&server).await {
        assert!(
            line.ends_with(" commands=0/0") || line.ends_with(" commands=5"),
            "{line}"
        );
    }
    server.stop().await.unwrap();
    let report = probe(live).await;
    let depth = check(&report, "queue_depth");
    assert_eq!(
        (depth.state, depth.class.unwrap().word()),
        (State::Crit, "refused")
    );
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_is_asked_as_the_relay_would_and_its_refusals_are_told() {
    let certificates = Certificates::new();
    let upstream = Postfix::builder("upstream")
        .identity(&certificates.named(&["upstream.example"]))
        .login("relay", "right-password")
        .demands_login();
    let Some(upstream) = upstream.start_or_skip().await else {
        return;
    };
    let hands_on = |password| {
        let user = "relay@upstream.example";
        relay().hands_on_to(&upstream, user, password, &certificates.ca_pem())
    };
    let deep = |server: &Postfix| {
        let mut target = target(server, Queue::Folder(server.queue_folder()));
        target.main_cf = Some(server.main_cf());
        target.level = Level::Deep;
        target
    };
    let relayhost = format!("[127.0.0.1]:{}", upstream.port());

    let Some(good) = hands_on("right-password").start_or_skip().await else {
        return;
    };
    let report = probe(deep(&good)).await;
    let asked = check(&report, "queue_upstream");
    assert_eq!(asked.state, State::Ok, "{asked:#?}");
    assert_eq!(
        asked.text,
        format!("{relayhost} answers and takes the login")
    );
    assert_eq!(check(&report, "sasl_db").state, State::Ok, "{report:#?}");
    assert!(!format!("{report:?}").contains("right-password"));
    // Below that it is left alone.
    let mut ready = deep(&good);
    ready.level = Level::Ready;
    assert_eq!(
        check(&probe(ready).await, "queue_upstream").state,
        State::Skip
    );

    let Some(wrong) = hands_on("wrong-password").start_or_skip().await else {
        return;
    };
    send(&wrong).await;
    deferred(&wrong, 1).await;
    let report = probe(deep(&wrong)).await;
    let reasons = check(&report, "queue_reasons");
    assert_eq!(
        (reasons.state, reasons.class.unwrap().word()),
        (State::Crit, "reply5")
    );
    assert!(
        reasons.text.contains("SASL authentication failed"),
        "{reasons:#?}"
    );
    let asked = check(&report, "queue_upstream");
    assert_eq!(
        (asked.state, asked.code),
        (State::Crit, Some(535)),
        "{asked:#?}"
    );
    assert!(!format!("{report:?}").contains("wrong-password"));

    // The certificate of the next server is another one's now.
    upstream
        .change_identity(&certificates.named(&["other.example"]))
        .await
        .unwrap();
    send(&good).await;
    deferred(&good, 1).await;
    let report = probe(deep(&good)).await;
    let reasons = check(&report, "queue_reasons");
    assert_eq!(
        (reasons.state, reasons.class.unwrap().word()),
        (State::Crit, "tls"),
        "{reasons:#?}"
    );
    let asked = check(&report, "queue_upstream");
    assert_eq!(
        (asked.state, asked.class.unwrap().word()),
        (State::Crit, "cert"),
        "{asked:#?}"
    );
    assert!(asked.text.starts_with("cert_name: "), "{asked:#?}");

    upstream.stop().await.unwrap();
    let asked = probe(deep(&good)).await;
    let asked = check(&asked, "queue_upstream");
    assert_eq!(
        (asked.state, asked.class.unwrap().word()),
        (State::Crit, "refused"),
        "{asked:#?}"
    );
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resolver_that_the_chroot_has_is_compared() {
    let Some(server) = stranded().start_or_skip().await else {
        return;
    };
    let target = || target(&server, Queue::Folder(server.queue_folder()));
    let report = probe(target()).await;
    assert_eq!(check(&report, "resolv").state, State::Skip);
    let spool = check(&report, "spool");
    let free = spool.measure.as_ref().unwrap().value;
    assert!((0.0..=100.0).contains(&free), "{spool:#?}");

    let folder = server.queue_folder().join("etc");
    std::fs::create_dir(&folder).unwrap();
    let Ok(system) = std::fs::read_to_string("/etc/resolv.conf") else {
        return;
    };
    let copy = folder.join("resolv.conf");
    std::fs::write(&copy, format!("# a copy\n{system}")).unwrap();
    assert_eq!(check(&probe(target()).await, "resolv").state, State::Ok);
    std::fs::write(&copy, "nameserver 192.0.2.53\n").unwrap();
    let report = probe(target()).await;
    let resolv = check(&report, "resolv");
    assert_eq!(resolv.state, State::Warn);
    assert!(resolv.text.contains("nameserver 192.0.2.53"), "{resolv:#?}");
    peer::ran("Postfix");
}
