//! The whole way: a unit fails on a real systemd, the shipped units and the built binary run there, and a Slack
//! outside of it is told.

mod alone;
mod repeated;
mod scene;
mod together;
mod trouble;
