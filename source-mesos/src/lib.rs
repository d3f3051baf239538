#![doc = include_str!("../README.md")]

mod addresses;
mod body;
mod credentials;
mod error;
mod exit;
mod identity;
#[cfg(feature = "unstable-internals")]
#[doc(hidden)]
pub mod internals;
mod inventory;
mod json;
mod ledger;
mod locator;
mod look;
mod masters;
mod options;
mod recall;
mod recordio;
mod registry;
mod sandbox;
mod source;
mod state;
mod subscription;
mod wanted;
mod watch;
#[cfg(feature = "zookeeper")]
mod zookeeper;

pub use notifier_core::Backlog;

pub use crate::{
    locator::MesosLogLocator,
    options::{Api, DEFAULT_STATES, MesosBuilder, OPTIONS},
    source::MesosSource,
};

#[cfg(test)]
mod recorded;
