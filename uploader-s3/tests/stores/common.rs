//! What the tests share: uploaders, failures, logs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use notifier_core::{
    BackendSettings, FailureRecord, LogContent, LogPart, LogStream, ObjectRef, OpenLog, Origin,
    Result, Uploader, UploaderFactory, bytes::Bytes, jiff::Timestamp,
};
use notifier_http::HttpClient;
use uploader_s3::{S3AwsFactory, S3GoamzFactory};

/// A log that is made while it is read: each byte follows from its place.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) size: u64,
    pub(crate) opened: AtomicUsize,
}

const PIECE: u64 = 64 * 1024;
const PAGE: u64 = 4096;

impl Log {
    pub(crate) fn of(size: u64) -> Self {
        Self {
            size,
            opened: AtomicUsize::new(0),
        }
    }

    /// Pages of the same bytes, each with its number before them.
    pub(crate) fn slice(from: u64, to: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for page in from / PAGE..to.div_ceil(PAGE) {
            out.extend_from_slice(&page.to_le_bytes());
            out.resize(out.len() + PAGE as usize - 8, b'.');
        }
        out.drain(..(from % PAGE) as usize);
        out.truncate((to - from) as usize);
        out
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        Self::slice(0, self.size)
    }
}

#[async_trait]
impl LogContent for Log {
    async fn open(&self, part: LogPart) -> Result<OpenLog> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let size = self.size;
        let from = match part {
            LogPart::Whole => 0,
            LogPart::Last(n) => size.saturating_sub(n),
        };
        let pieces = (from..size).step_by(PIECE as usize);
        let pieces = pieces.map(move |at| Ok(Bytes::from(Self::slice(at, (at + PIECE).min(size)))));
        Ok(OpenLog::new(
            Some(size),
            futures_util::stream::iter(pieces).boxed(),
        ))
    }
}

pub(crate) const ACCESS_KEY: &str = "AKIAPEERPEERPEERPEER";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

pub(crate) fn failure(name: &str) -> FailureRecord {
    let at: Timestamp = "2026-11-21T10:20:30.456Z".parse().unwrap();
    FailureRecord::new(format!("{name}.1"), name, "TASK_FAILED", at)
}

pub(crate) fn stdout() -> LogStream {
    LogStream::new("stdout", "http://agent/stdout")
}

fn settings(
    factory: &dyn UploaderFactory,
    defaults: &[(&str, &str)],
    more: &[(&str, &str)],
) -> BackendSettings {
    let mut s = BackendSettings::new(factory.options());
    for (key, value) in defaults.iter().chain(more) {
        s.set(Origin::Flag, key, value).unwrap();
    }
    s
}

/// An uploader with version 4, by path.
pub(crate) fn v4(endpoint: &str, more: &[(&str, &str)]) -> Arc<dyn Uploader> {
    v4_of(
        &S3AwsFactory::new(HttpClient::new().unwrap()),
        endpoint,
        more,
    )
}

pub(crate) fn v4_of(
    factory: &S3AwsFactory,
    endpoint: &str,
    more: &[(&str, &str)],
) -> Arc<dyn Uploader> {
    let defaults = [
        ("access_key", ACCESS_KEY),
        ("secret_key", SECRET_KEY),
        ("bucket", "logs"),
        ("region", "us-east-1"),
        ("endpoint", endpoint),
    ];
    factory.build(&settings(factory, &defaults, more)).unwrap()
}

/// An uploader with version 2, by path.
pub(crate) fn v2(endpoint: &str, more: &[(&str, &str)]) -> Arc<dyn Uploader> {
    v2_of(
        &S3GoamzFactory::new(HttpClient::new().unwrap()),
        endpoint,
        more,
    )
}

pub(crate) fn v2_of(
    factory: &S3GoamzFactory,
    endpoint: &str,
    more: &[(&str, &str)],
) -> Arc<dyn Uploader> {
    let endpoint = format!("{endpoint}/${{bucket}}");
    let defaults = [
        ("access_key", ACCESS_KEY),
        ("secret_key", SECRET_KEY),
        ("bucket", "logs"),
        ("endpoint", &endpoint),
    ];
    factory.build(&settings(factory, &defaults, more)).unwrap()
}

/// What a link answers: status and body.
pub(crate) async fn get(client: &HttpClient, url: &str) -> (u16, Vec<u8>) {
    let answer = client.get(url).stream().await.unwrap();
    let status = answer.status();
    let body = answer.read_all(usize::MAX).await.unwrap();
    (status, body.body().to_vec())
}

pub(crate) fn key(object: &ObjectRef) -> &str {
    object.0["key"].as_str().unwrap()
}
