#![doc = include_str!("../README.md")]

mod canary;
pub mod change;
mod connection;
mod dns;
pub mod format;
mod main_cf;
mod open_relay;
mod past;
mod prober;
mod queue;
mod report;
mod secrets;
mod session;
mod target;
mod tls;

pub use smtp_wire::{Password, place};

pub use crate::{
    past::{Depth, Past, Sent},
    prober::Prober,
    report::{Check, Class, Measure, Phase, Report, State},
    target::{
        Battery, Bounds, Canary, Dns, Expect, Imap, Level, Limits, Login, Queue, Target,
        Thresholds, Tls,
    },
};
