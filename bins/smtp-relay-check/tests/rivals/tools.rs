//! How each tool is asked, and what it says.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use notifier_testkit::{peer, program::command};
use serde_json::Value;

use crate::{
    blackbox::{Blackbox, get},
    cases::{Case, FOREIGN, LONG, NAME, OWN, PASSWORD, Question, SHORT, Scene, USER},
};

const CHECK_SMTP: &str = "/usr/lib/nagios/plugins/check_smtp";
const OURS: &str = env!("CARGO_BIN_EXE_smtp-relay-check");
/// What clients call themselves.
const HELO: &str = "probe.example";
const SHORT_HELO: &str = "3f2a9c1d0b7e";
const SENDER: &str = "probe@mail.example";

/// What a tool said of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Its own word for it; empty if it cannot be asked that.
    pub(crate) word: String,
    /// Whether it finds the server well.
    pub(crate) is_well: bool,
    /// The check that decided, if it says so.
    pub(crate) decisive: String,
    pub(crate) took: Duration,
    /// All that it printed.
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn is_right(&self, case: &Case) -> bool {
        !self.word.is_empty() && self.is_well == case.is_well
    }
}

/// The tools that are installed; ours is the last.
pub(crate) struct Tools {
    check_smtp: Option<String>,
    swaks: Option<String>,
    blackbox: Option<(String, Blackbox)>,
    ca: PathBuf,
    passwords: [PathBuf; 2],
}

impl Tools {
    pub(crate) fn find(scene: &Scene) -> Self {
        let check_smtp = version(CHECK_SMTP, "check_smtp v");
        let swaks = version("swaks", "swaks version ");
        let ca = scene.ca();
        let blackbox = Blackbox::version().map(|version| {
            let modules = modules(&ca);
            (version, Blackbox::start(scene.folder.path(), &modules))
        });
        for (name, is_here) in [
            ("check_smtp", check_smtp.is_some()),
            ("swaks", swaks.is_some()),
            ("blackbox_exporter", blackbox.is_some()),
        ] {
            if !is_here {
                peer::skipped(name, "it is not installed");
            }
        }
        Self {
            check_smtp,
            swaks,
            blackbox,
            ca,
            passwords: [false, true].map(|is_right| scene.password(is_right)),
        }
    }

