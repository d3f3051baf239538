#![doc = include_str!("../README.md")]

pub mod conformance;
pub mod http;
#[cfg(feature = "mesos")]
pub mod mesos;
#[cfg(feature = "slack")]
pub mod slack;
