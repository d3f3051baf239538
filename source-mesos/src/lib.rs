#![doc = include_str!("../README.md")]

mod body;
mod error;
mod identity;
mod leader;
mod locator;
mod options;
mod recall;
mod sandbox;
mod source;
mod state;

pub use crate::{
    locator::MesosLogLocator,
    options::{Backlog, DEFAULT_STATES, MesosBuilder, OPTIONS},
    source::MesosSource,
};

#[cfg(test)]
mod recorded;
