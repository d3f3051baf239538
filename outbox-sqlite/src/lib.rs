#![doc = include_str!("../README.md")]

mod check;
mod chores;
mod claim;
mod connection;
mod damage;
mod enqueue;
mod error;
mod files;
mod group;
mod lease;
mod lock;
mod log;
mod options;
mod outbox;
mod reader;
mod repair;
mod replay;
mod row;
mod schema;
mod seal;
mod settle;
mod shared;
mod vacuum;
mod view;
mod work;
mod writer;

pub use crate::{
    check::{Checked, check},
    options::SqliteOptions,
    outbox::SqliteOutbox,
    repair::{Repaired, Salvaged, repair},
    vacuum::Vacuumed,
};
