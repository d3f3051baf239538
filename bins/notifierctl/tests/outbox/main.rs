//! The commands that look into an outbox, on outboxes made for them.

mod care;
mod change;
mod explain;
mod look;
mod show;
mod silence;
mod support;
