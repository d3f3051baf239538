//! The source against a real systemd.

mod choice;
mod common;
mod flaps;
mod kinds;
mod restarts;
