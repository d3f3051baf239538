//! What is said of real Postfix servers, healthy and broken. With `--nocapture` a table is
//! printed: instance and check.

mod certificates;
mod faults;
mod healthy;
mod rig;
