use std::sync::Mutex;

use async_trait::async_trait;
use flate2::read::GzDecoder;
use notifier_core::{ErrorKind, OpenLog};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;

/// A log in memory that is given in pieces.
#[derive(Debug)]
struct Made {
    bytes: Vec<u8>,
    piece: usize,
    tells_size: bool,
    /// Written after it was opened.
    grows: Vec<u8>,
    opened: Mutex<Vec<LogPart>>,
}

impl Made {
    fn new(bytes: impl Into<Vec<u8>>, piece: usize) -> Self {
        Self {
            bytes: bytes.into(),
            piece,
            tells_size: true,
            grows: Vec::new(),
            opened: Mutex::default(),
        }
    }
}

#[async_trait]
impl LogContent for Made {
    async fn open(&self, part: LogPart) -> Result<OpenLog> {
        self.opened.lock().unwrap().push(part);
        let size = self.bytes.len() as u64;
        let from = match part {
            LogPart::Whole => 0,
            LogPart::Last(n) => size.saturating_sub(n) as usize,
        };
        let mut bytes = self.bytes[from..].to_vec();
        bytes.extend_from_slice(&self.grows);
        let pieces: Vec<Result<Bytes>> = bytes
            .chunks(self.piece)
            .map(|c| Ok(Bytes::copy_from_slice(c)))
            .collect();
        let size = self.tells_size.then_some(size);
        Ok(OpenLog::new(
            size,
            futures_util::stream::iter(pieces).boxed(),
        ))
    }
}

async fn read(log: &Made, most: u64, compress: bool) -> Vec<u8> {
    let mut body = Body::open(log, most).await.unwrap();
    if compress {
        body.compress();
    }
    let mut out = Vec::new();
    loop {
        let mut part = Part::new(Digest::Sha256(Sha256::new()));
        let is_end = part.fill(&mut body, 7).await.unwrap();
        let payload = part.into_payload();
        assert!(payload.bytes.len() <= 7);
        assert_eq!(
            payload.hash,
            crate::sign::hex(&Sha256::digest(&payload.bytes))
        );
        out.extend_from_slice(&payload.bytes);
        if is_end {
            return out;
        }
        assert_eq!(payload.bytes.len(), 7);
    }
}

async fn text(log: &Made, most: u64) -> String {
    String::from_utf8(read(log, most, false).await).unwrap()
}

#[tokio::test]
async fn a_log_that_fits_is_kept_as_it_is() {
    for most in [10, 11, u64::MAX] {
        for tells_size in [true, false] {
            let log = Made {
                tells_size,
                ..Made::new("0123456789", 3)
            };
            assert_eq!(text(&log, most).await, "0123456789", "{most} {tells_size}");
        }
    }
    assert_eq!(text(&Made::new("", 3), 5).await, "");
}

#[tokio::test]
async fn a_long_one_keeps_its_beginning_and_its_end() {
    let log = Made::new("0123456789", 4);
    assert_eq!(
        text(&log, 6).await,
        "012\n[... 4 bytes are left out here ...]\n789"
    );
    assert_eq!(
        *log.opened.lock().unwrap(),
        [LogPart::Whole, LogPart::Last(3)]
    );
    let log = Made::new("0123456789", 4);
    assert_eq!(
        text(&log, 1).await,
        "0\n[... 9 bytes are left out here ...]\n"
    );
    assert_eq!(*log.opened.lock().unwrap(), [LogPart::Whole]);
}

#[tokio::test]
async fn one_of_unknown_size_is_counted() {
    let unknown = |text: &str| Made {
        tells_size: false,
        ..Made::new(text, 4)
    };
    let log = unknown("0123456789");
    assert_eq!(
        text(&log, 6).await,
        "012\n[... 4 bytes are left out here ...]\n789"
    );
    assert_eq!(text(&unknown("012345"), 6).await, "012345");
    assert_eq!(text(&unknown("01234"), 6).await, "01234");
    assert_eq!(text(&unknown("012"), 6).await, "012");
}

#[tokio::test]
async fn one_that_grows_stays_below_the_cap() {
    let log = Made {
        grows: b"abcdef".to_vec(),
        ..Made::new("0123456789", 4)
    };
    assert_eq!(
        text(&log, 12).await,
        "0123456789ab\n[... what was written after this is left out ...]\n"
    );
    assert_eq!(text(&log, u64::MAX).await, "0123456789abcdef");
    assert_eq!(
        text(&log, 6).await,
        "012\n[... 4 bytes are left out here ...]\n789"
    );
}

