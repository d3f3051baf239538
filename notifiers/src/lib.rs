#![doc = include_str!("../README.md")]

pub use notifier_core as core;
#[doc(inline)]
pub use notifier_core::*;

#[cfg(feature = "file")]
#[doc(inline)]
pub use notifier_file as file;
#[cfg(feature = "hipchat")]
#[doc(inline)]
pub use notifier_hipchat as hipchat;
#[cfg(feature = "http")]
#[doc(inline)]
pub use notifier_http as http;
#[cfg(feature = "jira")]
#[doc(inline)]
pub use notifier_jira as jira;
#[cfg(feature = "sentry")]
#[doc(inline)]
pub use notifier_sentry as sentry;
#[cfg(feature = "slack")]
#[doc(inline)]
pub use notifier_slack as slack;
#[cfg(feature = "smtp")]
#[doc(inline)]
pub use notifier_smtp as smtp;
#[cfg(feature = "sns")]
#[doc(inline)]
pub use notifier_sns as sns;
#[cfg(feature = "template")]
#[doc(inline)]
pub use notifier_template as template;
#[cfg(feature = "webhook")]
#[doc(inline)]
pub use notifier_webhook as webhook;
#[cfg(feature = "sqlite")]
#[doc(inline)]
pub use outbox_sqlite as sqlite;
#[cfg(feature = "chronos")]
#[doc(inline)]
pub use source_chronos as chronos;
#[cfg(feature = "fleet")]
#[doc(inline)]
pub use source_fleet as fleet;
#[cfg(feature = "mesos")]
#[doc(inline)]
pub use source_mesos as mesos;
#[cfg(feature = "sns-source")]
#[doc(inline)]
pub use source_sns as sns_source;
#[cfg(feature = "systemd")]
#[doc(inline)]
pub use source_systemd as systemd;
#[cfg(feature = "s3")]
#[doc(inline)]
pub use uploader_s3 as s3;
