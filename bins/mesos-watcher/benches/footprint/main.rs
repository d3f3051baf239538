//! What the watcher takes: space, time to start, memory, and the memory and CPU of a
//! large cluster.

mod process;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::ExitCode,
    time::{Duration, Instant},
};

use notifier_testkit::mesos::{Death, FakeCluster, TaskHandle, TaskSpec};
use process::Process;
use support::{Extent, Result, Table, WAIT, Watcher, tell};
use tempfile::TempDir;

const FRAMEWORKS: usize = 20;
const AGENTS: usize = 200;
/// Failures at the end of each trial.
const FAILURES: usize = 10;
/// What is over the idle memory, in bytes, and the seconds of CPU per minute, at most.
const MOST_MEMORY: u64 = 64 * 1024 * 1024;
const MOST_CPU: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    support::run("footprint", measure)
}

/// How long things are watched, and how many there are.
#[derive(Clone, Copy)]
struct Plan {
    starts: usize,
    idle: Duration,
    tasks: usize,
    /// From one look to the next while the state is polled, and beside events.
    interval: Duration,
    sweep: Duration,
    /// How long the CPU is watched: whole intervals.
    polling: Duration,
    streaming: Duration,
    /// So long without work is the end of a look.
    quiet: Duration,
}

impl Plan {
    fn new(extent: Extent) -> Self {
        let seconds = Duration::from_secs_f64;
        Self {
            starts: extent.pick(10, 5, 1),
            idle: seconds(extent.pick(10.0, 3.0, 0.1)),
            tasks: extent.pick(65_000, 65_000, 100),
            interval: seconds(extent.pick(5.0, 5.0, 0.1)),
            sweep: seconds(extent.pick(30.0, 30.0, 0.1)),
            polling: seconds(extent.pick(60.0, 15.0, 0.1)),
            streaming: seconds(extent.pick(60.0, 30.0, 0.1)),
            quiet: seconds(extent.pick(1.0, 1.0, 0.05)),
        }
    }
}

/// Where failures are heard of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    Poll,
    Stream,
}

impl Api {
    const ALL: [Self; 2] = [Self::Poll, Self::Stream];

    const fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Stream => "stream",
        }
    }
}

async fn measure(extent: Extent) -> Result<Table> {
    let plan = Plan::new(extent);
    let mut table = Table::new(
        support::heading("footprint", extent),
        &["", "here", "the original", "at most", ""],
    );
    let size = fs::metadata(support::program())?.len();
    table.row([
        "size of the program".into(),
        megabytes(size),
        "13.8 MB".into(),
        String::new(),
        format!("{} bytes", grouped(size)),
    ]);
    start_up(plan, &mut table).await?;

    let mut idle = Vec::new();
    for api in Api::ALL {
        let memory = idle_memory(plan, api).await?;
        if let Some(memory) = memory {
            table.row([
                format!("memory, {}, empty cluster", api.name()),
                megabytes(memory),
                "12.1 MB".into(),
                String::new(),
                format!("after {} s", plan.idle.as_secs_f64()),
            ]);
        }
        idle.push((api, memory.unwrap_or_default()));
    }
    for gzip in [true, false] {
        let large = Large::start(plan, gzip).await?;
        if gzip {
            large.sizes(&mut table)?;
        }
        for (nth, &(api, idle)) in idle.iter().enumerate() {
            let packed = if gzip { "gzip" } else { "plain" };
            let (name, window) = match api {
                Api::Poll => (
                    format!("poll every {} s", plan.interval.as_secs_f64()),
                    plan.polling,
                ),
                Api::Stream => (
                    format!("stream, sweep every {} s", plan.sweep.as_secs_f64()),
                    plan.streaming,
                ),
            };
            let name = format!("{name}, {packed}");
            tell(&format!("large cluster, {name}"));
            let trial = Trial {
                large: &large,
                api,
                window,
                victims: &large.victims[nth * FAILURES..][..FAILURES],
            };
            let found = trial.run(plan).await?;
            trial.show(&found, &name, idle, &mut table);
        }
        if extent == Extent::Smoke {
            break;
        }
    }
    table.note("Memory: the most that was resident, less what it is of an empty cluster.");
    table.note("MB: 1,000,000 bytes; 67.1 MB are 64 MiB. Only the watcher is measured.");
    if !process::are_told() {
        table.note("Memory and CPU are left out: there is no /proc as on Linux.");
    }
    Ok(table)
}