#[tokio::test]
async fn compressed_bytes_come_back() {
    let bytes: Vec<u8> = (0..100_000u32).flat_map(|n| n.to_le_bytes()).collect();
    for log in [Made::new(bytes.clone(), 1000), Made::new("", 1)] {
        let packed = read(&log, u64::MAX, true).await;
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut GzDecoder::new(packed.as_slice()), &mut plain).unwrap();
        assert_eq!(plain, log.bytes);
    }
}

/// A log whose source fails.
struct Broken;

#[async_trait]
impl LogContent for Broken {
    async fn open(&self, _: LogPart) -> Result<OpenLog> {
        let pieces = [
            Ok(Bytes::from_static(b"abc")),
            Err(Error::new(ErrorKind::Unavailable, "gone")),
        ];
        Ok(OpenLog::new(
            None,
            futures_util::stream::iter(pieces).boxed(),
        ))
    }
}

#[tokio::test]
async fn a_source_that_fails_is_an_error() {
    let mut body = Body::open(&Broken, 100).await.unwrap();
    let mut part = Part::new(Digest::Sha256(Sha256::new()));
    let e = part.fill(&mut body, 10).await.unwrap_err();
    assert_eq!(e.to_string(), "gone");
}

/// A log whose source gives one byte and then nothing.
struct Stuck;

#[async_trait]
impl LogContent for Stuck {
    async fn open(&self, _: LogPart) -> Result<OpenLog> {
        let byte = futures_util::stream::iter([Ok(Bytes::from_static(b"a"))]);
        let bytes = byte.chain(futures_util::stream::pending()).boxed();
        Ok(OpenLog::new(None, bytes))
    }
}

#[tokio::test]
async fn a_source_that_is_too_slow_is_an_error() {
    let mut body = Body::open(&Stuck, 100).await.unwrap();
    body.log.pace.patience = Duration::from_millis(20);
    assert!(body.wait().await.unwrap());
    let mut part = Part::new(Digest::Sha256(Sha256::new()));
    let ends = async {
        [
            part.fill(&mut body, 10).await.unwrap_err(),
            body.wait().await.unwrap_err(),
        ]
    };
    for e in tokio::time::timeout(PATIENCE, ends).await.unwrap() {
        assert_eq!(e.to_string(), "the agent gives the log too slowly");
        assert_eq!(e.kind(), ErrorKind::Timeout);
    }
    assert_eq!(part.into_payload().bytes, "a");
}

#[tokio::test]
async fn each_part_has_its_time() {
    let mut pace = Pace::new();
    let time = |pace: &Pace| pace.deadline() - pace.since;
    assert_eq!(time(&pace), Duration::from_secs(10));
    pace.start(5 * 1024 * 1024);
    assert_eq!(time(&pace), Duration::from_secs(30));
    // Much that is read for little that is kept.
    pace.read = 1024 * SLOWEST;
    assert_eq!(time(&pace), Duration::from_secs(1034));
    pace.start(SLOWEST);
    assert_eq!(time(&pace), Duration::from_secs(11));
}

#[tokio::test]
async fn bytes_that_were_waited_for_are_not_lost() {
    let log = Made::new("0123456789", 3);
    let mut body = Body::open(&log, u64::MAX).await.unwrap();
    let mut all = Vec::new();
    while body.wait().await.unwrap() {
        let mut part = Part::new(Digest::Sha256(Sha256::new()));
        part.fill(&mut body, 4).await.unwrap();
        all.extend_from_slice(&part.into_payload().bytes);
    }
    assert_eq!(all, b"0123456789");
}

proptest! {
    #[test]
    fn what_is_kept_is_the_beginning_and_the_end(
        size in 0usize..200, piece in 1usize..40, most in 0u64..220, tells_size: bool,
    ) {
        let bytes: Vec<u8> = (0..size).map(|n| b'a' + (n % 26) as u8).collect();
        let log = Made { tells_size, ..Made::new(bytes.clone(), piece) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let kept = runtime.block_on(read(&log, most, false));
        if size as u64 <= most {
            prop_assert_eq!(kept, bytes);
        } else {
            let kept = String::from_utf8(kept).unwrap();
            let (head, rest) = kept.split_once("\n[... ").unwrap();
            let (gap, tail) = rest.split_once(" bytes are left out here ...]\n").unwrap();
            let all = String::from_utf8(bytes).unwrap();
            prop_assert!(all.starts_with(head) && all.ends_with(tail));
            prop_assert_eq!((head.len() + tail.len()) as u64, most);
            prop_assert_eq!(gap.parse::<usize>().unwrap() + head.len() + tail.len(), size);
        }
    }
}
