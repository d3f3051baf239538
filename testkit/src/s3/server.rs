use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::Md5;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::list;
use super::wire::{Connection, Head};
use super::{MOST_KEPT, Refusal, StoredObject};
use crate::http::until;

/// The smallest part but the last, in bytes.
const MIN_PART: u64 = 5 * 1024 * 1024;
/// The most parts.
const MAX_PARTS: usize = 10_000;
/// The longest key, in bytes.
const MAX_KEY: usize = 1024;

/// An S3 that is not one, on a loopback port. It stops when dropped.
pub struct FakeS3 {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accept: AbortHandle,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, StoredObject>,
    uploads: BTreeMap<String, Upload>,
    started: usize,
    requests: usize,
}

/// An object that comes in parts.
struct Upload {
    path: String,
    headers: Vec<(String, String)>,
    parts: Vec<Part>,
}

/// A part and all before it.
#[derive(Clone)]
struct Part {
    tag: String,
    size: u64,
    before: Bytes,
}

/// The body of one request.
#[derive(Default)]
struct Own {
    sha256: String,
    md5: String,
    /// All of it, where it is a list of parts.
    list: Vec<u8>,
}

impl Own {
    /// A tag, for whoever puts it.
    fn tag(&self) -> String {
        format!("\"{}\"", &self.sha256[..32])
    }
}

/// Bytes that went by.
#[derive(Clone, Default)]
struct Bytes {
    hash: Sha256,
    head: Vec<u8>,
    size: u64,
}

impl Bytes {
    fn take(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.size += piece.len() as u64;
        let room = MOST_KEPT - self.head.len();
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

impl FakeS3 {
    /// Starts it, empty, with every bucket there.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self {
            addr,
            shared,
            accept,
        })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// All objects, in the order of their paths.
    #[must_use]
    pub fn objects(&self) -> Vec<StoredObject> {
        self.shared.lock().objects.values().cloned().collect()
    }

    /// The object of this path, `/bucket/key`.
    #[must_use]
    pub fn object(&self, path: &str) -> Option<StoredObject> {
        self.shared.lock().objects.get(path).cloned()
    }

    /// How many uploads in parts were begun.
    #[must_use]
    pub fn started_uploads(&self) -> usize {
        self.shared.lock().started
    }

    /// How many uploads in parts are neither complete nor taken back.
    #[must_use]
    pub fn open_uploads(&self) -> usize {
        self.shared.lock().uploads.len()
    }

    /// How many requests there were.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.lock().requests
    }

    /// Waits until there are at least `n` objects and returns all there are, also when the
    /// time is over before that.
    pub async fn wait_for(&self, n: usize, timeout: Duration) -> Vec<StoredObject> {
        until(&self.shared.changed, timeout, || {
            self.shared.lock().objects.len() >= n
        })
        .await;
        self.objects()
    }
}

impl Drop for FakeS3 {
    fn drop(&mut self) {
        // The connections are the accepting task's, and end with it.
        self.accept.abort();
    }
}

impl fmt::Debug for FakeS3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeS3")
            .field("addr", &self.addr)
            .field("objects", &self.shared.lock().objects.len())
            .finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, Arc::clone(&shared)));
            }
            // Out of descriptors or a client that left: neither ends a server.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Ends with the connection, whatever ends that.
