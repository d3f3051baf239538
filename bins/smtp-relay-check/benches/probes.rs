//! How many probes a second, and how much of a processor for each: `--listen` of the built program
//! and the library in this process, beside blackbox_exporter, all over HTTP resp. in turn on the same
//! servers, each probe with STARTTLS and the verification of a certificate.

#[path = "../../mesos-watcher/benches/footprint/process.rs"]
mod process;

#[path = "../tests/rivals/blackbox.rs"]
mod blackbox;

use std::{
    fs,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use blackbox::{Blackbox, get, listens};
use notifier_testkit::{
    bench::{Extent, say, tell},
    peer,
    postfix::Postfix,
    program::{Program, command},
    smtp::{Certificates, FakeSmtp, Script},
};
use process::Process;
use smtp_probe::{Prober, State, Target, Tls};

const OURS: &str = env!("CARGO_BIN_EXE_smtp-relay-check");
const NAME: &str = "relay.example";
/// Probes at once, each of another port: our program never probes one target twice at once.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let Some(extent) = Extent::asked("probes") else {
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(measure(extent)),
        Err(e) => tell(&format!("no runtime: {e}")),
    }
    ExitCode::SUCCESS
}

/// What one contender took for all probes.
struct Taken {
    name: &'static str,
    rate: f64,
    /// Processor time of one probe, where it is a process of its own.
    cpu: Option<Duration>,
    memory: Option<u64>,
}

async fn measure(extent: Extent) {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new();
    fs::write(folder.path().join("ca.pem"), certificates.ca_pem()).expect("a file");
    let good = certificates.named(&[NAME]);
    let count = extent.pick(4000, 800, 16);
    if !process::are_told() {
        tell("this system does not tell of processes: no processor times");
    }

    let mut fakes = Vec::new();
    for _ in 0..AT_ONCE {
        fakes.push(FakeSmtp::start(Script::new().banner("220 relay.example ESMTP").certificate(good.clone())).await);
    }
    let ports: Vec<u16> = fakes.iter().map(FakeSmtp::port).collect();
    report(extent, "a fake server in this process", folder.path(), &ports, count).await;
    drop(fakes);

    let mut postfix = Postfix::builder("relay").identity(&good).setting("smtpd_banner = $myhostname ESMTP");
    let names: Vec<String> = (0..AT_ONCE).map(|i| format!("listener-{i}")).collect();
    for name in &names {
        postfix = postfix.listener(name, &[]);
    }
    if let Some(postfix) = postfix.start_or_skip().await {
        let ports: Vec<u16> = names.iter().map(|n| postfix.listener(n)).collect();
        report(extent, "Postfix", folder.path(), &ports, count).await;
    }
}

/// Runs all contenders on these ports, and says how they compare.
async fn report(extent: Extent, server: &str, folder: &Path, ports: &[u16], count: usize) {
    tell(&format!("{count} probes each of {server}, {AT_ONCE} at once"));
    let mut all = vec![by_listening(folder, ports, count), by_library(folder, ports, count).await];
    match Blackbox::version() {
        Some(_) => all.push(by_blackbox(folder, ports, count)),
        None => peer::skipped("blackbox_exporter", "it is not installed"),
    }
    if extent == Extent::Smoke {
        return;
    }
    say(&format!("\n{server}: {count} probes with STARTTLS, {AT_ONCE} at once"));
    say(&"| | probes a second | processor time of one | memory at the end |\n|---|---|---|---|");
    for taken in &all {
        let cpu = taken.cpu.map_or("-".to_owned(), |c| format!("{:.2} ms", c.as_secs_f64() * 1e3));
        let memory = taken.memory.map_or("-".to_owned(), |m| format!("{} MiB", m / (1 << 20)));
        say(&format!("| {} | {:.0} | {cpu} | {memory} |", taken.name, taken.rate));
    }
    if let [ours, _, theirs] = &all[..] {
        let cpu = ours.cpu.zip(theirs.cpu).map(|(o, t)| t.as_secs_f64() / o.as_secs_f64());
        say(&format!(
            "ratio to blackbox_exporter: {:.2} of its probes a second, {} of its processor time",
            ours.rate / theirs.rate,
            cpu.map_or("-".to_owned(), |c| format!("1/{c:.1}"))
        ));
    }
}

