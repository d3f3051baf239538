//! What has to hold with every real store, in both versions of signatures.

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use notifier_core::{Clock, ErrorKind, ManualClock, SystemClock, Uploader, jiff::tz::TimeZone};
use notifier_http::{HttpClient, Method};
use notifier_testkit::peer::skipped;
use sha1::Sha1;
use uploader_s3::{S3AwsFactory, S3GoamzFactory};

use crate::common::{self, ACCESS_KEY, Log, SECRET_KEY, failure, key, stdout, v2_of, v4_of};

type Make = fn(&str, &[(&str, &str)]) -> Arc<dyn Uploader>;
type MakeWith = fn(HttpClient, &str, &[(&str, &str)]) -> Arc<dyn Uploader>;

/// How often the start of a store is tried.
const STARTS: usize = 3;

/// How long one start may take in all.
const START: Duration = Duration::from_secs(300);

/// How long a request may take: a busy machine is no fault of anybody's.
const PATIENCE: Duration = Duration::from_secs(180);

const BY_NAME: (&str, &str) = ("prefix", "{{ .failure.Name }}");

/// What differs between stores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// What a request by the wrong clock is answered.
    pub(crate) says_its_time: bool,
    /// The code for a key that nobody has.
    pub(crate) unknown_key: &'static str,
    /// Whether it refuses to store into a bucket that is not there.
    pub(crate) has_buckets: bool,
}

/// A program of a store, ended when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// What it writes, its own logs aside.
    output: PathBuf,
}

impl Program {
    /// Starts it; what it writes goes to a file.
    pub(crate) fn start(command: &mut Command, output: PathBuf) -> Result<Self, String> {
        let text = |e: std::io::Error| format!("{}: {e}", command.get_program().display());
        let file = fs::File::create(&output).map_err(text)?;
        let copy = file.try_clone().map_err(text)?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        Ok(Self { child, output })
    }

