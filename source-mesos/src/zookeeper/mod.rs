//! Masters found where they register themselves: in ZooKeeper.

mod detector;
mod ensemble;
mod registration;
#[cfg(test)]
mod server;

pub(crate) use self::{detector::Detector, ensemble::Ensemble};
