//! The built watcher while many tasks die: each is told once, with its logs.

mod support;

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use notifier_testkit::mesos::{
    Death, FakeCluster, FakeClusterBuilder, MesosVersion, Stream, TaskHandle, TaskSpec,
};

const WAIT: Duration = Duration::from_secs(60);
/// For how long tasks die.
const SECONDS: u32 = 10;
/// Of how many tasks both logs are read.
const SAMPLES: usize = 20;
const FORMAT: &str = "{{ .failure.ID }} | {{ .stdoutURL }} | {{ .stderrURL }}{{ .nl }}";

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_a_second_are_told_once_with_their_logs() {
    told(FakeCluster::builder(), 100, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_a_second_are_told_once_with_their_logs() {
    told(FakeCluster::builder(), 400, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_a_second_are_told_by_polling() {
    let flags = ["-mesos.api=poll", "-mesos.interval=1s"];
    told(FakeCluster::builder(), 100, &flags).await;
}

/// Agents of this version have no paths without their work directory.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_a_second_are_told_of_an_older_mesos() {
    told(FakeCluster::builder().version(MesosVersion::V1_4), 100, &[]).await;
}

/// Lets so many tasks die each second, and checks what is told of them. The master keeps
/// the last 1000 and each agent the executors of the last 150, as real ones do.
async fn told(cluster: FakeClusterBuilder, rate: u32, more: &[&str]) {
    let cluster = cluster.agents(2).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("failures.log");
    let mut flags = vec![
        "-uploader=noop".to_owned(),
        "-reporters=file".to_owned(),
        format!("-masters={}", cluster.masters_flag()),
        format!("-file.name={}", log.display()),
        format!("-file.format={FORMAT}"),
    ];
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    let watcher = crate::support::start(&flags, &[]);
    // What is there at the first listing is not told.
    let begun = if more.is_empty() {
        cluster.wait_for_streams(1, WAIT).await
    } else {
        cluster.wait_for_polls(2, WAIT).await
    };
    assert!(begun, "{}", watcher.stderr());

    let tasks = die(&cluster, rate).await;
    let until = Instant::now() + WAIT;
    while lines(&log) < tasks.len() {
        assert!(
            Instant::now() < until,
            "{} of {} are told\n{}",
            lines(&log),
            tasks.len(),
            trouble(&watcher.stderr())
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = watcher.stop().await;
    let trouble = trouble(&ended.stderr);
    assert!(ended.status.success(), "{trouble}");
    assert_eq!(ended.stdout, "");

    let text = std::fs::read_to_string(&log).unwrap();
    let mut told: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in text.lines() {
        let Some((id, links)) = line.split_once(" | ") else {
            panic!("without links: {line}\n{trouble}");
        };
        told.entry(id).or_default().push(links);
    }
    for task in &tasks {
        let links = told.remove(task.id()).unwrap_or_default();
        let [links] = links[..] else {
            panic!("{} is told {} times\n{trouble}", task.id(), links.len());
        };
        assert_eq!(
            decoded(links),
            format!(
                "{} | {}",
                address(&cluster, task, "stdout"),
                address(&cluster, task, "stderr")
            ),
            "{}\n{trouble}",
            task.id()
        );
    }
    assert!(told.is_empty(), "of nobody: {told:?}");

    for i in 0..SAMPLES {
        let task = &tasks[i * (tasks.len() - 1) / (SAMPLES - 1)];
        let links = text
            .lines()
            .find_map(|line| line.strip_prefix(task.id())?.strip_prefix(" | "));
        let (stdout, stderr) = links.unwrap().split_once(" | ").unwrap();
        assert_eq!(download(stdout), content(task.id(), "stdout"));
        assert_eq!(download(stderr), content(task.id(), "stderr"));
    }
}

/// Lets tasks die at an even pace.
async fn die(cluster: &FakeCluster, rate: u32) -> Vec<TaskHandle> {
    let begun = tokio::time::Instant::now();
    let mut tasks = Vec::new();
    for i in 0..rate * SECONDS {
        tokio::time::sleep_until(begun + Duration::from_secs(1) * i / rate).await;
        // An id may have what links must encode.
        let id = format!("web.a&b+c 50%41 <#{i}>");
        let task = cluster.launch(TaskSpec::new(&id));
        for (stream, name) in [(Stream::Stdout, "stdout"), (Stream::Stderr, "stderr")] {
            cluster.set_log(&task, stream, content(&id, name));
        }
        cluster.fail(&task, Death::failed());
        tasks.push(task);
    }
    tasks
}

fn content(id: &str, log: &str) -> String {
    format!("{log} of {id}\n")
}

/// Where a log is, as nobody has encoded it.
fn address(cluster: &FakeCluster, task: &TaskHandle, log: &str) -> String {
    format!(
        "{}/files/download?path={}/{log}",
        cluster.agent_url(task.agent()),
        task.log_directory()
    )
}

/// The log of a watcher without what went well, which is thousands of lines.
fn trouble(stderr: &str) -> String {
    let lines = stderr.lines().filter(|line| !line.contains(" delivered "));
    lines.take(100).collect::<Vec<_>>().join("\n")
}

fn lines(log: &Path) -> usize {
    let text = std::fs::read(log).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn decoded(link: &str) -> String {
    let mut parts = link.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// What a link leads to, asked for as it stands.
fn download(link: &str) -> String {
    let (host, path) = link
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut s = TcpStream::connect(host).unwrap();
    s.set_read_timeout(Some(WAIT)).unwrap();
    write!(
        s,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    s.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{link}\n{head}\n{body}");
    body.to_owned()
}
