use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;

use crate::{
    Error, FailureRecord, LogContent, LogPart, LogStream, ObjectRef, Result, Uploader, lock,
};

/// An uploader that keeps logs in memory, at most [`MemoryUploader::LIMIT`] bytes of each.
#[derive(Debug, Default)]
pub struct MemoryUploader {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryUploader {
    /// The most that is kept of one log, in bytes: 1 MiB.
    pub const LIMIT: usize = 1 << 20;

    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is kept, by name: the failure's key, a slash, the log's name.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.objects).clone()
    }
}

#[async_trait]
impl Uploader for MemoryUploader {
    fn scheme(&self) -> &'static str {
        "memory"
    }

    async fn upload(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
        content: &dyn LogContent,
    ) -> Result<ObjectRef> {
        let mut bytes = Vec::new();
        let mut body = content.open(LogPart::Whole).await?.bytes;
        while let Some(piece) = body.next().await {
            let piece = piece?;
            let room = Self::LIMIT - bytes.len();
            bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        let name = format!("{}/{}", failure.key, log.name);
        lock(&self.objects).insert(name.clone(), bytes);
        Ok(ObjectRef(name.into()))
    }

    async fn link(&self, object: &ObjectRef) -> Result<String> {
        match object.0.as_str() {
            Some(name) if lock(&self.objects).contains_key(name) => Ok(format!("memory:{name}")),
            _ => Err(Error::internal("no such object in memory")),
        }
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
