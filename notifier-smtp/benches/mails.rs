//! Mails per second to a sink on loopback: ours, Python's `smtplib`, Postfix's `smtp-source`.
//!
//! `cargo bench -p notifier-smtp --bench mails` measures; with `-- --quick` in less time. Run as
//! a test it sends a few mails by each way and looks at no time.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use notifier_core::{
    DeliveryId, FailureRecord, Report, ReportOptions, Reporter as _, jiff::Timestamp,
};
use notifier_smtp::SmtpReporter;
use notifier_testkit::{
    bench::{Extent, say, tell},
    smtp::{FakeSmtp, Script},
};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// How long whatever has to happen may take.
const WAIT: Duration = Duration::from_secs(60);

/// Mails in a run, and runs of which the best counts.
#[derive(Clone, Copy, Debug)]
struct Load {
    mails: usize,
    runs: usize,
}

fn main() -> ExitCode {
    let Some(extent) = Extent::asked("mails") else {
        return ExitCode::SUCCESS;
    };
    let load = Load {
        mails: extent.pick(3000, 500, 20),
        runs: extent.pick(5, 2, 1),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(Error::from)
        .and_then(|r| r.block_on(measure(load)));
    match done {
        Ok(_) if extent == Extent::Smoke => say(&"mails works"),
        Ok(table) => say(&table),
        Err(e) => {
            tell(&format!("mails: {e}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// A way to send mails.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By our reporter, with so many connections, kept or not.
    Ours { pool: usize, keeps: bool },
    /// By `smtplib`, one after another.
    Python { keeps: bool },
    /// By `smtp-source`, with so many connections.
    Source { sessions: usize, keeps: bool },
}

const WAYS: [Way; 9] = [
    Way::Ours {
        pool: 4,
        keeps: true,
    },
    Way::Ours {
        pool: 1,
        keeps: true,
    },
    Way::Ours {
        pool: 1,
        keeps: false,
    },
    Way::Python { keeps: true },
    Way::Python { keeps: false },
    Way::Source {
        sessions: 4,
        keeps: true,
    },
    Way::Source {
        sessions: 4,
        keeps: false,
    },
    Way::Source {
        sessions: 1,
        keeps: true,
    },
    Way::Source {
        sessions: 1,
        keeps: false,
    },
];

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, at_once, keeps) = match self {
            Self::Ours { pool, keeps } => ("notifier-smtp", pool, keeps),
            Self::Python { keeps } => ("smtplib", &1, keeps),
            Self::Source { sessions, keeps } => ("smtp-source", sessions, keeps),
        };
        let kept = if *keeps { "kept" } else { "one a mail" };
        let many = if *at_once == 1 { "" } else { "s" };
        write!(f, "{name}, {at_once} connection{many}, {kept}")
    }
}

async fn measure(load: Load) -> Result<String> {
    let sink = Sink::start().await?;
    let message = message().await?;
    let mut best: Vec<Option<Duration>> = vec![None; WAYS.len()];
    let mut missing = Vec::new();
    // In turns, so that what else the machine does is shared by all.
    for _ in 0..load.runs {
        for (n, way) in WAYS.into_iter().enumerate() {
            match send(way, sink.address, &message, load.mails).await? {
                Some(took) => best[n] = Some(best[n].map_or(took, |b| b.min(took))),
                None => missing.push(way.to_string()),
            }
        }
    }
    if !missing.is_empty() {
        tell(&format!("not installed: {}", missing.join("; ")));
    }
    let rate = |took: Duration| load.mails as f64 / took.as_secs_f64().max(1e-9);
    let (four, one) = (best[0].map_or(0.0, rate), best[1].map_or(0.0, rate));
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let mut table = format!(
        "\nmails of notifier-smtp {}, profile {profile}, {} {}, {} CPUs; sink: {}; {} mails of {} octets, best of {}\n\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        std::thread::available_parallelism().map_or(1, usize::from),
        sink.name(),
        load.mails,
        message.len(),
        load.runs,
    );
    let mut line = |name: &str, rate: &str, four: &str, one: &str| {
        table.push_str(&format!("{name:<44} {rate:>10} {four:>14} {one:>14}\n"));
    };
    line("", "mails/s", "ours (4) is", "ours (1) is");
    for (way, took) in WAYS.iter().zip(best) {
        match took.map(rate) {
            Some(r) => line(
                &way.to_string(),
                &format!("{r:.0}"),
                &format!("{:.2} times", four / r),
                &format!("{:.2} times", one / r),
            ),
            None => line(&way.to_string(), "-", "-", "-"),
        }
    }
    Ok(table)
}

/// Sends so many, and tells how long it took; `None` if what sends is not installed.
async fn send(way: Way, to: SocketAddr, message: &[u8], mails: usize) -> Result<Option<Duration>> {
    match way {
        Way::Ours { pool, keeps } => ours(to, pool, keeps, mails).await.map(Some),
        Way::Python { keeps } => {
            let message = message.to_vec();
            tokio::task::spawn_blocking(move || python(to, &message, keeps, mails)).await?
        }
        Way::Source { sessions, keeps } => {
            let size = message.len();
            tokio::task::spawn_blocking(move || source(to, size, sessions, keeps, mails)).await?
        }
    }
}

fn reporter(to: SocketAddr, pool: usize, keeps: bool) -> Result<SmtpReporter> {
    Ok(SmtpReporter::builder()
        .server(&to.to_string())
        .tls("none")
        .helo("bench.example.com")
        .from("alerts@example.com")
        .to("ops@example.com")
        .option("pool", &pool.to_string())
        .option("idle", if keeps { "60s" } else { "0" })
        .build()?)
}

fn report() -> Report {
    let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    Report::failure(failure.with_default_key())
}

async fn ours(to: SocketAddr, pool: usize, keeps: bool, mails: usize) -> Result<Duration> {
    let reporter = Arc::new(reporter(to, pool, keeps)?);
    let begun = Instant::now();
    // As many workers as the engine has for a destination.
    let workers: Vec<_> = (0..pool)
        .map(|worker| {
            let reporter = Arc::clone(&reporter);
            tokio::spawn(async move {
                for n in (worker..mails).step_by(pool) {
                    let id = DeliveryId::new(format!("{n:032x}"));
                    let opts = ReportOptions::new(&id, reporter.settings());
                    let receipt = reporter.report(&report(), &opts).await?;
                    if let Some(e) = receipt.error() {
                        return Err(e.report().to_string().into());
                    }
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(begun.elapsed())
}

/// The same mail for all: what our reporter makes.
async fn message() -> Result<Vec<u8>> {
    let fake = FakeSmtp::start(Script::new()).await;
    let receipt = reporter(fake.address(), 1, false)?.send(&report()).await?;
    if let Some(e) = receipt.error() {
        return Err(e.report().to_string().into());
    }
    let mail = fake.mails().into_iter().next();
    Ok(mail.ok_or("no mail was made")?.data)
}

const PYTHON: &str = r#"
import smtplib, sys, time
host, port, count, keeps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "keep"
message = sys.stdin.buffer.read()
def mail(link):
    link.sendmail("alerts@example.com", ["ops@example.com"], message)
begun = time.perf_counter()
if keeps:
    with smtplib.SMTP(host, port, "bench.example.com") as link:
        for _ in range(count):
            mail(link)
else:
    for _ in range(count):
        with smtplib.SMTP(host, port, "bench.example.com") as link:
            mail(link)
print(time.perf_counter() - begun)
"#;

fn python(to: SocketAddr, message: &[u8], keeps: bool, mails: usize) -> Result<Option<Duration>> {
    let child = Command::new("python3")
        .args(["-c", PYTHON, &to.ip().to_string(), &to.port().to_string()])
        .args([
            mails.to_string().as_str(),
            if keeps { "keep" } else { "each" },
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return Ok(None);
    };
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(message)?;
    }
    let done = child.wait_with_output()?;
    if !done.status.success() {
        return Err(format!("smtplib: {}", done.status).into());
    }
    let seconds: f64 = String::from_utf8_lossy(&done.stdout).trim().parse()?;
    Ok(Some(Duration::from_secs_f64(seconds)))
}

/// A program of Postfix, if it is installed.
fn postfix(name: &str) -> Option<String> {
    let path = format!("/usr/sbin/{name}");
    Path::new(&path).exists().then_some(path)
}

fn source(
    to: SocketAddr,
    size: usize,
    sessions: usize,
    keeps: bool,
    mails: usize,
) -> Result<Option<Duration>> {
    let Some(program) = postfix("smtp-source") else {
        return Ok(None);
    };
    let mut command = Command::new(program);
    command
        .args(["-s", &sessions.to_string(), "-m", &mails.to_string()])
        .args(["-l", &size.to_string(), "-M", "bench.example.com"])
        .args(["-f", "alerts@example.com", "-t", "ops@example.com"]);
    if keeps {
        command.arg("-d");
    }
    let begun = Instant::now();
    let done = command.arg(to.to_string()).stdin(Stdio::null()).output()?;
    let took = begun.elapsed();
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(format!("smtp-source: {}: {said}", done.status).into());
    }
    Ok(Some(took))
}

/// What takes all mails and keeps none: Postfix's `smtp-sink`, else the fake relay.
struct Sink {
    address: SocketAddr,
    child: Option<Child>,
    _fake: Option<FakeSmtp>,
}

impl Sink {
    async fn start() -> Result<Self> {
        if let Some(program) = postfix("smtp-sink") {
            // Another may take the port before it is bound again.
            for _ in 0..5 {
                let program = program.clone();
                let started = tokio::task::spawn_blocking(move || smtp_sink(&program)).await??;
                if let Some((child, address)) = started {
                    return Ok(Self {
                        address,
                        child: Some(child),
                        _fake: None,
                    });
                }
            }
            tell("smtp-sink does not start; the fake relay takes its place");
        }
        let fake = FakeSmtp::start(Script::new()).await;
        Ok(Self {
            address: fake.address(),
            child: None,
            _fake: Some(fake),
        })
    }

    fn name(&self) -> &'static str {
        if self.child.is_some() {
            "smtp-sink"
        } else {
            "the fake relay"
        }
    }
}

/// Ended when dropped.
impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn smtp_sink(program: &str) -> Result<Option<(Child, SocketAddr)>> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut child = Command::new(program)
        // Root must name whom it becomes; nobody else may.
        .args(if is_root() { &["-u", "nobody"][..] } else { &[] })
        .args([&address.to_string(), "1000"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let begun = Instant::now();
    while begun.elapsed() < WAIT {
        if child.try_wait()?.is_some() {
            return Ok(None);
        }
        if let Ok(mut stream) = TcpStream::connect(address) {
            let mut banner = [0; 3];
            stream.set_read_timeout(Some(WAIT))?;
            if stream.read_exact(&mut banner).is_ok() && &banner == b"220" {
                return Ok(Some((child, address)));
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(None)
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|s| s.contains("\nUid:\t0\t"))
}
