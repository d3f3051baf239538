//! How many probes a second, and how much of a processor for each: `--listen` of the built program
//! and the library in this process, beside blackbox_exporter, on the same servers: Postfix with
//! STARTTLS and a certificate that is verified, and one that costs next to nothing, without TLS.

#[expect(dead_code, reason = "other benches look at more")]
#[path = "../../mesos-watcher/benches/footprint/process.rs"]
mod process;

#[path = "../tests/rivals/blackbox.rs"]
mod blackbox;

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
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
    smtp::Certificates,
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(measure(extent)),
        Err(e) => tell(&format!("no runtime: {e}")),
    }
    ExitCode::SUCCESS
}

/// What a probe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Banner, EHLO, QUIT.
    Plain,
    /// STARTTLS and a second EHLO besides.
    Starttls,
}

impl Kind {
    fn module(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Starttls => "starttls",
        }
    }
}

/// A server that takes whatever it is told; its port. It ends with this process.
fn trivial() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for link in listener.incoming().flatten() {
            // One that breaks off is the client's affair.
            let _ = answer(&link);
        }
    });
    port
}

fn answer(mut link: &TcpStream) -> io::Result<()> {
    link.set_nodelay(true)?;
    link.write_all(b"220 relay.example ESMTP\r\n")?;
    for line in BufReader::new(link).lines() {
        match line?.get(..4) {
            Some("QUIT") => return link.write_all(b"221 2.0.0 bye\r\n"),
            _ => link.write_all(b"250-relay.example\r\n250 SIZE 10240000\r\n")?,
        }
    }
    Ok(())
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
    if !process::are_told() {
        tell("this system does not tell of processes: no processor times");
    }
    let ports = (0..AT_ONCE).map(|_| trivial()).collect();
    let mut trial = Trial {
        kind: Kind::Plain,
        folder: folder.path(),
        ports,
        count: extent.pick(4000, 800, 16),
    };
    trial.report(extent, "a server that says yes").await;

    let mut postfix = Postfix::builder("relay")
        .identity(&certificates.named(&[NAME]))
        .setting("smtpd_banner = $myhostname ESMTP");
    let names: Vec<String> = (0..AT_ONCE).map(|i| format!("listener-{i}")).collect();
    for name in &names {
        postfix = postfix.listener(name, &[]);
    }
    if let Some(postfix) = postfix.start_or_skip().await {
        trial.kind = Kind::Starttls;
        trial.ports = names.iter().map(|n| postfix.listener(n)).collect();
        trial.report(extent, "Postfix, with STARTTLS").await;
    }
}

/// So many probes of the same servers, by each contender.
struct Trial<'a> {
    kind: Kind,
    /// Has the authority of the servers' certificates, `ca.pem`.
    folder: &'a Path,
    ports: Vec<u16>,
    count: usize,
}

