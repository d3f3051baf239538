//! Tells others that a destination is dead, that it works again, and that the outbox fills up.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Shared, health::News};
use crate::{Concern, DeliveryId, Destination, NewReport, Notice, Subject};

/// What is told of a destination, and to whom: another that is well, if there is one.
pub(super) fn about(
    shared: &Shared,
    destination: &Destination,
    news: News,
    why: &str,
) -> Option<NewReport> {
    let subject = match news {
        News::Dead(since) => {
            let text = if why.is_empty() {
                "it does not take them".to_owned()
            } else {
                why.to_owned()
            };
            Subject::Notice(Arc::new(Notice::new(destination.as_str(), text, since)))
        }
        News::Works(since) => {
            let text = "what was given up meanwhile, if anything, can be replayed: notifierctl outbox list --state dead";
            Subject::Recovery(Arc::new(Notice::new(destination.as_str(), text, since)))
        }
    };
    let report = addressed(shared, subject, Some(destination));
    match (&report, news) {
        (None, News::Dead(_)) => {
            tracing::error!(%destination, why, "nothing arrives there, and there is no other destination to tell");
        }
        (Some(r), News::Dead(_)) => {
            let told = r.deliveries.first().map(|d| d.destination.as_str());
            tracing::error!(%destination, why, told, "nothing arrives there");
        }
        (_, News::Works(_)) => tracing::info!(%destination, "messages arrive there again"),
    }
    report
}

/// What is told of the outbox: that it fills up, or that it has room again.
pub(super) fn about_outbox(
    shared: &Shared,
    is_recovery: bool,
    text: String,
    since: Timestamp,
) -> Option<NewReport> {
    let mut notice = Notice::new(shared.router.name(), text, since);
    notice.concern = Concern::Outbox;
    let notice = Arc::new(notice);
    let subject = if is_recovery {
        Subject::Recovery(notice)
    } else {
        Subject::Notice(notice)
    };
    addressed(shared, subject, None)
}

fn addressed(shared: &Shared, subject: Subject, dead: Option<&Destination>) -> Option<NewReport> {
    let mut others = shared.router.others(dead);
    let well = others
        .iter()
        .position(|d| shared.health.is_well(&d.destination));
    if others.is_empty() {
        return None;
    }
    let mut delivery = others.swap_remove(well.unwrap_or(0));
    delivery.id = DeliveryId::derive(
        shared.router.name(),
        &subject.key(),
        &delivery.reporter,
        &delivery.instance,
        0,
    );
    let delivery = delivery.because("a notice goes to another destination that is configured");
    shared.counters.notices(1);
    Some(NewReport::new(subject, vec![delivery]))
}
