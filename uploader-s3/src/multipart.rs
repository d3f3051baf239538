//! An object that is sent in parts.

use std::{sync::Arc, time::Duration};

use notifier_core::{Delivery, Error, ErrorKind, Result};
use notifier_http::Method;
use tokio::runtime::Handle;

use crate::{
    budget::MAX_PARTS,
    call::{COMPLETED, Call, Payload},
    store::Store,
    xml,
};

/// How long taking parts back may take.
const ABORT: Duration = Duration::from_secs(20);

/// The longest id of an upload or of a part.
const MAX_ID: usize = 1024;

/// An upload that is under way. Dropped before its end, its parts are taken back.
#[derive(Debug)]
pub(crate) struct Multipart {
    store: Arc<Store>,
    key: String,
    id: String,
    tags: Vec<String>,
    /// Of all parts.
    size: u64,
    is_open: bool,
}

impl Multipart {
    pub(crate) async fn start(
        store: &Arc<Store>,
        key: &str,
        content_type: &'static str,
        headers: &[(&'static str, String)],
    ) -> Result<Self> {
        let call = Call {
            method: Method::POST,
            key,
            query: &[("uploads", None)],
            content_type: Some(content_type),
            headers,
            payload: Some(Payload::new(bytes::Bytes::new(), store.digest())),
            element: Some("InitiateMultipartUploadResult"),
        };
        let answer = store.send(&call).await?;
        let id = xml::text(&answer.text(), "UploadId")
            .filter(|id| !id.is_empty() && id.len() <= MAX_ID)
            .ok_or_else(|| odd(&answer, "no id of the upload"))?;
        Ok(Self {
            store: Arc::clone(store),
            key: key.to_owned(),
            id,
            tags: Vec::new(),
            size: 0,
            is_open: true,
        })
    }

    pub(crate) async fn part(&mut self, payload: Payload) -> Result<()> {
        let number = self.tags.len() + 1;
        if number as u64 > MAX_PARTS {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the log grew beyond {MAX_PARTS} parts: set max_size"),
            ));
        }
        let number = number.to_string();
        let size = payload.bytes.len() as u64;
        let call = Call {
            method: Method::PUT,
            key: &self.key,
            query: &[("partNumber", Some(&number)), ("uploadId", Some(&self.id))],
            content_type: Some("application/octet-stream"),
            headers: &[],
            payload: Some(payload),
            element: None,
        };
        let answer = self.store.send(&call).await?;
        let tag = answer
            .header("etag")
            .filter(|t| !t.is_empty() && t.len() <= MAX_ID)
            .ok_or_else(|| odd(&answer, "no tag of the part"))?;
        self.tags.push(tag.to_owned());
        self.size += size;
        Ok(())
    }

    pub(crate) async fn complete(mut self) -> Result<()> {
        let mut list = String::from(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        for (n, tag) in self.tags.iter().enumerate() {
            list.push_str(&format!(
                "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>",
                n + 1,
                xml::escape(tag)
            ));
        }
        list.push_str("</CompleteMultipartUpload>");
        let call = Call {
            method: Method::POST,
            key: &self.key,
            query: &[("uploadId", Some(&self.id))],
            content_type: Some("application/xml"),
            headers: &[],
            payload: Some(Payload::new(list.into(), self.store.digest())),
            element: Some(COMPLETED),
        };
        if let Err(e) = self.store.send(&call).await {
            // It may be done although nobody says so: then the object is there.
            let size = match e.delivery() {
                Delivery::Unknown => self.store.size(&self.key).await,
                _ => None,
            };
            if size != Some(self.size) {
                return Err(e);
            }
        }
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        // Without a runtime there is nobody left to ask.
        let (true, Ok(runtime)) = (self.is_open, Handle::try_current()) else {
            return;
        };
        let store = Arc::clone(&self.store);
        let (key, id) = (std::mem::take(&mut self.key), std::mem::take(&mut self.id));
        runtime.spawn(async move {
            let query = [("uploadId", Some(id.as_str()))];
            let call = Call {
                method: Method::DELETE,
                key: &key,
                query: &query,
                content_type: None,
                headers: &[],
                payload: None,
                element: None,
            };
            let outcome = tokio::time::timeout(ABORT, store.send(&call)).await;
            let why = match outcome {
                Ok(Ok(_)) => return,
                Ok(Err(e)) if e.code() == Some("NoSuchUpload") => return,
                Ok(Err(e)) => e.report().to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::warn!(
                uploader = store.scheme,
                why,
                "parts of a log that was not stored are left in the bucket"
            );
        });
    }
}

fn odd(answer: &notifier_http::Answer, what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidResponse,
        format!("{} answered {} with {what}", answer.who(), answer.status()),
    )
}