/// The watcher with what it reports into.
struct Set {
    watcher: Watcher,
    begun: Instant,
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Set {
    fn start(cluster: &FakeCluster, plan: Plan, api: Option<Api>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let mut flags = vec![
            "-reporters=file".into(),
            "-uploader=noop".into(),
            format!("-masters={}", cluster.masters_flag()),
            format!("-listen=127.0.0.1:{port}"),
            format!("-mesos.interval={}ms", plan.interval.as_millis()),
            format!("-mesos.sweep={}ms", plan.sweep.as_millis()),
            format!("-file.name={}", folder.path().join("told").display()),
            "-file.format={{ .failure.ID }} {{ .stderrURL }}{{ .nl }}".into(),
        ];
        flags.extend(api.map(|api| format!("-mesos.api={}", api.name())));
        let begun = Instant::now();
        let watcher = Watcher::start(&flags)?;
        Ok(Self {
            begun,
            process: Process(watcher.child.id()),
            watcher,
            port,
            folder,
        })
    }

    /// What was told so far, line by line.
    fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until it has had nothing to do for so long.
    async fn rests(&self, quiet: Duration) {
        let until = Instant::now() + WAIT;
        let (mut since, mut before) = (Instant::now(), None);
        while since.elapsed() < quiet && Instant::now() < until {
            let now = self.process.cpu();
            if now != before {
                (since, before) = (Instant::now(), now);
            }
            tokio::time::sleep(quiet / 20).await;
        }
    }
}

async fn start_up(plan: Plan, table: &mut Table) -> Result<()> {
    tell(&format!("{} starts", plan.starts));
    let (mut asked, mut healthy) = (Vec::new(), Vec::new());
    for _ in 0..plan.starts {
        let cluster = FakeCluster::start().await?;
        let set = Set::start(&cluster, plan, None)?;
        let until = set.begun + WAIT;
        let request = "GET /health HTTP/1.0\r\n\r\n";
        while !ask(set.port, request).is_ok_and(|answer| answer.status == 200) {
            if Instant::now() > until {
                return Err(set.watcher.error("it does not get healthy"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        healthy.push(set.begun.elapsed());
        let requests = cluster.master(0).wait_for_requests(1, WAIT).await;
        let Some(first) = requests.first() else {
            return Err(set.watcher.error("it does not ask the master"));
        };
        asked.push(first.arrived.saturating_duration_since(set.begun));
    }
    for (what, times) in [("the first request", asked), ("/health is 200", healthy)] {
        table.row([
            format!("from start until {what}"),
            format!("{:.1} ms", median(times).as_secs_f64() * 1000.0),
            String::new(),
            String::new(),
            format!("median of {}", plan.starts),
        ]);
    }
    Ok(())
}

/// The memory with nothing to watch.
async fn idle_memory(plan: Plan, api: Api) -> Result<Option<u64>> {
    tell(&format!("empty cluster, {}", api.name()));
    let cluster = FakeCluster::start().await?;
    let set = Set::start(&cluster, plan, Some(api))?;
    tokio::time::sleep(plan.idle).await;
    Ok(set.process.memory())
}

/// A cluster with many tasks that run.
struct Large {
    cluster: FakeCluster,
    gzip: bool,
    /// Tasks that are to fail.
    victims: Vec<TaskHandle>,
    tasks: usize,
}

impl Large {
    async fn start(plan: Plan, gzip: bool) -> Result<Self> {
        let agents = AGENTS.min(plan.tasks);
        let cluster = FakeCluster::builder()
            .agents(agents)
            .gzip(gzip)
            .start()
            .await?;
        let mut victims = cluster.launch_all((0..plan.tasks).map(spec));
        victims.truncate(Api::ALL.len() * FAILURES);
        Ok(Self {
            cluster,
            gzip,
            victims,
            tasks: plan.tasks,
        })
    }

    fn state(&self, encoding: &str) -> Result<Answer> {
        let head = format!("GET /state HTTP/1.0\r\nAccept-Encoding: {encoding}\r\n\r\n");
        ask(self.cluster.master(0).addr().port(), &head)
    }

    fn operator_state(&self, encoding: &str) -> Result<Answer> {
        let call = r#"{"type":"GET_STATE"}"#;
        let head = format!(
            "POST /api/v1 HTTP/1.0\r\nAccept-Encoding: {encoding}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{call}",
            call.len()
        );
        ask(self.cluster.master(0).addr().port(), &head)
    }

    fn sizes(&self, table: &mut Table) -> Result<()> {
        for (name, plain, packed) in [
            ("v0", self.state("identity")?, self.state("gzip")?),
            (
                "v1",
                self.operator_state("identity")?,
                self.operator_state("gzip")?,
            ),
        ] {
            table.row([
                format!("{name} state of {} tasks", grouped(self.tasks as u64)),
                megabytes(plain.length),
                String::new(),
                String::new(),
                format!("with gzip {}", megabytes(packed.length)),
            ]);
        }
        Ok(())
    }

    /// Lets the master write its answers beforehand: no watcher is to wait for them.
    fn prepare(&self, api: Api) -> Result<()> {
        let encoding = if self.gzip { "gzip" } else { "identity" };
        match api {
            Api::Poll => self.state(encoding)?,
            Api::Stream => self.operator_state(encoding)?,
        };
        self.cluster.clear_requests();
        Ok(())
    }

    /// How often the whole was asked for.
    fn looks(&self, api: Api) -> usize {
        match api {
            Api::Poll => self.cluster.polls(),
            Api::Stream => self.cluster.calls("GET_STATE"),
        }
    }
}

fn spec(i: usize) -> TaskSpec {
    let app = i % 997;
    TaskSpec::new(format!(
        "shop_web-{app}.instance-{i:08x}-c5a1-11e9-8ad1-70b3d5800001._app.1"
    ))
    .name(format!("web-{app}.shop"))
    .framework(format!("marathon-{}", i % FRAMEWORKS))
    .label("team", format!("shop-{}", i % 50))
    .label("HAPROXY_0_VHOST", format!("web-{app}.example.org"))
    .rich()
}

/// One watcher of a large cluster.
struct Trial<'a> {
    large: &'a Large,
    api: Api,
    window: Duration,
    victims: &'a [TaskHandle],
}

/// What a trial found.
struct Found {
    usage: Option<Usage>,
    looks: usize,
}

struct Usage {
    /// The most memory until the first look was over, and after that.
    first: u64,
    later: u64,
    /// Whether the two can be told apart.
    is_apart: bool,
    /// CPU until the first look was over, and in the window after that.
    begin: Duration,
    spent: Duration,
}

impl Trial<'_> {
    async fn run(&self, plan: Plan) -> Result<Found> {
        self.large.prepare(self.api)?;
        let set = Set::start(&self.large.cluster, plan, Some(self.api))?;
        self.looked(&set, 0, plan).await?;
        let (first, begin) = (set.process.peak(), set.process.cpu());
        let is_apart = set.process.reset_peak();

        let looks = self.large.looks(self.api);
        tokio::time::sleep(self.window).await;
        let spent = set.process.cpu();
        let looks = self.large.looks(self.api) - looks;

        for task in self.victims {
            self.large.cluster.fail(task, Death::failed().exit(1));
        }
        self.told(&set).await?;
        // Once more, for what is told twice.
        self.looked(&set, self.large.looks(self.api), plan).await?;
        let told = set.told();
        if told.len() != FAILURES {
            return Err(set.watcher.error(format!("told more than once: {told:?}")));
        }
        let usage = match (first, set.process.peak(), begin, spent) {
            (Some(first), Some(later), Some(begin), Some(spent)) => Some(Usage {
                first,
                later,
                is_apart,
                begin,
                spent: spent.saturating_sub(begin),
            }),
            _ => None,
        };
        Ok(Found { usage, looks })
    }

    fn show(&self, found: &Found, name: &str, idle: u64, table: &mut Table) {
        if let Some(usage) = &found.usage {
            let over = |peak: u64| peak.saturating_sub(idle);
            let (first, later) = (over(usage.first), over(usage.later));
            let most = first.max(later);
            table.row([
                format!("{name}: memory"),
                megabytes(most),
                "497 MB".into(),
                bar(&megabytes(MOST_MEMORY), most <= MOST_MEMORY),
                if usage.is_apart {
                    format!("first {}, then {}", megabytes(first), megabytes(later))
                } else {
                    String::new()
                },
            ]);
            let window = self.window.as_secs_f64();
            let minute = usage.spent.mul_f64(60.0 / window);
            table.row([
                format!("{name}: CPU per minute"),
                seconds(minute),
                "6.2 s".into(),
                bar("3 s", minute <= MOST_CPU),
                format!(
                    "{} looks in {window} s; before that {}",
                    found.looks,
                    seconds(usage.begin)
                ),
            ]);
        }
        table.row([
            format!("{name}: {FAILURES} failures"),
            "each told once".into(),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }

    /// Waits until there was one look more than so many, and it is over.
    async fn looked(&self, set: &Set, looks: usize, plan: Plan) -> Result<()> {
        let until = Instant::now() + WAIT;
        while self.large.looks(self.api) <= looks {
            if Instant::now() > until {
                return Err(set.watcher.error("it does not look at the state"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        set.rests(plan.quiet).await;
        Ok(())
    }

    /// Waits until all victims are told of, with links to their logs.
    async fn told(&self, set: &Set) -> Result<()> {
        let until = Instant::now() + WAIT;
        loop {
            let told = set.told();
            let is_told = |task: &TaskHandle| {
                let linked = |rest: &str| rest.starts_with(' ') && rest.ends_with("/stderr");
                let mut rests = told.iter().filter_map(|line| line.strip_prefix(task.id()));
                rests.any(linked)
            };
            if self.victims.iter().all(is_told) {
                return Ok(());
            }
            if Instant::now() > until {
                let what = format!("of {FAILURES} failures it tells {told:?}");
                return Err(set.watcher.error(what));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a server answered.
struct Answer {
    status: u16,
    /// Bytes of the body, which is not kept.
    length: u64,
}

/// Sends a request of HTTP/1.0 and reads the whole answer.
fn ask(port: u16, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    let mut body = None;
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        length += n as u64;
        if body.is_none() {
            head.extend_from_slice(&buffer[..n]);
            body = head
                .windows(4)
                .position(|end| end == b"\r\n\r\n")
                .map(|at| at + 4);
        }
    }
    let status = head
        .get(9..12)
        .and_then(|status| std::str::from_utf8(status).ok());
    let status = status.and_then(|status| status.parse().ok());
    match (status, body) {
        (Some(status), Some(body)) => Ok(Answer {
            status,
            length: length - body as u64,
        }),
        _ => Err("not an answer of HTTP".into()),
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let (low, high) = ((times.len() - 1) / 2, times.len() / 2);
    (times[low] + times[high]) / 2
}

fn bar(most: &str, is_kept: bool) -> String {
    let missed = if is_kept { "" } else { ", missed" };
    format!("{most}{missed}")
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
