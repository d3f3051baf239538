//! Against a real ZooKeeper, where Debian's is installed.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use notifier_core::ErrorKind;
use notifier_testkit::peer;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tracing::{Level, subscriber};
use zookeeper_client::{Acls, Client, CreateMode};

use super::{Detector, Ensemble};

const JAR: &str = "/usr/share/java/zookeeper.jar";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of its own, on loopback.
struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// `None`, said aloud, where it is not installed.
    async fn start(longest_session_ms: u32) -> Option<Self> {
        let java = Command::new("java")
            .arg("-version")
            .stderr(Stdio::null())
            .status();
        if !Path::new(JAR).exists() || !java.is_ok_and(|s| s.success()) {
            peer::skipped("zookeeper", &format!("{JAR} or java is not installed"));
            return None;
        }
        peer::ran("zookeeper");
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "tickTime=200\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n\
             minSessionTimeout=400\nmaxSessionTimeout={longest_session_ms}\n\
             admin.enableServer=false\n4lw.commands.whitelist=cons\n",
            folder.path().join("data").display()
        );
        std::fs::write(folder.path().join("zoo.cfg"), config).unwrap();
        let child = spawn(folder.path());
        let server = Self {
            child,
            port,
            folder,
        };
        server.wait().await;
        Some(server)
    }

    /// Until it takes a session. Asked by a word while it starts, it may never answer.
    async fn wait(&self) {
        let until = Instant::now() + PATIENCE;
        while let Err(e) = Client::connect(&self.address()).await {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            assert!(
                Instant::now() < until,
                "ZooKeeper does not start: {e}: {log:?}"
            );
        }
    }

    fn ask(&self, word: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(word.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The sessions that are connected.
    fn sessions(&self) -> Vec<String> {
        let connections = self.ask("cons").expect("an answer");
        let ids = connections.split("sid=").skip(1);
        ids.filter_map(|s| Some(s.split(',').next()?.to_owned()))
            .collect()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn restart(&mut self) {
        self.child = spawn(self.folder.path());
        self.wait().await;
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn detect(&self, login: &str) -> Detector {
        let ensemble = Ensemble::parse(&format!("zk://{login}{}/mesos", self.address()));
        ensemble.unwrap().detect("http")
    }

    /// Registers as masters do: each in a session of its own.
    async fn master(&self, host: &str) -> Registered {
        let client = self.client().await;
        let path = register(&client, host, &CreateMode::EphemeralSequential).await;
        Registered { client, path }
    }

    async fn client(&self) -> Client {
        let client = Client::connector().connect(&self.address()).await.unwrap();
        let directory = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client
            .mkdir("/mesos/log_replicas", &directory)
            .await
            .unwrap();
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &Path) -> Child {
    let config: PathBuf = folder.join("zoo.cfg");
    let log = std::fs::File::create(folder.join("log")).unwrap();
    Command::new("java")
        .args(["-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp", JAR])
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(config)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("java starts")
}

struct Registered {
    client: Client,
    path: String,
}

impl Registered {
    async fn leave(self) {
        self.client.delete(&self.path, None).await.unwrap();
    }
}

async fn register(client: &Client, host: &str, mode: &CreateMode) -> String {
    let info = format!(r#"{{"address":{{"hostname":"{host}","port":5050}}}}"#);
    let options = mode.with_acls(Acls::anyone_all());
    let prefix = "/mesos/json.info_";
    let created = client.create(prefix, info.as_bytes(), &options).await;
    format!("{prefix}{}", created.unwrap().1)
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn until(detector: &Detector, hosts: &[&str]) {
    let mut last = String::new();
    let reached = timeout(PATIENCE, async {
        loop {
            let known = detector.masters();
            last = format!("{known:?}");
            let known: Vec<String> = known
                .into_iter()
                .flatten()
                .filter_map(|u| u.host_str().map(str::to_owned))
                .collect();
            if known == hosts {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(reached.await.is_ok(), "{hosts:?} expected, and not {last}");
}

async fn until_error(detector: &Detector, kind: ErrorKind, text: &str) {
    let mut last = String::new();
    let reached = timeout(PATIENCE, async {
        loop {
            match detector.masters() {
                Err(e) if e.kind() == kind && e.to_string().contains(text) => return,
                other => last = format!("{other:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(reached.await.is_ok(), "{text:?} expected, and not {last}");
}

#[tokio::test]
async fn the_next_number_leads_once_the_smallest_is_gone() {
    let Some(server) = Server::start(4000).await else {
        return;
    };
    // Nobody has made the path yet.
    let detector = server.detect("");
    until_error(
        &detector,
        ErrorKind::Unavailable,
        &format!("no master is registered at zk://{}/mesos", server.address()),
    )
    .await;
    let none = detector.wait_for_first(Duration::from_millis(1)).await;
    assert!(none.is_err());

    let mut changed = detector.changed();
    let first = server.master("m1.example").await;
    let found = detector.wait_for_first(PATIENCE).await.unwrap();
    assert_eq!(found[0].as_str(), "http://m1.example:5050/");
    let second = server.master("m2.example").await;
    let third = server.master("m3.example").await;
    until(&detector, &["m1.example", "m2.example", "m3.example"]).await;
    timeout(PATIENCE, changed.wait_for(Option::is_some))
        .await
        .unwrap()
        .unwrap();

    // A follower that leaves is no change of leaders.
    second.leave().await;
    until(&detector, &["m1.example", "m3.example"]).await;
    assert!(!changed.has_changed().unwrap());

    // The session's end takes the registration with it.
    drop(first.client);
    until(&detector, &["m3.example"]).await;
    timeout(PATIENCE, changed.changed()).await.unwrap().unwrap();
    let leader = changed.borrow_and_update().clone();
    assert_eq!(leader.unwrap().as_str(), "http://m3.example:5050/");

    third.leave().await;
    until_error(&detector, ErrorKind::Unavailable, "no master is registered").await;
    timeout(PATIENCE, changed.changed()).await.unwrap().unwrap();
    assert_eq!(*changed.borrow_and_update(), None);

    // Dropped, it leaves no session behind.
    drop(detector);
    let gone = timeout(PATIENCE, async {
        while !server.sessions().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(gone.await.is_ok(), "{:?}", server.sessions());
}

#[tokio::test]
async fn a_path_that_not_everyone_may_read_needs_its_password() {
    let Some(server) = Server::start(4000).await else {
        return;
    };
    let owner = Client::connector()
        .with_auth("digest", b"notifier:p@ss/word")
        .connect(&server.address())
        .await
        .unwrap();
    let directory = CreateMode::Persistent.with_acls(Acls::creator_all());
    owner.mkdir("/mesos", &directory).await.unwrap();
    let options = CreateMode::EphemeralSequential.with_acls(Acls::creator_all());
    let info = br#"{"hostname":"m1.example","port":5050}"#;
    owner
        .create("/mesos/json.info_", info, &options)
        .await
        .unwrap();

    // What the client library logs at its most talkative must not hold the password.
    let log = Log::default();
    let writer = log.clone();
    let logged = subscriber::set_default(
        tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_writer(move || writer.clone())
            .finish(),
    );
    let with = server.detect("notifier:p%40ss%2Fword@");
    until(&with, &["m1.example"]).await;
    drop(logged);
    let log = log.text();
    assert!(
        log.contains("DEBUG") && log.contains("zookeeper_client"),
        "{log}"
    );
    let bytes = format!("{:?}", b"p@ss/word");
    for password in ["p@ss", "p%40ss", bytes.trim_matches(['[', ']'])] {
        assert!(!log.contains(password), "{log}");
    }

    for login in ["", "notifier:other@"] {
        let without = server.detect(login);
        until_error(&without, ErrorKind::PermissionDenied, "/mesos").await;
    }
}

#[tokio::test]
async fn masters_stay_known_while_the_server_is_gone() {
    let Some(mut server) = Server::start(4000).await else {
        return;
    };
    let client = server.client().await;
    let persistent = CreateMode::PersistentSequential;
    register(&client, "m1.example", &persistent).await;
    let detector = server.detect("");
    until(&detector, &["m1.example"]).await;
    drop(client);

    server.kill();
    let late = server.detect("");
    until_error(
        &late,
        ErrorKind::Unavailable,
        &format!("ZooKeeper at {} does not answer", server.address()),
    )
    .await;
    until(&detector, &["m1.example"]).await;

    server.restart().await;
    register(&server.client().await, "m2.example", &persistent).await;
    for detector in [&detector, &late] {
        until(detector, &["m1.example", "m2.example"]).await;
    }
}

#[tokio::test]
async fn an_expired_session_is_followed_by_another() {
    let Some(server) = Server::start(1000).await else {
        return;
    };
    let persistent = CreateMode::PersistentSequential;
    register(&server.client().await, "m1.example", &persistent).await;
    let detector = server.detect("");
    until(&detector, &["m1.example"]).await;
    let before = server.sessions();

    // Nobody answers for longer than a session lasts.
    server.signal("-STOP");
    sleep(Duration::from_secs(3)).await;
    until(&detector, &["m1.example"]).await;
    server.signal("-CONT");

    register(&server.client().await, "m2.example", &persistent).await;
    until(&detector, &["m1.example", "m2.example"]).await;
    let after = server.sessions();
    assert!(!after.is_empty() && after.iter().all(|s| !before.contains(s)));
}

#[tokio::test]
async fn a_source_finds_its_masters_there() {
    use futures_util::StreamExt as _;
    use notifier_core::Source as _;
    use notifier_testkit::mesos::{Death, FakeCluster, TaskSpec};

    let Some(server) = Server::start(4000).await else {
        return;
    };
    let cluster = FakeCluster::builder().masters(2).start().await.unwrap();
    let client = server.client().await;
    let mut nodes = Vec::new();
    for n in 0..2 {
        let port = cluster.master(n).addr().port();
        let info =
            format!(r#"{{"address":{{"hostname":"localhost","ip":"127.0.0.1","port":{port}}}}}"#);
        let mode = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        let node = client
            .create("/mesos/json.info_", info.as_bytes(), &mode)
            .await;
        nodes.push(format!("/mesos/json.info_{}", node.unwrap().1));
    }
    let address = format!("zk://{}/mesos", server.address());
    let (source, _) = crate::MesosSource::builder([address])
        .backlog(crate::Backlog::Report)
        .build()
        .unwrap();
    let mut events = Box::new(source).events(None);
    let mut told = async |id: &str| {
        let found = timeout(PATIENCE, async {
            loop {
                let Some(Ok(batch)) = events.next().await else {
                    continue;
                };
                let is_there = batch.failures.iter().any(|f| f.id == id);
                batch.ack.done();
                if is_there {
                    return;
                }
            }
        });
        assert!(found.await.is_ok(), "{id} was not told");
    };
    cluster.launch_failed(TaskSpec::new("a"), Death::failed());
    told("a").await;
    // Another one leads, and the first stays there, silent.
    cluster.cut_streams(notifier_testkit::mesos::StreamCut::Stall);
    cluster.master(1).lead();
    client.delete(&nodes[0], None).await.unwrap();
    cluster.launch_failed(TaskSpec::new("b"), Death::failed());
    told("b").await;
    assert!(cluster.streams().most_open <= 1);
}
