//! Big logs go from the agent to the store through the built watcher, whole and in bounded
//! memory.

mod support;

use std::{fs, time::Duration};

use notifier_testkit::{
    mesos::{Death, FakeCluster, LogContent, Stream, TaskSpec},
    s3::{FakeS3, StoredObject},
};
use sha2::{Digest, Sha256};
use support::Watcher;

const WAIT: Duration = Duration::from_secs(240);

const MIB: u64 = 1024 * 1024;

/// What it may hold beyond what it holds at rest, at most.
const MOST_MEMORY: u64 = 64 * MIB;

fn sha256(content: &LogContent) -> String {
    let mut hash = Sha256::new();
    let piece = 1024 * 1024;
    for at in (0..content.len()).step_by(piece) {
        hash.update(content.slice(at, piece));
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// What Linux tells of a process' memory, in bytes.
fn memory(pid: u32, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(what))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

struct Scene {
    cluster: FakeCluster,
    store: FakeS3,
    watcher: Watcher,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn start(uploader: &str, more: &[&str]) -> Self {
        let cluster = FakeCluster::builder().agents(8).start().await.unwrap();
        let store = FakeS3::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let endpoint = match uploader {
            "s3goamz" => format!("{}/${{bucket}}", store.url()),
            _ => store.url(),
        };
        let mut flags = vec![
            "-reporters=file".to_owned(),
            format!("-masters={}", cluster.masters_flag()),
            format!("-file.name={}", folder.path().join("told").display()),
            "-file.format={{ .failure.ID }} {{ .stdoutURL }} {{ .stderrURL }}{{ .nl }}".into(),
            // A busy machine is no fault.
            "-log-timeout=120s".into(),
            "-upload-timeout=240s".into(),
            format!("-uploader={uploader}"),
            format!("-{uploader}.endpoint={endpoint}"),
            format!("-{uploader}.access_key=AKIAWATCHER"),
            format!("-{uploader}.secret_key=planted-s3cret"),
            format!("-{uploader}.bucket=logs"),
            format!("-{uploader}.prefix={{{{ .failure.ID }}}}"),
        ];
        flags.extend(more.iter().map(|f| f.replace('@', uploader)));
        let watcher = crate::support::start(&flags, &[]);
        assert!(
            cluster.wait_for_streams(1, Duration::from_secs(30)).await,
            "{}",
            watcher.stderr()
        );
        Self {
            cluster,
            store,
            watcher,
            _folder: folder,
        }
    }

    /// Lets tasks with these logs fail, and waits until there are so many objects.
    async fn fail(&self, logs: &[(&str, LogContent)], objects: usize) -> Vec<StoredObject> {
        for (nth, (id, log)) in logs.iter().enumerate() {
            let task = self.cluster.launch(TaskSpec::new(*id).agent(nth % 8));
            self.cluster.set_log(&task, Stream::Stdout, log.clone());
            self.cluster
                .set_log(&task, Stream::Stderr, "out of cheese\n");
            self.cluster.fail(&task, Death::failed().exit(1));
        }
        let stored = self.store.wait_for(objects, WAIT).await;
        assert_eq!(stored.len(), objects, "{}", self.watcher.stderr());
        stored
    }

    async fn told(&self, lines: usize) -> Vec<String> {
        for _ in 0..3000 {
            let path = self._folder.path().join("told");
            let text = fs::read_to_string(path).unwrap_or_default();
            let told: Vec<String> = text.lines().map(str::to_owned).collect();
            if told.len() >= lines {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not told:\n{}", self.watcher.stderr());
    }
}

async fn goes_through(uploader: &str, logs: &[(&str, LogContent)]) {
    let scene = Scene::start(uploader, &["-@.max_size=0"]).await;
    let pid = scene.watcher.child.id();
    // A first, small one: what is only set up once is no part of what a log costs.
    let first = ("first", LogContent::from("hello\n"));
    scene.fail(std::slice::from_ref(&first), 2).await;
    let rest = memory(pid, "VmRSS:");
    scene.fail(logs, 2 + 2 * logs.len()).await;
    let all: Vec<_> = std::iter::once(&first).chain(logs).collect();
    for (id, log) in all.iter().copied() {
        let object = scene.store.object(&format!("/logs/{id}/stdout")).unwrap();
        assert_eq!(object.size, log.len(), "{id}");
        assert_eq!(object.sha256, sha256(log), "{id}");
        assert_eq!(object.header("content-type"), Some("text/plain"));
    }
    assert_eq!(scene.store.open_uploads(), 0);
    if let (Some(rest), Some(most)) = (rest, memory(pid, "VmHWM:")) {
        let over = most.saturating_sub(rest);
        assert!(over <= MOST_MEMORY, "{over} bytes over {rest} at rest");
    }
    for line in scene.told(all.len()).await {
        for link in ["/stdout?", "/stderr?"] {
            assert!(line.contains(link), "{line}");
        }
        // Links are not masked: they would lead nowhere.
        assert!(line.matches("=AKIAWATCHER").count() == 2, "{line}");
    }
    assert!(!scene.watcher.stderr().contains("planted-s3cret"));
    let ended = scene.watcher.stop().await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(ended.status.success(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_log_with_version_4() {
    goes_through(
        "s3aws",
        &[("big.1", LogContent::generated(200 * MIB + 12345))],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_at_once_with_version_2() {
    let ids: Vec<String> = (0..20).map(|n| format!("big.{n}")).collect();
    let log = || LogContent::generated(11 * MIB + 7);
    let logs: Vec<(&str, LogContent)> = ids.iter().map(|id| (id.as_str(), log())).collect();
    goes_through("s3goamz", &logs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_keeps_its_beginning_and_its_end() {
    let scene = Scene::start("s3aws", &["-@.max_size=1000"]).await;
    let log = LogContent::generated(500 * MIB);
    let stored = scene.fail(&[("long.1", log.clone())], 2).await;
    let kept = String::from_utf8(
        stored
            .iter()
            .find(|o| o.path.ends_with("stdout"))
            .unwrap()
            .head
            .clone(),
    )
    .unwrap();
    let (head, rest) = kept.split_once("\n[... ").unwrap();
    let (gap, tail) = rest.split_once(" bytes are left out here ...]\n").unwrap();
    assert_eq!(head.as_bytes(), log.slice(0, 500));
    assert_eq!(tail.as_bytes(), log.slice(log.len() - 500, 500));
    assert_eq!(gap, (log.len() - 1000).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone_is_not_stored_and_the_report_says_so() {
    let scene = Scene::start("s3goamz", &["-@.max_size=0"]).await;
    let task = scene.cluster.launch(TaskSpec::new("gone.1"));
    scene
        .cluster
        .set_log(&task, Stream::Stderr, "out of cheese\n");
    scene.cluster.remove_file(&task, "stdout");
    scene.cluster.fail(&task, Death::failed().exit(1));
    let told = scene.told(1).await.join(" ");
    assert!(
        told.contains("stdout not stored: stdout is gone from agent"),
        "{told}"
    );
    assert!(told.contains("/logs/gone.1/stderr?"), "{told}");
    assert_eq!(scene.store.objects().len(), 1);
}
