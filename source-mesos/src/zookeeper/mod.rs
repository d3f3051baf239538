//! Masters found where they register themselves: in ZooKeeper.

#![cfg_attr(
    not(test),
    expect(dead_code, reason = "the source does not use it yet")
)]

mod detector;
mod ensemble;
mod registration;
#[cfg(test)]
mod server;

#[cfg_attr(
    not(test),
    expect(unused_imports, reason = "the source does not use it yet")
)]
pub(crate) use self::{detector::Detector, ensemble::Ensemble};
