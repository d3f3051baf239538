#![doc = include_str!("../README.md")]

pub mod conformance;
#[cfg(feature = "hipchat")]
pub mod hipchat;
pub mod http;
#[cfg(feature = "jira")]
pub mod jira;
#[cfg(feature = "mesos")]
pub mod mesos;
pub mod peer;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sentry")]
pub mod sentry;
#[cfg(feature = "slack")]
pub mod slack;
