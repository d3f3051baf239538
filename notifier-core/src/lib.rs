#![doc = include_str!("../README.md")]

mod clock;
mod document;
pub mod engine;
mod error;
mod failure;
mod filter;
mod labels;
mod log;
pub mod memory;
mod message;
mod options;
mod outbox;
pub mod policy;
pub mod redact;
mod report;
mod reporter;
mod setup;
mod silence;
mod source;
mod uploader;

pub use bytes;
pub use jiff;

pub use crate::{
    clock::{Clock, ManualClock, SystemClock, TokioClock},
    document::{Document, DocumentSubject},
    engine::Engine,
    error::{Chain, Delivery, Error, ErrorKind, Result, Retry, Scope},
    failure::{Failure, FailureKey, FailureRecord},
    filter::FrameworkFilter,
    labels::{DEFAULT_INSTANCE, DEFAULT_NAME, DEFAULT_PREFIX, LabelGrammar, LabelScope},
    log::{
        ByteStream, LogLocator, LogPart, LogReader, LogStream, LogTail, Logs, OpenLog, StoredLog,
    },
    message::{Markup, MessageTemplates, Rendered, render_once},
    options::{
        BackendSettings, OptionGroup, OptionKind, OptionSpec, Origin, Settings, parse_bool,
        parse_duration, parse_size,
    },
    outbox::{
        Attempt, DeliveryFilter, DeliveryState, DeliveryView, DestinationState, EnqueueBatch,
        Enqueued, FoldRequest, Folded, Grouping, Lease, LeaseRequest, LogLease, NewDelivery,
        NewReport, Outbox, OutboxStats, Outcome, Settlement, Story, Verdict,
    },
    redact::Secret,
    report::{
        Checkpoint, Concern, DeliveryId, Digest, Links, Notice, Report, ReportOptions, Subject,
    },
    reporter::{
        Capability, Delivered, Destination, Next, Receipt, Reconciled, Reporter, ReporterExt,
        ReporterFactory, TargetReceipt,
    },
    setup::SettingsBuilder,
    silence::{Matcher, Silence},
    source::{Ack, Backlog, Batch, Source},
    uploader::{LogContent, NoopUploader, ObjectRef, Uploader, UploaderFactory},
};

/// Locks, also after a panic elsewhere: the data behind our locks is whole between statements.
pub(crate) fn lock<T: ?Sized>(m: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
