//! What masters and agents answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::auth::Auth;
use super::corruption::Corruption;
use super::model::{Leader, Model, RedirectStyle};
use super::page::{Page, Pages};
use super::render;
use super::sandbox::{self, Node};
use crate::http::{Action, Delivery, Reply, Request, lock};

/// The most bytes one `/files/read` returns: 16 pages.
const READ_AT_MOST: u64 = 64 * 1024;

/// The model with all that its servers share. No lock is held over an await.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) model: Mutex<Model>,
    pub(crate) master_auth: Mutex<Option<Auth>>,
    /// Of the operator API; without it that of masters counts.
    pub(crate) operator_auth: Mutex<Option<Auth>>,
    pub(crate) agent_auth: Mutex<Option<Auth>>,
    pub(crate) operator_api: bool,
    pub(crate) gzip: bool,
    pub(crate) heartbeat: Duration,
    /// Bytes and pauses in which states and snapshots are sent.
    pub(crate) drip: Mutex<Option<(usize, Duration)>>,
    pub(crate) corruptions: Mutex<VecDeque<Corruption>>,
    pub(crate) pages: Pages,
}

fn json_bytes(bytes: impl Into<crate::http::Body>) -> Reply {
    Reply::new(200)
        .header("Content-Type", "application/json")
        .body(bytes)
}

impl Shared {
    /// Answers a page: corrupted if that is due, compressed if the client takes it.
    pub(crate) fn page(&self, page: Page, request: &Request) -> Action {
        let rendered = self.pages.get(&lock(&self.model), page);
        let of_agent = matches!(page, Page::Agent(_));
        if !of_agent && let Some(corruption) = lock(&self.corruptions).pop_front() {
            return corruption.answer(&rendered.plain);
        }
        let plain = Arc::clone(&rendered.plain);
        let gzip = (self.gzip && accepts_gzip(request)).then(|| self.pages.gzip(rendered));
        let mut reply = match gzip.flatten() {
            Some(gzip) => json_bytes(gzip).header("Content-Encoding", "gzip"),
            None => json_bytes(plain),
        };
        if !of_agent && let Some((bytes, every)) = *lock(&self.drip) {
            reply = reply.delivery(Delivery::new().drip(bytes, every));
        }
        reply.into()
    }

    /// Answers a small thing: corrupted if that is due.
    pub(crate) fn plain(&self, json: Vec<u8>) -> Action {
        match lock(&self.corruptions).pop_front() {
            Some(corruption) => corruption.answer(&json),
            None => json_bytes(json).into(),
        }
    }

    pub(crate) fn master(self: &Arc<Self>, index: usize, request: &Request) -> Action {
        let path = request.path();
        let path = match path.strip_prefix("/master") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        let version = lock(&self.model).version;
        let reply = match path {
            "/health" => Reply::new(200),
            "/version" => Reply::json(200, &render::version(&lock(&self.model))),
            "/redirect" => self.redirect(index, request, true),
            "/api/v1" if self.operator_api && version.has_operator_api() => {
                let own = lock(&self.operator_auth).is_some();
                let auth = if own {
                    &self.operator_auth
                } else {
                    &self.master_auth
                };
                if let Some(refusal) = refused(auth, request, "mesos-master-readwrite") {
                    refusal
                } else if lock(&self.model).leader != Leader::Master(index) {
                    self.redirect(index, request, false)
                } else {
                    return self.call(index, request);
                }
            }
            "/state" if !version.has_plain_paths() => Reply::new(404),
            "/state.json" if !version.has_json_paths() => Reply::new(404),
            "/state" | "/state.json" | "/flags" | "/metrics/snapshot" => {
                if let Some(refusal) = refused(&self.master_auth, request, "mesos-master-readonly")
                {
                    refusal
                } else if request.method != "GET" && request.method != "HEAD" {
                    Reply::text(405, "Expecting one of { 'GET' }\n").header("Allow", "GET")
                } else if path == "/metrics/snapshot" {
                    Reply::json(200, &render::metrics(&lock(&self.model), index))
                } else if path == "/flags" {
                    Reply::json(200, &render::flags(&lock(&self.model), index))
                } else if version.redirects() && lock(&self.model).leader != Leader::Master(index) {
                    self.redirect(index, request, false)
                } else {
                    return self.page(Page::Master(index), request);
                }
            }
            _ => Reply::new(404),
        };
        reply.into()
    }

    pub(crate) fn redirect(&self, index: usize, request: &Request, base: bool) -> Reply {
        let model = lock(&self.model);
        let target = match model.leader {
            Leader::Nobody => return Reply::text(503, "No leader elected"),
            Leader::Master(leader) => &model.masters[leader],
            Leader::Loop => &model.masters[(index + 1) % model.masters.len()],
        };
        let path = if base { "" } else { &request.target };
        let place = format!("//{}:{}{path}", target.hostname, target.port);
        match model.redirects {
            RedirectStyle::ProtocolRelative => Reply::redirect(307, place),
            RedirectStyle::Absolute => Reply::redirect(307, format!("http:{place}")),
            RedirectStyle::Found => Reply::redirect(302, format!("http:{place}")),
        }
    }