/// Our program, asked over HTTP.
fn by_listening(folder: &Path, ports: &[u16], count: usize) -> Taken {
    let config = folder.join("targets.toml");
    let text = format!(
        "[[target]]\nname = \"starttls\"\ntls = \"starttls\"\nca = \"{}\"\ntls_name = \"{NAME}\"\n",
        folder.join("ca.pem").display()
    );
    fs::write(&config, text).expect("a file");
    let mut start = command(OURS);
    start.arg("--config").arg(&config);
    // Nothing by its own schedule while it is measured.
    start.args(["--listen=127.0.0.1:0", "--probe-targets=127.0.0.0/8", "--interval=1h"]);
    let program = Program::spawn(start);
    let address = listens(&program, "serving HTTP address=");
    over_http("smtp-relay-check --listen", &program, &address, "starttls", ports, count)
}

fn by_blackbox(folder: &Path, ports: &[u16], count: usize) -> Taken {
    let steps = [
        "expect: '^220 .*ESMTP'", "send: 'EHLO probe.example'", "expect: '^250-STARTTLS'", "send: STARTTLS",
        "expect: '^220'", "starttls: true", "send: 'EHLO probe.example'", "expect: '^250 '", "send: QUIT",
    ];
    let mut modules = format!(
        "modules:\n  starttls:\n    prober: tcp\n    timeout: 30s\n    tcp:\n      tls_config:\n        ca_file: {}\n        server_name: {NAME}\n      query_response:\n",
        folder.join("ca.pem").display()
    );
    for step in steps {
        modules.push_str(&format!("        - {step}\n"));
    }
    let blackbox = Blackbox::start(folder, &modules);
    over_http("blackbox_exporter", &blackbox.program, &blackbox.address, "starttls", ports, count)
}

fn over_http(name: &'static str, program: &Program, address: &str, module: &str, ports: &[u16], count: usize) -> Taken {
    let ask = |port: u16| {
        let answer = get(address, &format!("/probe?target=127.0.0.1:{port}&module={module}"));
        let answer = answer.expect("an answer");
        assert!(answer.lines().any(|l| l == "probe_success 1"), "{name}: {answer}");
    };
    // Warm: the first handshake, the first file.
    ports.iter().for_each(|p| ask(*p));
    let process = Process(program.child.id());
    let (before, begun) = (process.cpu(), Instant::now());
    thread::scope(|s| {
        for port in ports {
            s.spawn(|| (0..count / ports.len()).for_each(|_| ask(*port)));
        }
    });
    let (took, after) = (begun.elapsed(), process.cpu());
    Taken {
        name,
        rate: count as f64 / took.as_secs_f64(),
        cpu: before.zip(after).map(|(b, a)| (a - b) / u32::try_from(count).unwrap_or(1)),
        memory: process.memory(),
    }
}

/// The library, in this process.
async fn by_library(folder: &Path, ports: &[u16], count: usize) -> Taken {
    let begun = Instant::now();
    let running = ports.iter().map(|port| {
        let mut target = Target::new("127.0.0.1", *port);
        target.tls = Tls::Starttls;
        target.ca = Some(folder.join("ca.pem"));
        target.tls_name = Some(NAME.to_owned());
        let each = count / ports.len();
        tokio::spawn(async move {
            let mut prober = Prober::new(target);
            for _ in 0..each {
                let report = prober.run().await;
                assert!(report.overall <= State::Warn, "{:?}", report.decisive());
            }
        })
    });
    for task in running.collect::<Vec<_>>() {
        task.await.expect("no probe fails");
    }
    Taken {
        name: "the library smtp-probe",
        rate: count as f64 / begun.elapsed().as_secs_f64(),
        cpu: None,
        memory: None,
    }
}
