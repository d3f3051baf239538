//! The checks of the DNS, over servers that answer oddly or not at all, and what else tells of a relay.

use std::{io, net::SocketAddr, time::Duration};

use notifier_testkit::dns::{FakeDns, Zone};
use smtp_probe::{Check, Level, Prober, State, Target};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    task::JoinSet,
    time::timeout,
};

/// Only a run that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A target at which nobody listens.
fn target(dns: SocketAddr) -> Target {
    let mut target = Target::parse("127.0.0.1:1").unwrap();
    target.dns.wanted = true;
    target.dns.server = Some(dns);
    target.from = vec!["alerts@corp.example".to_owned()];
    target.dns.egress = Some("203.0.113.25".parse().unwrap());
    target.dns.dkim = vec!["s1".to_owned()];
    target.dns.dnsbl = vec!["bl.example".to_owned()];
    target.limits.dns = Duration::from_secs(60);
    target
}

async fn run(target: Target) -> Vec<Check> {
    let mut prober = Prober::new(target);
    let report = timeout(PATIENCE, prober.run()).await;
    report.expect("it ends").checks
}

#[track_caller]
fn one<'c>(checks: &'c [Check], id: &str) -> &'c Check {
    let found = checks.iter().find(|c| c.id == id);
    found.unwrap_or_else(|| panic!("{id} is missing: {checks:#?}"))
}

/// What comes back for a question.
type Answers = fn(&[u8]) -> Vec<Vec<u8>>;

/// Answers every question by what `answers` makes of it, by UDP, and by TCP with a length that
/// nothing follows.
async fn garbage(answers: Answers) -> (SocketAddr, JoinSet<io::Result<()>>) {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let Ok((length, from)) = udp.recv_from(&mut buffer).await else {
                continue;
            };
            for answer in answers(&buffer[..length]) {
                let _ = udp.send_to(&answer, from).await;
            }
        }
    });
    tasks.spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = tcp.accept().await?;
            let mut asked = [0; 2];
            stream.read_exact(&mut asked).await?;
            stream.write_all(&[0xff, 0xff, 1, 2, 3]).await?;
            open.push(stream);
        }
    });
    (address, tasks)
}

/// Noise, noise under the question's number, another's answer, a cut one, and all of it often.
#[tokio::test]
async fn answers_that_are_none() {
    let kinds: [Answers; 5] = [
        |_| vec![vec![0x5a; 300]],
        |asked| vec![[&asked[..2], &[0x81, 0x80], &[0xff; 400]].concat()],
        |asked| {
            let mut other = asked.to_vec();
            (other[0], other[2]) = (!asked[0], 0x81);
            vec![other]
        },
        |asked| vec![[&asked[..2], &[0x83, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &[0xc0]].concat()],
        |asked| vec![[&asked[..2], &[0x81]].concat(); 200],
    ];
    for kind in kinds {
        let (address, _tasks) = garbage(kind).await;
        let mut target = target(address);
        target.limits.dns = Duration::from_millis(100);
        let checks = run(target).await;
        for id in ["spf", "dkim", "dmarc", "mx", "ptr", "dnsbl"] {
            let check = one(&checks, id);
            assert_eq!(check.state, State::Unknown, "{check:?}");
            assert!(check.hint.is_some() && check.text.len() < 600, "{check:?}");
        }
    }
}

/// A thousand records at each name, and hosts that lead in circles.
#[tokio::test]
async fn answers_without_measure() {
    let names = [
        "corp.example",
        "s1._domainkey.corp.example",
        "_dmarc.corp.example",
    ];
    let mut zone = names
        .iter()
        .fold(Zone::new(), |zone, name| zone.truncated(name));
    for number in 0..1000 {
        zone = zone
            .text(
                "corp.example",
                &format!("v=spf1 ip4:198.51.100.{} -all", number % 256),
            )
            .text(
                "s1._domainkey.corp.example",
                &format!("v=DKIM1; p={number}"),
            )
            .text(
                "_dmarc.corp.example",
                &format!("v=DMARC1; p=none; x={number}"),
            )
            .mx("corp.example", number, &format!("mx{number}.corp.example"))
            .alias(
                &format!("mx{number}.corp.example"),
                &format!("mx{}.corp.example", 999 - number),
            );
    }
    let dns = FakeDns::start(zone).await;
    let checks = run(target(dns.address())).await;
    for (id, state, words) in [
        ("spf", State::Crit, "1000 v=spf1 records"),
        ("dkim", State::Crit, "1000 records"),
        ("dmarc", State::Warn, "1000 v=DMARC1 records"),
    ] {
        let check = one(&checks, id);
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.text.contains(words), "{check:?}");
    }
    let mx = one(&checks, "mx");
    assert!(mx.state > State::Warn && mx.text.len() < 4000, "{mx:?}");
    let asked = dns.questions();
    let hosts = asked.iter().filter(|q| q.name.starts_with("mx"));
    assert!(hosts.count() < 500, "{}", asked.len());
}