impl Trial<'_> {
    /// Runs all contenders, and says how they compare.
    async fn report(&self, extent: Extent, server: &str) {
        let count = self.count;
        tell(&format!("{count} probes each of {server}"));
        let mut all = vec![self.by_listening(), self.by_library().await];
        match Blackbox::version() {
            Some(_) => all.push(self.by_blackbox()),
            None => peer::skipped("blackbox_exporter", "it is not installed"),
        }
        if extent == Extent::Smoke {
            return;
        }
        say(&format!("\n{server}: {count} probes, {AT_ONCE} at once"));
        say(&"| | probes a second | processor time of one | memory |\n|---|---|---|---|");
        let milliseconds = |c: Duration| format!("{:.2} ms", c.as_secs_f64() * 1e3);
        let mebibytes = |m: u64| format!("{} MiB", m >> 20);
        let none = || "-".to_owned();
        for t in &all {
            let cpu = t.cpu.map_or_else(none, milliseconds);
            let memory = t.memory.map_or_else(none, mebibytes);
            say(&format!(
                "| {} | {:.0} | {cpu} | {memory} |",
                t.name, t.rate
            ));
        }
        if let [ours, _, theirs] = &all[..] {
            let rate = ours.rate / theirs.rate;
            let cpu = ours.cpu.zip(theirs.cpu);
            let cpu = cpu.map(|(o, t)| o.as_secs_f64() / t.as_secs_f64());
            say(&format!(
                "--listen to blackbox_exporter: {rate:.2} of its probes a second, {} of its processor time",
                cpu.map_or_else(none, |c| format!("{c:.2}"))
            ));
        }
    }

    /// Our program, asked over HTTP.
    fn by_listening(&self) -> Taken {
        let config = self.folder.join("targets.toml");
        let text = format!(
            "[[target]]\nname = \"plain\"\ntls = \"none\"\n\n\
             [[target]]\nname = \"starttls\"\ntls = \"starttls\"\nca = \"{}\"\ntls_name = \"{NAME}\"\n",
            self.folder.join("ca.pem").display()
        );
        fs::write(&config, text).expect("a file");
        let mut start = command(OURS);
        start.arg("--config").arg(&config);
        // Nothing by its own schedule while it is measured, and no line for each probe.
        start.args(["--listen=127.0.0.1:0", "--probe-targets=127.0.0.0/8"]);
        start.arg("--interval=1h");
        let program = Program::spawn(start);
        let address = listens(&program, "serving HTTP address=");
        self.over_http("smtp-relay-check --listen", &program, &address)
    }

    fn by_blackbox(&self) -> Taken {
        const PLAIN: [&str; 4] = [
            "expect: '^220 .*ESMTP'",
            "send: 'EHLO probe.example'",
            "expect: '^250 '",
            "send: QUIT",
        ];
        const STARTTLS: [&str; 9] = [
            "expect: '^220 .*ESMTP'",
            "send: 'EHLO probe.example'",
            "expect: '^250[- ]STARTTLS'",
            "send: STARTTLS",
            "expect: '^220'",
            "starttls: true",
            "send: 'EHLO probe.example'",
            "expect: '^250 '",
            "send: QUIT",
        ];
        let mut modules = "modules:\n".to_owned();
        for (name, steps) in [("plain", &PLAIN[..]), ("starttls", &STARTTLS[..])] {
            modules.push_str(&format!(
                "  {name}:\n    prober: tcp\n    timeout: 30s\n    tcp:\n      tls_config:\n        ca_file: {}\n        server_name: {NAME}\n      query_response:\n",
                self.folder.join("ca.pem").display()
            ));
            for step in steps {
                modules.push_str(&format!("        - {step}\n"));
            }
        }
        let blackbox = Blackbox::start(self.folder, &modules);
        let (program, address) = blackbox.parts();
        self.over_http("blackbox_exporter", program, address)
    }

    fn over_http(&self, name: &'static str, program: &Program, address: &str) -> Taken {
        let (module, count) = (self.kind.module(), self.count);
        let ask = |port: u16| {
            let path = format!("/probe?target=127.0.0.1:{port}&module={module}");
            let answer = get(address, &path).expect("an answer");
            let is_well = answer.lines().any(|l| l == "probe_success 1");
            assert!(is_well, "{name}: {answer}");
        };
        // The first handshake and the first look at a file are not what is compared.
        self.ports.iter().for_each(|p| ask(*p));
        let process = Process(program.child.id());
        let (before, begun) = (process.cpu(), Instant::now());
        thread::scope(|s| {
            for port in &self.ports {
                s.spawn(|| (0..count / self.ports.len()).for_each(|_| ask(*port)));
            }
        });
        let (took, after) = (begun.elapsed(), process.cpu());
        let cpu = before.zip(after).map(|(b, a)| a - b);
        Taken {
            name,
            rate: count as f64 / took.as_secs_f64(),
            cpu: cpu.map(|c| c / u32::try_from(count).unwrap_or(1)),
            memory: process.memory(),
        }
    }

    /// The library, in this process.
    async fn by_library(&self) -> Taken {
        let begun = Instant::now();
        let running = self.ports.iter().map(|port| {
            let mut target = Target::new("127.0.0.1", *port);
            target.tls = match self.kind {
                Kind::Plain => Tls::None,
                Kind::Starttls => Tls::Starttls,
            };
            target.ca = Some(self.folder.join("ca.pem"));
            target.tls_name = Some(NAME.to_owned());
            let each = self.count / self.ports.len();
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
            rate: self.count as f64 / begun.elapsed().as_secs_f64(),
            cpu: None,
            memory: None,
        }
    }
}
