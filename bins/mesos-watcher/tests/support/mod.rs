//! Runs the built watcher.

pub(crate) use notifier_testkit::program::Program as Watcher;

/// The watcher with these arguments and this environment, and nothing else of ours.
pub(crate) fn start(args: &[String], env: &[(&str, &str)]) -> Watcher {
    Watcher::start(env!("CARGO_BIN_EXE_mesos-watcher"), args, env)
}
