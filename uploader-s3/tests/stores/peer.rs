//! What has to hold with every real store, in both versions of signatures.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::Arc,
    time::{Duration, Instant},
};

use notifier_core::{Clock as _, ErrorKind, ManualClock, SystemClock, Uploader};
use notifier_http::HttpClient;

use crate::common::{
    ACCESS_KEY, Log, SECRET_KEY, failure, get, key, stdout, v2, v2_with, v4, v4_with,
};

type Make = fn(&str, &[(&str, &str)]) -> Arc<dyn Uploader>;
type MakeWith = fn(HttpClient, &str, &[(&str, &str)]) -> Arc<dyn Uploader>;

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
pub(crate) struct Program(pub(crate) Child);

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.0.try_wait().expect("the program is ours").is_some()
    }

    /// Waits until it listens; false if it ended, as it does if another program took the port.
    pub(crate) fn listens(&mut self, port: u16) -> bool {
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if self.is_over() {
                return false;
            }
            assert!(Instant::now() < until, "nothing listens");
            std::thread::sleep(Duration::from_millis(50));
        }
        !self.is_over()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that nobody listens at now, all different: none is let go before all are chosen.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref()
        .map(|listener| listener.local_addr().unwrap().port())
}

/// Starts a store with new ports, and once more if it ended at once: between choosing a
/// port and listening at it another program may take it.
pub(crate) fn started<T>(start: impl Fn() -> Option<T>) -> T {
    start()
        .or_else(start)
        .expect("the store ended at once, twice")
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
    let http = HttpClient::builder()
        .clock(Arc::new(ManualClock::new(late)))
        .build()
        .unwrap();
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
