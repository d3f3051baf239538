use std::time::Duration;

use tokio::sync::Notify;

/// Waits until something is so, or the time is over; it is looked at again after each change.
pub(crate) async fn until(changed: &Notify, timeout: Duration, is_so: impl Fn() -> bool) {
    let wait = async {
        loop {
            // Listens before it looks, so that no change falls in between.
            let change = changed.notified();
            tokio::pin!(change);
            change.as_mut().enable();
            if is_so() {
                return;
            }
            change.await;
        }
    };
    let _ = tokio::time::timeout(timeout, wait).await;
}
