//! The battery against servers that do what Postfix does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use smtp_probe::{Battery, Check, Expect, Prober, State, Target};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a server answers to a command: a line, nothing and the end of the connection, or silence.
enum Answer {
    Line(&'static str),
    HangUp,
    Silence,
}

type Answers = fn(&str) -> Answer;

/// Serves until the test ends; counts what it is given.
#[derive(Default)]
struct Counts {
    data: AtomicUsize,
    messages: AtomicUsize,
    connections: AtomicUsize,
    most_refusals: AtomicUsize,
}

async fn serve(answers: Answers) -> (u16, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let counts = Arc::new(Counts::default());
    let shared = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            shared.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(session(stream, answers, Arc::clone(&shared)));
        }
    });
    (port, counts)
}

async fn session(stream: TcpStream, answers: Answers, counts: Arc<Counts>) {
    let mut stream = BufReader::new(stream);
    let mut refusals = 0;
    let _ = stream.write_all(b"220 mx.odd.test ESMTP\r\n").await;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
        let command = line.trim_end().to_owned();
        line.clear();
        if command == "DATA" {
            counts.data.fetch_add(1, Ordering::SeqCst);
        }
        if command == "." {
            counts.messages.fetch_add(1, Ordering::SeqCst);
        }
        let reply = match answers(&command) {
            Answer::Line(reply) => reply,
            Answer::HangUp => return,
            Answer::Silence => std::future::pending().await,
        };
        if reply.starts_with('5') {
            refusals += 1;
            counts.most_refusals.fetch_max(refusals, Ordering::SeqCst);
        }
        let reply = format!("{reply}\r\n");
        if stream.write_all(reply.as_bytes()).await.is_err() || command == "QUIT" {
            return;
        }
    }
}

async fn check(port: u16, change: impl FnOnce(&mut Target)) -> Check {
    let mut target = Target::new("127.0.0.1", port);
    target.open_relay = Some(Battery::default());
    target.helo = Some("probe.example".to_owned());
    target.limits.total = PATIENCE;
    target.limits.connect = PATIENCE;
    change(&mut target);
    let report = Prober::new(target).run().await;
    report.check("open_relay").unwrap().clone()
}

fn verdicts(check: &Check, form: u64) -> Vec<String> {
    let forms = check.data.as_ref().unwrap()["forms"].as_array().unwrap();
    let ours = forms.iter().filter(|f| f["form"] == form);
    ours.map(|f| f["verdict"].as_str().unwrap().to_owned())
        .collect()
}

fn refuses(command: &str) -> Answer {
    Answer::Line(match command.split([' ', ':']).next() {
        Some("RCPT") => "554 5.7.1 Relay access denied",
        Some("QUIT") => "221 bye",
        _ => "250 fine",
    })
}

fn takes_all(command: &str) -> Answer {
    Answer::Line(match command {
        "QUIT" => "221 bye",
        "DATA" => "354 go on",
        _ => "250 fine",
    })
}