async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let mut connection = Connection::new(stream);
    while let Ok(Some(head)) = connection.head().await {
        if shared.serve(&mut connection, &head).await.is_err() {
            return;
        }
    }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// What it says of the body's length, if that is not sent.
    length: Option<u64>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            length: None,
        }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl From<Refusal> for Answer {
    fn from(Refusal(status, code): Refusal) -> Self {
        Self::new(
            status,
            format!(
                "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>no</Message></Error>"
            ),
        )
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, connection: &mut Connection, head: &Head) -> io::Result<()> {
        let length = head.header("content-length").and_then(|l| l.parse().ok());
        let is_part = head.method == "PUT" && head.param("uploadId").is_some();
        let mut bytes = self.before(head).filter(|_| is_part).unwrap_or_default();
        let from = bytes.size;
        let (mut sha256, mut md5, mut own) = (Sha256::new(), Md5::new(), Own::default());
        let is_list = head.method == "POST" && head.param("uploadId").is_some();
        connection
            .body(length.unwrap_or(0), |piece| {
                sha256.update(piece);
                md5.update(piece);
                bytes.take(piece);
                if is_list && own.list.len() < list::MAX_LIST {
                    own.list.extend_from_slice(piece);
                }
            })
            .await?;
        own.sha256 = hex(&sha256.finalize());
        own.md5 = STANDARD.encode(md5.finalize());
        let mut answer = self
            .answer(head, length.is_some(), bytes, from, &own)
            .unwrap_or_else(Answer::from);
        if head.method == "HEAD" {
            let length = answer.body.len() as u64;
            answer.length.get_or_insert(length);
            answer.body.clear();
        }
        self.changed.notify_waiters();
        let headers: Vec<(&str, &str)> = answer
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        connection
            .answer(answer.status, &headers, answer.length, &answer.body)
            .await
    }

    /// What came before the part that is announced.
    fn before(&self, head: &Head) -> Option<Bytes> {
        let state = self.lock();
        let upload = state.uploads.get(head.param("uploadId")?)?;
        let number: usize = head.param("partNumber")?.parse().ok()?;
        match number.checked_sub(2) {
            None => Some(Bytes::default()),
            Some(last) => upload.parts.get(last).map(|p| p.before.clone()),
        }
    }

    fn answer(
        &self,
        head: &Head,
        has_length: bool,
        bytes: Bytes,
        from: u64,
        own: &Own,
    ) -> Result<Answer, Refusal> {
        let mut state = self.lock();
        state.requests += 1;
        let is_link = head.param("Signature").is_some() || head.param("X-Amz-Signature").is_some();
        if head.header("authorization").is_none() && !is_link {
            return Err(Refusal(403, "AccessDenied"));
        }
        // Behind `/bucket/`.
        let key = head.path.splitn(3, '/').nth(2).unwrap_or_default();
        if key.len() > MAX_KEY {
            return Err(Refusal(400, "KeyTooLongError"));
        }
        let writes = matches!(head.method.as_str(), "PUT" | "POST");
        if writes && !has_length {
            return Err(Refusal(411, "MissingContentLength"));
        }
        if let Some(hash) = head.header("x-amz-content-sha256")
            && hash != "UNSIGNED-PAYLOAD"
            && hash != own.sha256
        {
            return Err(Refusal(400, "XAmzContentSHA256Mismatch"));
        }
        if let Some(md5) = head.header("content-md5") {
            match STANDARD.decode(md5) {
                Ok(bytes) if bytes.len() == 16 && md5 == own.md5 => {}
                Ok(bytes) if bytes.len() == 16 => return Err(Refusal(400, "BadDigest")),
                _ => return Err(Refusal(400, "InvalidDigest")),
            }
        }
        match (head.method.as_str(), head.param("uploadId")) {
            ("PUT", Some(id)) => state.part(head, id, bytes, from, own),
            ("POST", Some(id)) => state.complete(id, &own.list),
            ("DELETE", Some(id)) => match state.uploads.remove(id) {
                Some(_) => Ok(Answer::new(204, "")),
                None => Err(Refusal(404, "NoSuchUpload")),
            },
            ("POST", None) if head.param("uploads").is_some() => {
                state.started += 1;
                let id = format!("upload-{}/+", state.started);
                let upload = Upload {
                    path: head.path.clone(),
                    headers: head.headers.clone(),
                    parts: Vec::new(),
                };
                state.uploads.insert(id.clone(), upload);
                Ok(Answer::new(
                    200,
                    format!(
                        "<InitiateMultipartUploadResult xmlns=\"x\"><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                    ),
                ))
            }
            ("PUT", None) => {
                state.store(head.path.clone(), head.headers.clone(), bytes, 0);
                Ok(Answer::new(200, "").header("ETag", own.tag()))
            }
            ("GET", None) if head.param("location").is_some() => {
                Ok(Answer::new(200, "<LocationConstraint xmlns=\"x\"/>"))
            }
            ("HEAD", None) => {
                let object = state.objects.get(&head.path);
                let object = object.ok_or(Refusal(404, "NoSuchKey"))?;
                let mut answer = Answer::new(200, "");
                answer.length = Some(object.size);
                Ok(answer)
            }
            ("GET", None) => {
                let object = state
                    .objects
                    .get(&head.path)
                    .ok_or(Refusal(404, "NoSuchKey"))?;
                if object.size > object.head.len() as u64 {
                    return Err(Refusal(501, "NotImplemented"));
                }
                let mut answer = Answer::new(200, object.head.clone());
                for name in ["content-type", "content-encoding"] {
                    if let Some(value) = object.header(name) {
                        answer = answer.header(name, value);
                    }
                }
                Ok(answer)
            }
            _ => Err(Refusal(405, "MethodNotAllowed")),
        }
    }
}

impl State {
    fn store(&mut self, path: String, headers: Vec<(String, String)>, bytes: Bytes, parts: usize) {
        let object = StoredObject {
            path: path.clone(),
            size: bytes.size,
            sha256: hex(&bytes.hash.finalize()),
            head: bytes.head,
            parts,
            headers,
        };
        self.objects.insert(path, object);
    }

    fn part(
        &mut self,
        head: &Head,
        id: &str,
        bytes: Bytes,
        from: u64,
        own: &Own,
    ) -> Result<Answer, Refusal> {
        let upload = self
            .uploads
            .get_mut(id)
            .ok_or(Refusal(404, "NoSuchUpload"))?;
        let number = head.param("partNumber").and_then(|n| n.parse().ok());
        let number = number.unwrap_or(0);
        // In order, each perhaps again: their hash is made as they come.
        if !(1..=MAX_PARTS).contains(&number) || number > upload.parts.len() + 1 {
            return Err(Refusal(400, "InvalidArgument"));
        }
        let tag = own.tag();
        upload.parts.truncate(number - 1);
        upload.parts.push(Part {
            tag: tag.clone(),
            size: bytes.size - from,
            before: bytes,
        });
        Ok(Answer::new(200, "").header("ETag", tag))
    }

    fn complete(&mut self, id: &str, list: &[u8]) -> Result<Answer, Refusal> {
        let upload = self.uploads.get(id).ok_or(Refusal(404, "NoSuchUpload"))?;
        let listed = list::parts(list)?;
        for (number, tag) in &listed {
            let part = number.checked_sub(1).and_then(|n| upload.parts.get(n));
            if part.is_none_or(|p| p.tag.trim_matches('"') != tag) {
                return Err(Refusal(400, "InvalidPart"));
            }
        }
        // In order and all there: the last number tells whether one is left out.
        let count = listed.len();
        if listed.last().is_none_or(|(number, _)| *number != count) {
            return Err(Refusal(501, "NotImplemented"));
        }
        let Some((last, others)) = upload.parts[..count].split_last() else {
            return Err(Refusal(400, "MalformedXML"));
        };
        if others.iter().any(|p| p.size < MIN_PART) {
            return Err(Refusal(400, "EntityTooSmall"));
        }
        let (bytes, tag) = (last.before.clone(), last.tag.clone());
        if let Some(upload) = self.uploads.remove(id) {
            self.store(upload.path, upload.headers, bytes, count);
        }
        Ok(Answer::new(
            200,
            format!(
                "<CompleteMultipartUploadResult><ETag>{}</ETag></CompleteMultipartUploadResult>",
                tag.replace('"', "&quot;")
            ),
        ))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
