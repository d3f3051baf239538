//! The reporter against the fake relay of `notifier-testkit`.

mod check;
mod fallback;
mod login;
mod pool;
mod recipients;
mod rig;
mod settings;
mod size;
