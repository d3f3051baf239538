//! The uploader itself.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use notifier_core::{
    Error, ErrorKind, FailureRecord, LogContent, LogStream, MessageTemplates, ObjectRef, Report,
    Result, Settings, Uploader, redact::Redactor,
};
use notifier_http::Method;
use serde::{Deserialize, Serialize};

use crate::{
    body::{Body, Part},
    budget::{Budget, MAX_PART, MAX_PARTS, Room, SMALL, part_size},
    call::{Call, Payload},
    key,
    multipart::Multipart,
    store::Store,
};

/// What logs are.
const CONTENT_TYPE: &str = "text/plain";

/// Stores logs in one bucket.
pub(crate) struct S3Uploader {
    pub(crate) store: Arc<Store>,
    pub(crate) prefix: MessageTemplates,
    pub(crate) settings: Settings,
    /// The time zone of the times in the prefix.
    pub(crate) zone: TimeZone,
    /// How long links work.
    pub(crate) life: Duration,
    /// The most bytes that are kept of a log.
    pub(crate) most: u64,
    pub(crate) compress: bool,
    /// What goes with each object: who may read it, how it is kept.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) budget: Budget,
}

/// The note that is kept of an object.
#[derive(Debug, Deserialize, Serialize)]
struct Note {
    uploader: String,
    bucket: String,
    key: String,
}

impl S3Uploader {
    fn key(&self, failure: &FailureRecord, log: &str) -> Result<String> {
        // A key stands in the outbox and in links: what messages mask is masked there too.
        let secrets = Redactor::new(failure.secret_labels());
        let report = Report::failure(failure.clone())
            .with_redactors(secrets, Redactor::default())
            .with_zone(self.zone.clone());
        let rendered = self.prefix.render(&self.settings, &report);
        match rendered.fault {
            Some(fault) => Err(fault),
            None => key::of(&rendered.text, log),
        }
    }

    async fn put(&self, key: &str, payload: Payload) -> Result<()> {
        let call = Call {
            method: Method::PUT,
            key,
            query: &[],
            content_type: Some(CONTENT_TYPE),
            headers: &self.headers,
            payload: Some(payload),
            element: None,
        };
        self.store.send(&call).await.map(drop)
    }

    async fn store(&self, key: &str, content: &dyn LogContent) -> Result<()> {
        // Even all of a log is no more than fits into as many parts as there may be.
        let most = self.most.min(MAX_PART * (MAX_PARTS - 1));
        self.store.answers()?;
        // Agents keep nobody waiting but themselves: room is for who has something to read.
        let mut body = Body::open(content, most).await?;
        let _active = self.budget.enter().await?;
        self.store.answers()?;
        if self.compress {
            body.compress();
        }
        let mut part = Part::new(self.store.digest());
        if part.fill(&mut body, SMALL).await? {
            return self.put(key, part.into_payload()).await;
        }
        let size = part_size(body.expected());
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        let mut room = self.room(size).await?;
        part = part.moved_to(room.buffer());
        let mut is_end = part.fill(&mut body, most).await?;
        if is_end {
            let payload = part.into_payload();
            let stored = self.put(key, payload.clone()).await;
            room.give_back(payload.bytes);
            return stored;
        }
        let mut parts = Multipart::start(&self.store, key, CONTENT_TYPE, &self.headers).await?;
        loop {
            let payload = part.into_payload();
            parts.part(payload.clone()).await?;
            // Others take their turn.
            room.give_back(payload.bytes);
            if is_end || !body.wait().await? {
                break;
            }
            room = self.room(size).await?;
            part = Part::new(self.store.digest()).moved_to(room.buffer());
            is_end = part.fill(&mut body, most).await?;
        }
        parts.complete().await
    }

    /// Room for a part, unless the store fell silent meanwhile.
    async fn room(&self, size: u64) -> Result<Room> {
        let room = self.budget.large(size).await?;
        self.store.answers()?;
        Ok(room)
    }
}

/// Of the settings only what is no part of a key is shown.
impl fmt::Debug for S3Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Uploader")
            .field("store", &self.store)
            .field("life", &self.life)
            .field("most", &self.most)
            .field("compress", &self.compress)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Uploader for S3Uploader {
    fn scheme(&self) -> &'static str {
        self.store.scheme
    }

    async fn upload(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
        content: &dyn LogContent,
    ) -> Result<ObjectRef> {
        let key = self.key(failure, &log.name)?;
        self.store(&key, content).await?;
        let note = Note {
            uploader: self.store.scheme.to_owned(),
            bucket: self.store.bucket.clone(),
            key,
        };
        let note = serde_json::to_value(note)
            .map_err(|e| Error::internal("the object's note is no JSON").with_source(e))?;
        Ok(ObjectRef(note))
    }

    async fn link(&self, object: &ObjectRef) -> Result<String> {
        let foreign = || {
            Error::new(
                ErrorKind::Rejected,
                format!(
                    "the log was stored by another uploader than {}",
                    self.store.scheme
                ),
            )
        };
        let note = Note::deserialize(&object.0).map_err(|_| foreign())?;
        if note.uploader != self.store.scheme {
            return Err(foreign());
        }
        self.store.link(&note.bucket, &note.key, self.life).await
    }

    async fn check(&self) -> Result<()> {
        self.store.check().await
    }
}
