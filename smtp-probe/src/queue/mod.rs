//! What waits in the queue, for how long and why.

use notifier_core::Clock;

use crate::{past::Past, report::Check, target::Target};

/// Looks at the queue and at what it needs.
pub(crate) async fn run(target: &Target, clock: &dyn Clock, past: &mut Past) -> Vec<Check> {
    let _ = (target, clock.now(), past);
    Vec::new()
}
