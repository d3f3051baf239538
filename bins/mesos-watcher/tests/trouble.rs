//! The built watcher while its outbox is removed, locked, full, damaged or not to be had:
//! it says so, loses nothing it had taken in, and goes on when it can.

mod durable;
mod support;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use durable::{Scene, WAIT, assert_once, kill, stop, trouble};
use notifier_testkit::program::command;
use notifier_testkit::{
    mesos::{Death, FakeCluster, TaskSpec},
    slack::SlackReply,
};
use notifiers::Outbox;
use support::Watcher;

/// Lets so many tasks fail.
fn fail(scene: &Scene, name: &str, count: usize) -> Vec<String> {
    let ids: Vec<_> = (0..count).map(|n| format!("{name}.{n}")).collect();
    for id in &ids {
        scene.fail(id);
    }
    ids
}

async fn told_to_file(scene: &Scene, watcher: &mut Watcher, count: usize) {
    scene
        .until(watcher, "told to the file", async || {
            scene.in_file().len() >= count
        })
        .await;
}

/// Waits until everything is told, ends the watcher and looks whether it was told once.
async fn all_is_told_once(scene: &Scene, mut watcher: Watcher, tasks: &[String]) {
    scene
        .until(&mut watcher, "told of all", async || {
            scene.in_file().len() >= tasks.len() && scene.in_slack().len() >= tasks.len()
        })
        .await;
    scene.until_empty(&mut watcher).await;
    stop(watcher).await;
    assert_once(&scene.in_file(), tasks, "file");
    assert_once(&scene.in_slack(), tasks, "slack");
}

