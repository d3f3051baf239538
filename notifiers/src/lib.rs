#![doc = include_str!("../README.md")]

pub use notifier_core as core;
#[doc(inline)]
pub use notifier_core::*;

#[cfg(feature = "file")]
#[doc(inline)]
pub use notifier_file as file;
#[cfg(feature = "http")]
#[doc(inline)]
pub use notifier_http as http;
#[cfg(feature = "slack")]
#[doc(inline)]
pub use notifier_slack as slack;
#[cfg(feature = "template")]
#[doc(inline)]
pub use notifier_template as template;
#[cfg(feature = "sqlite")]
#[doc(inline)]
pub use outbox_sqlite as sqlite;
#[cfg(feature = "mesos")]
#[doc(inline)]
pub use source_mesos as mesos;
