//! A review of Postfix' configuration.

use crate::{report::Check, target::Target};

/// Reviews the file that the target names.
pub(crate) async fn run(target: &Target) -> Vec<Check> {
    let _ = target;
    Vec::new()
}
