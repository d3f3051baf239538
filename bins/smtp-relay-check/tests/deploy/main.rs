//! The files under `deploy/` for mail relays: each is checked by its own tool, and what they start
//! is started as they say, on a machine of its own where that is possible.

mod chart;
mod commands;
mod files;
mod image;
mod machine;
mod prometheus;
mod role;
mod support;
mod swarm;