async fn until_said(scene: &Scene, watcher: &mut Watcher, words: &[&str]) {
    let log = |w: &Watcher| w.stderr();
    let end = std::time::Instant::now() + WAIT;
    while !words.iter().all(|word| log(watcher).contains(word)) {
        assert!(
            std::time::Instant::now() < end && watcher.child.try_wait().unwrap().is_none(),
            "{words:?} is not said; told: {:?}\n{}",
            scene.in_file(),
            trouble(&log(watcher))
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ten failures are taken in that Slack has not taken yet.
async fn ten_wait() -> (Scene, Watcher, Vec<String>) {
    let scene = Scene::new(FakeCluster::builder()).await;
    let mut watcher = scene.start(&[]);
    scene.has_begun(&mut watcher).await;
    scene.slack.server().refuse();
    let tasks = fail(&scene, "before", 10);
    told_to_file(&scene, &mut watcher, tasks.len()).await;
    (scene, watcher, tasks)
}

/// Which files of an outbox are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Main,
    /// What is not in the main file yet, and its index.
    Log,
    All,
}

/// Removes them, and waits until they are back.
async fn remove(scene: &Scene, watcher: &mut Watcher, gone: Gone) -> Vec<String> {
    let store = scene.store();
    let name = store.file_name().unwrap().to_str().unwrap();
    for file in fs::read_dir(store.parent().unwrap()).unwrap() {
        let file = file.unwrap();
        let found = file.file_name();
        let found = found.to_str().unwrap();
        let is_main = found == name;
        if gone == Gone::All || is_main == (gone == Gone::Main) {
            fs::remove_file(file.path()).unwrap();
        }
    }
    let tasks = fail(scene, "after", 10);
    told_to_file(scene, watcher, 20).await;
    let shown = store.display().to_string();
    until_said(scene, watcher, &[&shown, "removed"]).await;
    assert!(store.exists(), "{}", trouble(&watcher.stderr()));
    tasks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_outbox_is_put_back() {
    for gone in [Gone::Main, Gone::Log] {
        let (scene, mut watcher, mut tasks) = ten_wait().await;
        tasks.extend(remove(&scene, &mut watcher, gone).await);
        scene.slack.server().restore().unwrap();
        all_is_told_once(&scene, watcher, &tasks).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_back_outlives_a_kill() {
    for gone in [Gone::Main, Gone::Log, Gone::All] {
        let (scene, mut watcher, mut tasks) = ten_wait().await;
        tasks.extend(remove(&scene, &mut watcher, gone).await);
        kill(watcher).await;
        scene.slack.server().restore().unwrap();
        all_is_told_once(&scene, scene.start(&[]), &tasks).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_whose_folder_was_removed_is_put_back_with_it() {
    let (scene, mut watcher, mut tasks) = ten_wait().await;
    let (store, folder) = (scene.store(), scene.path("state"));
    fs::remove_dir_all(&folder).unwrap();
    tasks.extend(fail(&scene, "after", 10));
    let shown = store.display().to_string();
    until_said(&scene, &mut watcher, &[&shown, "is put back"]).await;
    scene.slack.server().restore().unwrap();
    all_is_told_once(&scene, watcher, &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_was_replaced_ends_the_watcher_and_is_saved() {
    let (scene, watcher, mut tasks) = ten_wait().await;
    let (store, process) = (scene.store(), watcher.child.id());
    fs::rename(&store, scene.path("old")).unwrap();
    fs::write(&store, "something else").unwrap();
    tasks.extend(fail(&scene, "after", 1));
    let shown = store.display().to_string();
    let saved = format!("{shown}.saved-{process}");
    ends(&scene, watcher, 64, &[&shown, "was replaced", &saved]).await;

    fs::rename(saved, &store).unwrap();
    scene.slack.server().restore().unwrap();
    all_is_told_once(&scene, scene.start(&[]), &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_process_locks_the_outbox_failures_wait() {
    let (scene, mut watcher, mut tasks) = ten_wait().await;
    // One arrives while it is locked, and cannot be noted until it is not.
    let late = || SlackReply::late(Duration::from_secs(3));
    scene.slack.script_all("main", [late(), late()]);
    scene.slack.server().restore().unwrap();
    let connections = scene.slack.server().accepted();
    scene
        .until(&mut watcher, "sending", async || {
            scene.slack.server().accepted() > connections
        })
        .await;
    let other = rusqlite::Connection::open(scene.store()).unwrap();
    other.busy_timeout(WAIT).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let before = scene.in_file().len();
    tasks.extend(fail(&scene, "during", 10));
    let shown = scene.store().display().to_string();
    until_said(&scene, &mut watcher, &[&shown, "locked by another process"]).await;
    assert_eq!(scene.in_file().len(), before, "told before it was kept");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    tasks.extend(fail(&scene, "after", 1));
    all_is_told_once(&scene, watcher, &tasks).await;
}

/// A small file system of its own, seen by the programs that are run in it alone.
struct Disk {
    /// Keeps the namespace.
    holder: Child,
    at: PathBuf,
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Disk {
    /// Mounts one of so many MiB there. `None`, said aloud, where that is not allowed.
    #[expect(clippy::print_stderr, reason = "a skipped test is said aloud")]
    fn mount(test: &str, at: &Path, size: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let script =
            "mount -t tmpfs -o \"size=$1m\" none \"$2\" && echo mounted && exec sleep 3600";
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh", &size.to_string()])
            .arg(at)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok();
        let mut said = [0; 7];
        let is_mounted = holder
            .as_mut()
            .and_then(|h| h.stdout.take())
            .is_some_and(|mut out| io::Read::read_exact(&mut out, &mut said).is_ok());
        let disk = holder.map(|holder| Self {
            holder,
            at: at.to_owned(),
        });
        if !is_mounted {
            eprintln!("SKIPPED {test}: it needs a mount namespace (root, unshare, tmpfs)");
            return None;
        }
        disk
    }

    /// A command that runs a program in it.
    fn enter(&self, program: &str) -> Command {
        let mut command = command("nsenter");
        let holder = self.holder.id().to_string();
        command.args(["-t", &holder, "-m", program]);
        command
    }

    fn start(&self, flags: &[String]) -> Watcher {
        let mut command = self.enter(env!("CARGO_BIN_EXE_mesos-watcher"));
        command.args(flags);
        Watcher::spawn(command)
    }

    /// A file in it, as seen from here.
    fn path(&self, name: &str) -> PathBuf {
        let at = self.at.strip_prefix("/").unwrap();
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(at).join(name)
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = File::create(self.path("filler")).unwrap();
        let mut size = 1 << 16;
        while size > 0 {
            match file.write(&vec![0; size]) {
                Ok(n) if n > 0 => {}
                _ => size /= 2,
            }
        }
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mut mount = self.enter("mount");
        let done = mount.args(["-o", &options]).arg(&self.at).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_failures_wait() {
    let scene = Scene::new(FakeCluster::builder()).await;
    let Some(disk) = Disk::mount("full disk", &scene.path("disk"), 16) else {
        return;
    };
    let store = scene.path("disk/outbox.sqlite");
    let flags = scene.flags(&[&format!("-outbox=sqlite:{}", store.display())]);
    let mut watcher = disk.start(&flags);
    let begun = scene.cluster.wait_for_streams(1, WAIT).await;
    assert!(begun, "{}", watcher.stderr());
    let mut tasks = fail(&scene, "before", 5);
    told_to_file(&scene, &mut watcher, tasks.len()).await;

    disk.fill();
    // What is written before it is full is told, too.
    let mut n = 0;
    let shown = store.display().to_string();
    scene
        .until(&mut watcher, "full", async || {
            let id = format!("during.{n}");
            let spec = TaskSpec::new(&id).label("notes", "x".repeat(20_000));
            scene.cluster.launch_failed(spec, Death::failed());
            tasks.push(id);
            n += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
            scene.in_file().len() + 20 < tasks.len()
        })
        .await;
    until_said(&scene, &mut watcher, &[&shown, "no space is left"]).await;
    fs::remove_file(disk.path("filler")).unwrap();
    scene
        .until(&mut watcher, "told of all", async || {
            scene.in_file().len() >= tasks.len() && scene.in_slack().len() >= tasks.len()
        })
        .await;
    stop(watcher).await;

    // And nothing is left over, or told again, by the next one.
    let mut watcher = disk.start(&flags);
    tasks.extend(fail(&scene, "after", 1));
    scene
        .until(&mut watcher, "told of all", async || {
            scene.in_file().len() >= tasks.len() && scene.in_slack().len() >= tasks.len()
        })
        .await;
    let log = stop(watcher).await;
    assert!(log.contains(" open=0"), "{}", trouble(&log));
    assert_once(&scene.in_file(), &tasks, "file");
    assert_once(&scene.in_slack(), &tasks, "slack");
}

/// It ends at once, with the code, and says all the words in one line.
async fn ends(scene: &Scene, mut watcher: Watcher, code: i32, words: &[&str]) {
    let told = scene.in_file().len() + scene.in_slack().len();
    let ended = watcher.end(WAIT).await;
    let log = &ended.stderr;
    assert_eq!(ended.status.code(), Some(code), "{words:?}\n{log}");
    let is_said = log
        .lines()
        .any(|l| words.iter().all(|word| l.contains(word)));
    assert!(is_said, "{words:?}\n{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(scene.in_file().len() + scene.in_slack().len(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_is_none_is_told_at_the_start() {
    let scene = Scene::new(FakeCluster::builder()).await;
    let file = scene.path("file");
    fs::write(&file, "").unwrap();
    for folder in [file.clone(), file.join("below")] {
        let shown = folder.display().to_string();
        let flag = format!("-state-dir={shown}");
        ends(&scene, scene.start(&[&flag]), 74, &[&shown]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_told_at_the_start() {
    let scene = Scene::new(FakeCluster::builder()).await;
    let Some(disk) = Disk::mount("read-only disk", &scene.path("disk"), 16) else {
        return;
    };
    let store = scene.path("disk/state/outbox.sqlite");
    let flags = scene.flags(&[&format!(
        "-state-dir={}",
        scene.path("disk/state").display()
    )]);
    disk.remount("ro");
    let shown = scene.path("disk/state").display().to_string();
    ends(&scene, disk.start(&flags), 74, &[&shown]).await;

    // Nor can one that is there be used.
    disk.remount("rw");
    let mut watcher = disk.start(&flags);
    until_said(&scene, &mut watcher, &["watching"]).await;
    let mut tasks = Vec::new();
    scene
        .until(&mut watcher, "told", async || {
            tasks.extend(fail(&scene, &format!("first{}", tasks.len()), 1));
            tokio::time::sleep(Duration::from_millis(200)).await;
            !scene.in_file().is_empty()
        })
        .await;
    stop(watcher).await;
    disk.remount("ro");
    let shown = store.display().to_string();
    ends(&scene, disk.start(&flags), 74, &[&shown]).await;
}

/// An outbox in which five failures wait for Slack.
async fn five_wait() -> Scene {
    let scene = Scene::new(FakeCluster::builder()).await;
    let mut watcher = scene.start(&[]);
    scene.has_begun(&mut watcher).await;
    scene.slack.server().refuse();
    fail(&scene, "t", 5);
    told_to_file(&scene, &mut watcher, 5).await;
    stop(watcher).await;
    scene.slack.server().restore().unwrap();
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_outbox_is_not_used() {
    let scene = five_wait().await;
    let store = scene.store();
    let shown = store.display().to_string();
    let whole = fs::read(&store).unwrap();
    let pages = whole.len() as u64 / 4096;
    for page in [0, 1, pages / 2, pages - 1] {
        fs::write(&store, &whole).unwrap();
        let mut file = OpenOptions::new().write(true).open(&store).unwrap();
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
        drop(file);
        ends(&scene, scene.start(&[]), 64, &[&shown]).await;
    }
    fs::write(&store, &whole[..whole.len() / 2]).unwrap();
    let repair = "notifierctl outbox repair";
    ends(&scene, scene.start(&[]), 64, &[&shown, "damaged", repair]).await;
    fs::write(&store, "not an outbox").unwrap();
    ends(&scene, scene.start(&[]), 64, &[&shown]).await;

    // It is as good as before when it is as it was.
    fs::write(&store, &whole).unwrap();
    let tasks: Vec<_> = (0..5).map(|n| format!("t.{n}")).collect();
    all_is_told_once(&scene, scene.start(&[]), &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_watcher_of_an_outbox_is_sent_away() {
    let scene = Scene::new(FakeCluster::builder()).await;
    let mut watcher = scene.start(&[]);
    scene.has_begun(&mut watcher).await;
    let shown = scene.store().display().to_string();
    let process = format!("process {}", watcher.child.id());
    let words = [shown.as_str(), "in use", &process, "-state-dir"];
    ends(&scene, scene.start(&[]), 64, &words).await;
    // The first one has not noticed.
    let tasks = fail(&scene, "t", 5);
    all_is_told_once(&scene, watcher, &tasks).await;
    // One that comes after it is welcome.
    let mut third = scene.start(&[]);
    until_said(&scene, &mut third, &["watching"]).await;
    stop(third).await;
    assert_eq!(scene.outbox().stats().await.unwrap().open(), 0);
}
