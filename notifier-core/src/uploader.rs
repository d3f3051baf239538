//! Where logs are kept: the [`Uploader`] trait and the one that keeps them where they are.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{BackendSettings, FailureRecord, LogPart, LogStream, OpenLog, OptionGroup, Result};

/// Where an uploader put a log: its own note, stored once per failure. Never a
/// signed link, which would die and is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectRef(pub serde_json::Value);

/// Opens a log for reading, when and if an uploader wants its bytes.
#[async_trait]
pub trait LogContent: Send + Sync {
    /// The log's bytes, in pieces. May be called again: for the end of a log that
    /// turned out too long, or after a fault on the way to the store.
    ///
    /// # Errors
    /// If the log cannot be read at its source.
    async fn open(&self, part: LogPart) -> Result<OpenLog>;
}

/// Stores logs and makes links to them.
///
/// `upload` is called at most once at a time for one log, may be called again
/// after a crash, and must then lead to the same object or to a second one, never
/// to a broken one. It streams: a log may be larger than memory. `link` is called
/// each time a report is rendered, so that a report sent days later carries a
/// live link.
#[async_trait]
pub trait Uploader: fmt::Debug + Send + Sync + 'static {
    /// The uploader's name, as in `-uploader=noop`.
    fn scheme(&self) -> &'static str;

    /// Stores one log.
    ///
    /// # Errors
    /// The report then goes out with the log's own address and the error's text.
    async fn upload(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
        content: &dyn LogContent,
    ) -> Result<ObjectRef>;

    /// A link to a stored log that works now.
    ///
    /// # Errors
    /// If the reference is not one of this uploader's, or cannot be signed.
    async fn link(&self, object: &ObjectRef) -> Result<String>;

    /// A cheap probe of the settings that stores nothing.
    ///
    /// # Errors
    /// What is wrong with them.
    async fn check(&self) -> Result<()>;
}

macro_rules! forward_uploader {
    ($($t:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<T: Uploader + ?Sized> Uploader for $t {
            fn scheme(&self) -> &'static str { (**self).scheme() }
            async fn upload(&self, failure: &FailureRecord, log: &LogStream, content: &dyn LogContent) -> Result<ObjectRef> {
                (**self).upload(failure, log, content).await
            }
            async fn link(&self, object: &ObjectRef) -> Result<String> { (**self).link(object).await }
            async fn check(&self) -> Result<()> { (**self).check().await }
        }
    )*};
}
forward_uploader!(Arc<T>, Box<T>);

/// Makes an uploader out of settings: what a binary registers for each backend.
pub trait UploaderFactory: fmt::Debug + Send + Sync + 'static {
    /// The options, under the uploader's name.
    fn options(&self) -> OptionGroup;

    /// Builds the uploader. Everything that can be found wrong without the network is found here.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) or [`ErrorKind::Template`](crate::ErrorKind::Template)
    /// with one line that names the option.
    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Uploader>>;
}

/// Keeps logs where they are: links lead to the source's own addresses. `-uploader=noop`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopUploader;

#[async_trait]
impl Uploader for NoopUploader {
    fn scheme(&self) -> &'static str {
        "noop"
    }

    async fn upload(
        &self,
        _failure: &FailureRecord,
        log: &LogStream,
        _content: &dyn LogContent,
    ) -> Result<ObjectRef> {
        Ok(ObjectRef(serde_json::Value::from(log.url.as_str())))
    }

    async fn link(&self, object: &ObjectRef) -> Result<String> {
        match &object.0 {
            serde_json::Value::String(url) => Ok(url.clone()),
            _ => Err(crate::Error::internal(
                "the reference is not one of the uploader noop",
            )),
        }
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