    pub(crate) fn agent(&self, index: usize, request: &Request) -> Action {
        let path = request.path();
        let path = match path.strip_prefix("/slave(1)") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        let version = lock(&self.model).version;
        let known = match path {
            "/health" => return Reply::new(200).into(),
            "/version" => return Reply::json(200, &render::version(&lock(&self.model))).into(),
            "/state" | "/files/browse" | "/files/read" | "/files/download" => {
                version.has_plain_paths()
            }
            "/state.json" | "/files/browse.json" | "/files/read.json" | "/files/download.json" => {
                version.has_json_paths()
            }
            _ => false,
        };
        if !known {
            return Reply::new(404).into();
        }
        if let Some(refusal) = refused(&self.agent_auth, request, "mesos-agent-readonly") {
            return refusal.into();
        }
        match path.trim_end_matches(".json") {
            "/files/browse" => self.file(index, request, browse),
            "/files/read" => self.file(index, request, read),
            "/files/download" => self.file(index, request, download),
            _ => return self.page(Page::Agent(index), request),
        }
        .into()
    }

    /// Looks up the path of a request for a file and answers it.
    fn file(
        &self,
        index: usize,
        request: &Request,
        answer: fn(&Request, &str, Node) -> Reply,
    ) -> Reply {
        let Some(path) = request.param("path").filter(|path| !path.is_empty()) else {
            return Reply::text(400, "Expecting 'path=value' in query.\n");
        };
        let node = {
            let model = lock(&self.model);
            if model.sandboxes_denied {
                return Reply::text(403, "Forbidden\n");
            }
            sandbox::find(&model, index, &path)
        };
        match node {
            Some(node) => answer(request, &path, node),
            None => Reply::new(404),
        }
    }
}

fn accepts_gzip(request: &Request) -> bool {
    request.header("Accept-Encoding").is_some_and(|codings| {
        codings.split(',').any(|coding| {
            let coding = coding.trim();
            coding.eq_ignore_ascii_case("gzip") || coding.to_lowercase().starts_with("gzip;q=1")
        })
    })
}

fn refused(auth: &Mutex<Option<Auth>>, request: &Request, realm: &str) -> Option<Reply> {
    lock(auth)
        .as_ref()
        .and_then(|auth| auth.refusal(request, realm))
}

fn browse(_: &Request, path: &str, node: Node) -> Reply {
    let Node::Directory(entries) = node else {
        // Browsing a file lists nothing, as a glob below it would.
        return json_bytes("[]");
    };
    let base = path.trim_end_matches('/');
    let list: Vec<_> = entries
        .into_iter()
        .map(|entry| {
            serde_json::json!({
                "path": format!("{base}/{}", entry.name),
                "size": entry.size.unwrap_or(4096),
                "nlink": if entry.size.is_some() { 1 } else { 2 },
                "mode": if entry.size.is_some() { "-rw-r--r--" } else { "drwxr-xr-x" },
                "uid": "root",
                "gid": "root",
                "mtime": 1_500_000_000,
            })
        })
        .collect();
    Reply::json(200, &list.into())
}

fn read(request: &Request, _: &str, node: Node) -> Reply {
    let number = |name: &str| match request.param(name) {
        None => Ok(-1),
        Some(text) => match text.parse::<i64>() {
            Ok(number) if number >= -1 => Ok(number),
            _ => Err(format!("Failed to parse {name}: '{text}'\n")),
        },
    };
    let (offset, length) = match (number("offset"), number("length")) {
        (Ok(offset), Ok(length)) => (offset, length),
        (Err(refusal), _) | (_, Err(refusal)) => return Reply::text(400, refusal),
    };
    let Node::File(content) = node else {
        return Reply::text(400, "Cannot read a directory\n");
    };
    let size = content.len();
    let Ok(offset) = u64::try_from(offset) else {
        return json_bytes(format!("{{\"data\":\"\",\"offset\":{size}}}"));
    };
    if offset >= size {
        return json_bytes(format!("{{\"data\":\"\",\"offset\":{size}}}"));
    }
    let length = u64::try_from(length)
        .unwrap_or(READ_AT_MOST)
        .min(READ_AT_MOST);
    // Bytes that are no UTF-8 go out as they are, as Mesos lets them.
    let mut out = b"{\"data\":\"".to_vec();
    for byte in content.slice(offset, length as usize) {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.extend_from_slice(format!("\",\"offset\":{offset}}}").as_bytes());
    json_bytes(out)
}

fn download(_: &Request, path: &str, node: Node) -> Reply {
    let Node::File(content) = node else {
        return Reply::text(400, "Cannot download a directory\n");
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let kind = match name.rsplit_once('.') {
        Some((_, "txt")) => "text/plain",
        Some((_, "json")) => "application/json",
        Some((_, "html")) => "text/html",
        _ => "application/octet-stream",
    };
    Reply::new(200)
        .header("Content-Type", kind)
        .header(
            "Content-Disposition",
            format!("attachment; filename={name}"),
        )
        .body(content.body())
}
