//! What a big log takes on its way from the agent to the store: memory and time, beside a
//! program that reads it whole first, as the original does.

#[path = "../footprint/process.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;
mod whole;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use notifier_testkit::{
    mesos::{Death, FakeCluster, LogContent, Stream, TaskHandle, TaskSpec},
    s3::FakeS3,
};
use process::Process;
use sha2::{Digest, Sha256};
use support::{Extent, Result, Table, Watcher, tell};

const MIB: u64 = 1024 * 1024;

/// What is over the memory at rest, at most.
const MOST_MEMORY: u64 = 64 * MIB;

/// How long a log may take.
const LONGEST: Duration = Duration::from_secs(600);

/// How many logs go at once in the last trial.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some(whole::ARGUMENT) => whole::main(&args[2..]),
        _ => support::run("upload", measure),
    }
}

/// A way to the store.
struct Trial {
    uploader: &'static str,
    logs: usize,
    size: u64,
    sha256: String,
}

async fn measure(extent: Extent) -> Result<Table> {
    let size = extent.pick(2048 * MIB, 256 * MIB, 8 * MIB);
    tell("the checksum of the log");
    let sha256 = sha256(&LogContent::generated(size));
    let mut table = Table::new(
        support::heading("upload", extent),
        &[
            "",
            "memory over rest",
            "at most",
            "time",
            "bytes in the store",
        ],
    );
    for uploader in ["s3aws", "s3goamz"] {
        let trial = Trial {
            uploader,
            logs: 1,
            size,
            sha256: sha256.clone(),
        };
        trial.run(&mut table).await?;
    }
    let size = size / AT_ONCE as u64;
    let many = Trial {
        uploader: "s3aws",
        logs: AT_ONCE,
        size,
        sha256: self::sha256(&LogContent::generated(size)),
    };
    many.run(&mut table).await?;
    reads_whole(size * AT_ONCE as u64, &sha256, &mut table).await?;
    table.note(
        "Memory: the most that was resident, less what it is at rest, after a first small log.",
    );
    table.note("MiB: 1,048,576 bytes. Agents and store are on loopback, in another process, and make or hash the bytes.");
    if !process::are_told() {
        table.note("Memory is left out: there is no /proc as on Linux.");
    }
    Ok(table)
}

fn sha256(content: &LogContent) -> String {
    let mut hash = Sha256::new();
    let piece = 1024 * 1024;
    let mut at = 0;
    while at < content.len() {
        hash.update(content.slice(at, piece));
        at += piece as u64;
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

impl Trial {
    async fn run(&self, table: &mut Table) -> Result<()> {
        let name = match self.logs {
            1 => format!("{}, {} MiB", self.uploader, self.size / MIB),
            n => format!(
                "{}, {n} at once, {} MiB each",
                self.uploader,
                self.size / MIB
            ),
        };
        tell(&name);
        let cluster = FakeCluster::builder().agents(AT_ONCE).start().await?;
        let store = FakeS3::start().await?;
        let watcher = self.watcher(&cluster, &store)?;
        if !cluster.wait_for_streams(1, support::WAIT).await {
            return Err(watcher.error("it does not watch"));
        }
        fail(&cluster, "first.0", 0, "hello\n".into());
        store.wait_for(2, support::WAIT).await;
        // What follows a report is over.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let process = Process(watcher.child.id());
        let rest = process.memory();
        process.reset_peak();

        let begun = Instant::now();
        for n in 0..self.logs {
            fail(
                &cluster,
                &format!("big.{n}"),
                n,
                LogContent::generated(self.size),
            );
        }
        let stored = store.wait_for(2 + 2 * self.logs, LONGEST).await;
        let time = begun.elapsed();
        let peak = process.peak();
        let big = stored
            .iter()
            .filter(|o| o.path.starts_with("/logs/big") && o.path.ends_with("/stdout"));
        let right = big
            .filter(|o| o.sha256 == self.sha256 && o.size == self.size)
            .count();
        if right != self.logs {
            return Err(watcher.error(format!("{right} of {} are in the store", self.logs)));
        }
        let over = peak.zip(rest).map(|(p, r)| p.saturating_sub(r));
        let bar = match over {
            Some(over) if over > MOST_MEMORY => "64 MiB, missed",
            _ => "64 MiB",
        };
        table.row([
            name,
            over.map(mebibytes).unwrap_or_default(),
            bar.into(),
            seconds(time),
            "the same".into(),
        ]);
        Ok(())
    }

    fn watcher(&self, cluster: &FakeCluster, store: &FakeS3) -> Result<Watcher> {
        let uploader = self.uploader;
        let endpoint = match uploader {
            "s3goamz" => format!("{}/${{bucket}}", store.url()),
            _ => store.url(),
        };
        Watcher::start(&[
            "-reporters=file".into(),
            "-file.name=told".into(),
            format!("-masters={}", cluster.masters_flag()),
            format!("-upload-timeout={}s", LONGEST.as_secs()),
            format!("-uploader={uploader}"),
            format!("-{uploader}.endpoint={endpoint}"),
            format!("-{uploader}.access_key=AKIABENCH"),
            format!("-{uploader}.secret_key=secret-of-the-bench"),
            format!("-{uploader}.bucket=logs"),
            format!("-{uploader}.prefix={{{{ .failure.ID }}}}"),
            format!("-{uploader}.max_size=0"),
        ])
    }
}

fn fail(cluster: &FakeCluster, id: &str, agent: usize, log: LogContent) -> TaskHandle {
    let task = cluster.launch(TaskSpec::new(id).agent(agent));
    cluster.set_log(&task, Stream::Stdout, log);
    cluster.set_log(&task, Stream::Stderr, "out of cheese\n");
    cluster.fail(&task, Death::failed().exit(1));
    task
}

/// The same log by a program that holds all of it.
async fn reads_whole(size: u64, sha256: &str, table: &mut Table) -> Result<()> {
    let name = format!("reading it whole, {} MiB", size / MIB);
    tell(&name);
    let cluster = FakeCluster::start().await?;
    let store = FakeS3::start().await?;
    let task = fail(&cluster, "big.0", 0, LogContent::generated(size));
    let from = format!(
        "{}/files/download?path={}/stdout",
        cluster.agent_url(0),
        task.log_directory()
    );
    let to = format!("{}/logs/big.0/stdout", store.url());
    let begun = Instant::now();
    let over = tokio::task::spawn_blocking(move || whole::run(&from, &to)).await??;
    let time = begun.elapsed();
    let right = store.objects().iter().any(|o| o.sha256 == sha256);
    if !right {
        return Err("what was read whole is not in the store".into());
    }
    table.row([
        name,
        over.map(mebibytes).unwrap_or_default(),
        String::new(),
        seconds(time),
        "the same".into(),
    ]);
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}