/// A server that greets by a name, and no more.
async fn greeting(name: &'static str) -> (SocketAddr, JoinSet<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            let banner = format!("220 {name} ESMTP\r\n");
            stream.write_all(banner.as_bytes()).await?;
            let mut asked = [0; 64];
            let _ = stream.read(&mut asked).await?;
            stream.write_all(b"221 Bye\r\n").await?;
        }
    });
    (address, tasks)
}

/// Its banner tells the name that it greets with, unless its main.cf does.
#[tokio::test]
async fn the_name_of_the_banner_is_looked_up() {
    let zone = Zone::new()
        .address("mail.corp.example", "203.0.113.25")
        .pointer("203.0.113.25", "mail.corp.example");
    let dns = FakeDns::start(zone).await;
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.cf");
    std::fs::write(&main, "myhostname = mail.corp.example\n").unwrap();
    for (banner, main, helo, ptr) in [
        ("mail.corp.example", None, State::Ok, State::Ok),
        ("other.corp.example", None, State::Warn, State::Warn),
        ("mail", None, State::Skip, State::Ok),
        ("other.corp.example", Some(main), State::Ok, State::Ok),
    ] {
        let (server, _tasks) = greeting(banner).await;
        let mut target = target(dns.address());
        (target.host, target.port) = (server.ip().to_string(), server.port());
        target.level = Level::Live;
        target.main_cf = main;
        let checks = run(target).await;
        let found = ["helo_dns", "ptr"].map(|id| one(&checks, id).state);
        assert_eq!(found, [helo, ptr], "{banner}: {checks:#?}");
    }
}

/// Lists that the relay asks are tested, with or without an address that they may have.
#[tokio::test]
async fn block_lists_of_a_relay_are_tested() {
    let zone = Zone::new()
        .address("2.0.0.127.good.example", "127.0.0.2")
        .address("2.0.0.127.all.example", "127.0.0.2")
        .address("1.0.0.127.all.example", "127.0.0.2")
        .fails("2.0.0.127.open.example");
    let dns = FakeDns::start(zone).await;
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.cf");
    std::fs::write(
        &main,
        "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination,\n \
         reject_rbl_client good.example, reject_rbl_client gone.example=127.0.0.2\n\
         postscreen_dnsbl_sites = all.example*2 open.example\n",
    )
    .unwrap();
    let mut target = target(dns.address());
    target.main_cf = Some(main);
    target.dns.egress = None;
    let checks = run(target).await;
    for (zone, state) in [
        ("good.example", State::Ok),
        ("gone.example", State::Warn),
        ("all.example", State::Warn),
        ("open.example", State::Unknown),
    ] {
        let mut lists = checks.iter().filter(|c| c.id == "dnsbl");
        let check = lists.find(|c| c.subject.as_deref() == Some(zone));
        let check = check.unwrap_or_else(|| panic!("{zone}: {checks:#?}"));
        assert_eq!(check.state, state, "{check:?}");
    }
}