    /// Why it is over, if it is.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let said = last_lines(&self.output);
                Err(format!("a program of the store ended, {status}: {said}"))
            }
            Err(e) => Err(e.to_string()),
        }
    }

    /// Waits until it ends well; what it wrote. It is ended at `end`.
    pub(crate) fn finish(mut self, end: Instant) -> Result<String, String> {
        loop {
            match self.child.try_wait().map_err(|e| e.to_string())? {
                Some(status) if status.success() => {
                    return Ok(fs::read_to_string(&self.output).unwrap_or_default());
                }
                Some(status) => return Err(format!("{status}: {}", last_lines(&self.output))),
                None if Instant::now() > end => {
                    return Err(format!("has no end: {}", last_lines(&self.output)));
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of a file, in one line.
pub(crate) fn last_lines(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}

/// Ports that nobody listens at now, all different. They are not of those that the system
/// gives away: the tests beside would be given them while the store starts.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let mut held: Vec<TcpListener> = Vec::new();
    [(); N].map(|()| {
        loop {
            let port = fastrand::u16(10_000..30_000);
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                held.push(listener);
                return port;
            }
        }
    })
}

/// Starts a store, again with new ports if it fails. A store that does not start at all says
/// nothing of our code: the test is skipped then.
pub(crate) async fn started<T>(
    name: &str,
    start: impl AsyncFn(Instant) -> Result<T, String>,
) -> Option<T> {
    let mut why = String::new();
    for number in 1..=STARTS {
        match start(Instant::now() + START).await {
            Ok(store) => return Some(store),
            Err(e) => {
                let e = e.lines().collect::<Vec<_>>().join(" | ");
                let _ = write!(why, " start {number}: {e};");
            }
        }
    }
    skipped(name, &format!("it does not start:{why}"));
    None
}

/// Sends a request, signed by hand, until the store that starts takes it.
pub(crate) async fn taken(
    program: &mut Program,
    (method, path): (Method, &str),
    port: u16,
    end: Instant,
) -> Result<(), String> {
    let http = patient(Arc::new(SystemClock));
    loop {
        let utc = SystemClock.now().to_zoned(TimeZone::UTC);
        let date = utc.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut mac = Hmac::<Sha1>::new_from_slice(SECRET_KEY.as_bytes()).unwrap();
        mac.update(format!("{method}\n\n\n{date}\n{path}").as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let answer = http
            .request(method.clone(), &format!("http://127.0.0.1:{port}{path}"))
            .header("date", &date)
            .header("authorization", &format!("AWS {ACCESS_KEY}:{signature}"))
            .timeout(Some(Duration::from_secs(60)))
            .send()
            .await;
        // Also if another program answered, since the port was taken.
        program.check()?;
        let why = match answer {
            Ok(answer) if answer.is_success() => return Ok(()),
            Ok(answer) => format!("{}: {}", answer.status(), answer.text()),
            Err(e) => e.to_string(),
        };
        if Instant::now() > end {
            return Err(format!("{method} {path}: {why}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A client that waits long.
fn patient(clock: Arc<dyn Clock>) -> HttpClient {
    HttpClient::builder()
        .clock(clock)
        .connect_timeout(PATIENCE)
        .timeout(Some(PATIENCE))
        .idle_timeout(PATIENCE)
        .build()
        .unwrap()
}

async fn get(url: &str) -> (u16, Vec<u8>) {
    common::get(&patient(Arc::new(SystemClock)), url).await
}

fn v4(endpoint: &str, more: &[(&str, &str)]) -> Arc<dyn Uploader> {
    v4_with(patient(Arc::new(SystemClock)), endpoint, more)
}

fn v4_with(http: HttpClient, endpoint: &str, more: &[(&str, &str)]) -> Arc<dyn Uploader> {
    let factory = S3AwsFactory::new(http).request_timeout(PATIENCE);
    v4_of(&factory, endpoint, more)
}

fn v2(endpoint: &str, more: &[(&str, &str)]) -> Arc<dyn Uploader> {
    v2_with(patient(Arc::new(SystemClock)), endpoint, more)
}

fn v2_with(http: HttpClient, endpoint: &str, more: &[(&str, &str)]) -> Arc<dyn Uploader> {
    let factory = S3GoamzFactory::new(http).request_timeout(PATIENCE);
    v2_of(&factory, endpoint, more)
}

/// All of it, with a store that has the bucket `logs`.
pub(crate) async fn holds(endpoint: &str, peer: Peer) {
    for (make, make_with) in [(v4 as Make, v4_with as MakeWith), (v2, v2_with)] {
        let uploader = make(endpoint, &[BY_NAME]);
        uploader.check().await.unwrap();
        keys_of_all_kinds(&uploader).await;
        sizes_of_all_kinds(&uploader).await;
        links_that_do_not_work(&uploader, make, endpoint).await;
        wrong_keys(make, endpoint, peer).await;
        wrong_clock(make_with, endpoint, peer).await;

        let packed = make(endpoint, &[BY_NAME, ("gzip", "true")]);
        let object = packed
            .upload(&failure("packed"), &stdout(), &Log::of(50_000))
            .await
            .unwrap();
        let (status, body) = get(&packed.link(&object).await.unwrap()).await;
        assert_eq!(status, 200);
        let mut plain = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(body.as_slice()),
            &mut plain,
        )
        .unwrap();
        assert!(plain == Log::of(50_000).bytes());
    }
}

async fn keys_of_all_kinds(uploader: &Arc<dyn Uploader>) {
    for (name, written) in [
        ("a b", "a b"),
        ("a+b", "a+b"),
        ("a%20b%2Fc", "a%20b%2Fc"),
        ("100%", "100%"),
        ("ü/日本/é", "ü/日本/é"),
        ("x//y", "x/y"),
        ("/x/./y/../z/", "x/z"),
        ("it's \"quoted\"", "it's \"quoted\""),
        ("!*()&=;,:@$#?[]{}|^`<>", "!*()&=;,:@$#?[]{}|^`<>"),
        ("~-._", "~-._"),
    ] {
        let log = Log::of(1000);
        let object = uploader.upload(&failure(name), &stdout(), &log).await;
        let object = object.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(key(&object), format!("{written}/stdout"));
        let link = uploader.link(&object).await.unwrap();
        let (status, body) = get(&link).await;
        assert_eq!(status, 200, "{name}: {}", String::from_utf8_lossy(&body));
        assert!(body == log.bytes(), "{name}");
    }
}

async fn sizes_of_all_kinds(uploader: &Arc<dyn Uploader>) {
    let part = 5 * 1024 * 1024;
    for size in [
        0,
        1,
        256 * 1024,
        256 * 1024 + 1,
        part,
        part + 1,
        2 * part,
        2 * part + 7,
    ] {
        let log = Log::of(size);
        let object = uploader.upload(&failure("sizes"), &stdout(), &log).await;
        let object = object.unwrap_or_else(|e| panic!("{size}: {e}"));
        let (status, body) = get(&uploader.link(&object).await.unwrap()).await;
        assert_eq!(status, 200, "{size}");
        assert!(body == log.bytes(), "{size} came back as {}", body.len());
    }
}

async fn links_that_do_not_work(uploader: &Arc<dyn Uploader>, make: Make, endpoint: &str) {
    let object = uploader
        .upload(&failure("links"), &stdout(), &Log::of(10))
        .await
        .unwrap();
    let link = uploader.link(&object).await.unwrap();
    let (plain, _) = link.split_once('?').unwrap();
    assert_eq!(get(plain).await.0, 403, "without a signature");
    assert_eq!(
        get(&link.replace("/links/", "/sizes/")).await.0,
        403,
        "of another object"
    );
    let wrong = make(endpoint, &[("secret_key", "wrong-secret-value")]);
    assert_eq!(
        get(&wrong.link(&object).await.unwrap()).await.0,
        403,
        "of another key"
    );
    let brief = make(endpoint, &[("timeout", "1s")]);
    let link = brief.link(&object).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(get(&link).await.0, 403, "after its time");
}

async fn wrong_keys(make: Make, endpoint: &str, peer: Peer) {
    let wrong = make(endpoint, &[BY_NAME, ("secret_key", "wrong-secret-value")]);
    for size in [10, 6 * 1024 * 1024] {
        let e = wrong
            .upload(&failure("wrong"), &stdout(), &Log::of(size))
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind(), e.code()),
            (ErrorKind::Unauthenticated, Some("SignatureDoesNotMatch")),
            "{e}"
        );
        assert!(!e.to_string().contains("wrong-secret-value"), "{e}");
    }
    wrong.check().await.unwrap_err();
    let unknown = make(endpoint, &[BY_NAME, ("access_key", "AKIANOTEXIST00000000")]);
    let e = unknown
        .upload(&failure("wrong"), &stdout(), &Log::of(10))
        .await
        .unwrap_err();
    assert_eq!(
        (e.kind(), e.code()),
        (ErrorKind::Unauthenticated, Some(peer.unknown_key)),
        "{e}"
    );
    if peer.has_buckets {
        let elsewhere = make(endpoint, &[BY_NAME, ("bucket", "not-there")]);
        let e = elsewhere
            .upload(&failure("wrong"), &stdout(), &Log::of(10))
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind(), e.code()),
            (ErrorKind::Config, Some("NoSuchBucket")),
            "{e}"
        );
        elsewhere.check().await.unwrap_err();
    }
    let shown = format!("{wrong:?} {unknown:?}");
    assert!(
        !shown.contains("wrong-secret-value")
            && !shown.contains(ACCESS_KEY)
            && !shown.contains(SECRET_KEY)
    );
}

async fn wrong_clock(make_with: MakeWith, endpoint: &str, peer: Peer) {
    let late = SystemClock.now() - Duration::from_secs(3 * 3600);
    let http = patient(Arc::new(ManualClock::new(late)));
    let uploader = make_with(http, endpoint, &[BY_NAME]);
    let outcome = uploader
        .upload(&failure("late"), &stdout(), &Log::of(10))
        .await;
    if peer.says_its_time {
        let link = uploader.link(&outcome.unwrap()).await.unwrap();
        assert_eq!(get(&link).await.0, 200);
    } else {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
}