#[tokio::test]
async fn few_commands_are_refused_on_a_connection_and_no_data_is_sent() {
    let (port, counts) = serve(refuses).await;
    let found = check(port, |_| {}).await;
    assert_eq!(found.state, State::Ok, "{found:#?}");
    assert!(counts.most_refusals.load(Ordering::SeqCst) <= 8);
    // As many connections as that takes, and hardly more.
    let connections = counts.connections.load(Ordering::SeqCst);
    assert!((8..=16).contains(&connections), "{connections}");

    // Not even where all is taken.
    let (port, counts) = serve(takes_all).await;
    let found = check(port, |_| {}).await;
    assert_eq!(found.state, State::Crit, "{found:#?}");
    assert!(found.hint.unwrap().contains("--send"));
    assert_eq!(counts.data.load(Ordering::SeqCst), 0);
    // With leave to send, one message proves it.
    let found = check(port, |t| t.send = true).await;
    assert!(
        found.text.starts_with("open: it took a message"),
        "{found:#?}"
    );
    assert_eq!(counts.data.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_hangs_up_at_some_forms_refuses_them() {
    let (port, _) = serve(
        |command| match command.contains('!') && command.contains("mx.odd") {
            true => Answer::HangUp,
            false => refuses(command),
        },
    )
    .await;
    let found = check(port, |_| {}).await;
    assert_eq!(found.state, State::Ok, "{found:#?}");
    assert_eq!(verdicts(&found, 26), ["hung-up"]);
    assert_eq!(verdicts(&found, 27), ["refused"]);
    assert!(found.text.contains("hung up: 1"), "{}", found.text);

    // One that has no other answer is not closed for that.
    let (port, _) = serve(|command| match command.starts_with("RCPT") {
        true => Answer::HangUp,
        false => refuses(command),
    })
    .await;
    let found = check(port, |_| {}).await;
    assert_eq!(found.state, State::Unknown, "{found:#?}");
}

#[tokio::test]
async fn a_greeting_that_is_refused_is_a_form_that_is_refused() {
    let (port, _) = serve(|command| match command {
        "EHLO localhost" => Answer::Line("550 5.7.1 that is me"),
        _ => refuses(command),
    })
    .await;
    let found = check(port, |_| {}).await;
    assert_eq!(found.state, State::Ok, "{found:#?}");
    let verdicts = verdicts(&found, 37);
    assert!(
        verdicts.len() >= 3 && verdicts.iter().all(|v| v == "refused"),
        "{verdicts:?}"
    );
}

#[tokio::test]
async fn a_server_that_falls_silent_is_not_known_to_be_closed() {
    // Long enough for a busy machine's answers; both are waited for at once.
    let patient = |t: &mut Target| t.limits.reply = Some(Duration::from_secs(15));
    let (silent, _) = serve(|command| match command.contains('!') {
        true => Answer::Silence,
        false => refuses(command),
    })
    .await;
    let (open, _) = serve(|command| match command {
        "RCPT TO:<victim@example.net>" => Answer::Line("250 fine"),
        _ if command.contains('!') => Answer::Silence,
        _ => refuses(command),
    })
    .await;
    let (silent, open) = tokio::join!(check(silent, patient), check(open, patient));
    assert_eq!(silent.state, State::Unknown, "{silent:#?}");
    assert_eq!(silent.class.unwrap().word(), "timeout");
    assert!(
        silent.text.contains("asked from 127.0.0.1"),
        "{}",
        silent.text
    );
    // What was seen to be open before stays so.
    assert_eq!(open.state, State::Crit, "{open:#?}");
}

#[tokio::test]
async fn names_that_would_change_a_command_are_not_sent() {
    let (port, counts) = serve(takes_all).await;
    let found = check(port, |t| {
        let mut battery = Battery::default();
        battery.relay_domains = vec!["x>\r\nDATA".to_owned()];
        t.open_relay = Some(battery);
    })
    .await;
    assert_eq!(
        (found.state, found.class.unwrap().word()),
        (State::Unknown, "local")
    );
    assert_eq!(counts.data.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_message_goes_by_way_of_a_domain_that_was_only_guessed() {
    // Of a domain that somebody else has, this would be sent there.
    let unwraps: Answers = |command| match command.contains("%example.net@company.com") {
        true => takes_all(command),
        false if command == "DATA" => Answer::Line("354 go on"),
        false => refuses(command),
    };
    for (own, messages) in [(None, 0), (Some("company.com"), 1)] {
        let (port, counts) = serve(unwraps).await;
        let found = check(port, |t| {
            t.send = true;
            t.from = vec!["a@company.com".to_owned()];
            let mut battery = Battery::default();
            battery.own_domain = own.map(str::to_owned);
            t.open_relay = Some(battery);
        })
        .await;
        assert_eq!(found.state, State::Crit, "{found:#?}");
        assert_eq!(counts.messages.load(Ordering::SeqCst), messages, "{own:?}");
    }
}

#[tokio::test]
async fn a_server_that_greylists_is_closed_and_not_trusting_yet() {
    let (port, _) = serve(|command| match command.starts_with("RCPT") {
        true => Answer::Line("450 4.2.0 Greylisted"),
        false => refuses(command),
    })
    .await;
    let found = check(port, |_| {}).await;
    assert_eq!(found.state, State::Ok, "{found:#?}");
    assert!(found.text.starts_with("closed, deferred"), "{found:#?}");
    let found = check(port, |t| t.expect = Expect::Trusted).await;
    assert_eq!(found.state, State::Warn, "{found:#?}");
    assert!(found.hint.unwrap().contains("again"));
}