    /// Their names and versions, in the order of what [`ask`](Self::ask) gives; ours is not among them.
    pub(crate) fn names(&self) -> Vec<String> {
        let named = |name: &str, version: Option<&str>| version.map(|v| format!("{name} {v}"));
        [
            named("check_smtp", self.check_smtp.as_deref()),
            named(
                "blackbox_exporter",
                self.blackbox.as_ref().map(|(v, _)| v.as_str()),
            ),
            named("swaks", self.swaks.as_deref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Asks all of them.
    pub(crate) fn ask(&self, case: &Case) -> Vec<Said> {
        let mut all = Vec::new();
        if self.check_smtp.is_some() {
            all.push(check_smtp(case));
        }
        if let Some((_, blackbox)) = &self.blackbox {
            all.push(ask_blackbox(blackbox, case));
        }
        if self.swaks.is_some() {
            all.push(swaks(case, &self.ca));
        }
        all.push(self.ours(case));
        all
    }

    fn ours(&self, case: &Case) -> Said {
        let mut run = command(OURS);
        run.args(["--format=json", &format!("--ca={}", self.ca.display())]);
        run.arg(format!("--tls-name={NAME}"));
        run.arg(format!("--from={SENDER}"));
        // The end of a hanging RCPT, and never that of a busy machine's connection.
        run.args(["--timeout=60s", "--connect-timeout=30s"]);
        run.args(["--connect-time=60,60", "--greeting-time=60,60"]);
        let has_rcpt = case.args.iter().any(|a| a.starts_with("--rcpt="));
        if !has_rcpt && case.question != Question::Stranger {
            run.arg(format!("--rcpt={OWN}"));
        }
        match case.question {
            Question::Starttls => drop(run.arg("--tls=starttls")),
            Question::Login { is_right } => {
                let file = &self.passwords[usize::from(is_right)];
                run.arg(format!("--user={USER}"));
                run.arg(format!("--password-file={}", file.display()));
            }
            Question::Stranger => drop(run.args(["--tls=none", "--open-relay"])),
            Question::Recipient => drop(run.args(["--tls=none", "--reply-timeout=30s"])),
            Question::ShortName => drop(run.args(["--tls=none", "--helo", SHORT_HELO])),
            Question::Plain | Question::Sender | Question::Delivery => drop(run.arg("--tls=none")),
        }
        run.args(&case.args);
        run.arg(format!("127.0.0.1:{}", case.port));
        let (code, text, took) = finish(run);
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        let overall = report["overall"].as_str().unwrap_or("nothing").to_owned();
        let is_well = overall == "ok";
        // The exit code says the same.
        assert_eq!(is_well, code == Some(0), "{}: {text}", case.name);
        let decisive = match is_well {
            true => String::new(),
            false => {
                let checks = report["checks"].as_array().into_iter().flatten();
                let mut worst = checks.filter(|c| c["state"] == overall.as_str());
                let id = worst.next().and_then(|c| c["id"].as_str());
                id.unwrap_or_default().to_owned()
            }
        };
        Said {
            word: overall,
            is_well,
            decisive,
            took,
            text,
        }
    }
}

/// The version after this mark in what `--version` prints.
fn version(program: &str, mark: &str) -> Option<String> {
    let out = command(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let (_, after) = text.split_once(mark)?;
    after.split_whitespace().next().map(str::to_owned)
}

/// Runs it: exit code, what it printed, how long it took.
fn finish(mut run: Command) -> (Option<i32>, String, Duration) {
    let begun = Instant::now();
    let out = run.output().expect("it starts");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    (out.status.code(), text, begun.elapsed())
}

fn check_smtp(case: &Case) -> Said {
    let time = match case.question {
        // It never answers.
        Question::Recipient if !case.is_smooth => SHORT,
        _ => LONG,
    };
    let mut run = command(CHECK_SMTP);
    run.args(["-H", "127.0.0.1", "-p", &case.port.to_string()]);
    run.args(["-t", &time.as_secs().to_string()]);
    let greets = match case.question {
        Question::ShortName => SHORT_HELO,
        _ => HELO,
    };
    run.args(["-F", greets]);
    let rcpt = |run: &mut Command, to: &str, reply: &str| {
        run.args(["-f", SENDER, "-C", &format!("RCPT TO:<{to}>"), "-R", reply]);
    };
    match case.question {
        Question::Plain | Question::ShortName => {}
        // What it has to look at certificates.
        Question::Starttls => drop(run.args(["-S", "-D", "21,7"])),
        Question::Sender => drop(run.args(["-f", SENDER])),
        Question::Recipient | Question::Delivery => rcpt(&mut run, OWN, "250"),
        Question::Stranger => rcpt(&mut run, FOREIGN, "554"),
        Question::Login { is_right } => {
            let password = if is_right { PASSWORD } else { "wrong-password" };
            run.args(["-S", "-A", "LOGIN", "-U", USER, "-P", password]);
        }
    }
    let (code, text, took) = finish(run);
    let word = match code {
        Some(0) => "OK",
        Some(1) => "WARNING",
        Some(2) => "CRITICAL",
        _ => "UNKNOWN",
    };
    Said {
        word: word.to_owned(),
        is_well: code == Some(0),
        took,
        text,
        ..Said::default()
    }
}

fn swaks(case: &Case, ca: &Path) -> Said {
    let time = match case.question {
        Question::Recipient if !case.is_smooth => SHORT,
        _ => LONG,
    };
    let mut run = command("swaks");
    run.args(["--server", &format!("127.0.0.1:{}", case.port)]);
    run.args(["--timeout", &time.as_secs().to_string()]);
    run.args(["--from", SENDER, "--hide-all", "--no-hints"]);
    let greets = match case.question {
        Question::ShortName => SHORT_HELO,
        _ => HELO,
    };
    run.args(["--helo", greets]);
    let to = match case.question {
        Question::Stranger => FOREIGN,
        _ => OWN,
    };
    run.args(["--to", to]);
    let until = match case.question {
        Question::Plain | Question::ShortName => "HELO",
        Question::Starttls => {
            run.args(["--tls", "--tls-verify", "--tls-ca-path"]).arg(ca);
            run.args(["--tls-sni", NAME]);
            "TLS"
        }
        Question::Login { is_right } => {
            let password = if is_right { PASSWORD } else { "wrong-password" };
            run.args(["--tls", "--auth", "PLAIN", "--auth-user", USER]);
            run.args(["--auth-password", password]);
            "AUTH"
        }
        Question::Sender => "MAIL",
        Question::Recipient | Question::Stranger => "RCPT",
        Question::Delivery => "",
    };
    if !until.is_empty() {
        run.args(["--quit-after", until]);
    }
    let (code, text, took) = finish(run);
    let code = code.unwrap_or(-1);
    // It has no verdict: who asks as a stranger has to know that 24, a refused recipient, is what is wanted.
    let wanted = match case.question {
        Question::Stranger => 24,
        _ => 0,
    };
    Said {
        word: format!("exit {code}"),
        is_well: code == wanted,
        took,
        text,
        ..Said::default()
    }
}

fn ask_blackbox(blackbox: &Blackbox, case: &Case) -> Said {
    let base = match case.question {
        Question::Plain => "plain",
        Question::ShortName => "short",
        Question::Starttls => "starttls",
        Question::Sender => "sender",
        Question::Recipient | Question::Delivery => "recipient",
        Question::Stranger => "stranger",
        Question::Login { is_right: true } => "login_right",
        Question::Login { is_right: false } => "login_wrong",
    };
    // What it does not expect it takes for more to come, and waits until its time is over.
    let is_long =
        case.is_well || case.question == Question::Delivery || case.name.contains("login");
    let module = format!("{base}_{}", if is_long { "long" } else { "brief" });
    let path = format!("/probe?target=127.0.0.1:{}&module={module}", case.port);
    let asked = Instant::now();
    let text = get(blackbox.parts().1, &path).expect("an answer");
    let took = asked.elapsed();
    let is_well = text.lines().any(|l| l == "probe_success 1");
    Said {
        word: format!("probe_success {}", u8::from(is_well)),
        is_well,
        took,
        text,
        ..Said::default()
    }
}

/// A module for each question, with a long and with a short time-out.
fn modules(ca: &Path) -> String {
    let greets = |name: &str| format!("expect:^220 .*ESMTP|send:EHLO {name}|expect:^250 ");
    let hello = greets(HELO);
    let starttls = format!(
        "expect:^220 .*ESMTP|send:EHLO {HELO}|expect:^250[- ]STARTTLS|send:STARTTLS|expect:^220|starttls:|send:EHLO {HELO}|expect:^250 "
    );
    let sender = format!("send:MAIL FROM:<{SENDER}>|expect:^250");
    let login = |password: &str| {
        let base64 = base64(&format!("\0{USER}\0{password}"));
        format!("{starttls}|send:AUTH PLAIN {base64}|expect:^235")
    };
    let steps = [
        ("plain", hello.clone()),
        ("short", greets(SHORT_HELO)),
        ("starttls", starttls.clone()),
        ("sender", format!("{hello}|{sender}")),
        (
            "recipient",
            format!("{hello}|{sender}|send:RCPT TO:<{OWN}>|expect:^250"),
        ),
        (
            "stranger",
            format!("{hello}|{sender}|send:RCPT TO:<{FOREIGN}>|expect:^554"),
        ),
        ("login_right", login(PASSWORD)),
        ("login_wrong", login("wrong-password")),
    ];
    let mut text = "modules:\n".to_owned();
    for (name, steps) in &steps {
        for (length, time) in [("long", LONG), ("brief", SHORT)] {
            text.push_str(&format!(
                "  {name}_{length}:\n    prober: tcp\n    timeout: {}s\n    tcp:\n      tls_config:\n        ca_file: {}\n        server_name: {NAME}\n      query_response:\n",
                time.as_secs(),
                ca.display()
            ));
            for step in steps.split('|').chain(["send:QUIT"]) {
                let (verb, words) = step.split_once(':').unwrap();
                text.push_str(&match verb {
                    "starttls" => "        - starttls: true\n".to_owned(),
                    _ => format!("        - {verb}: '{words}'\n"),
                });
            }
        }
    }
    text
}

/// RFC 4648, without a crate for one use.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b));
        let bits = bits << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            out.push(if i > three.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    out
}
