#![doc = include_str!("../README.md")]

pub mod conformance;
pub mod http;
#[cfg(feature = "hipchat")]
pub mod hipchat;
#[cfg(feature = "jira")]
pub mod jira;
#[cfg(feature = "mesos")]
pub mod mesos;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sentry")]
pub mod sentry;
#[cfg(feature = "slack")]
pub mod slack;
