use notifiers::{Attempt, FailureRecord, NewReport, memory::MemoryOutbox};
use serde_json::json;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn to() -> Destination {
    Destination::new("memory", ["x"], "x")
}

fn failure() -> FailureRecord {
    FailureRecord::new("m-1", "web", "NOTIFICATION", at(0))
}

/// An invocation with the failure taken in for two reporters.
async fn invocation(learned: &Learned) -> WarmOutbox {
    let outbox = WarmOutbox::new(Arc::new(MemoryOutbox::new()), learned.clone());
    let of = |reporter: &str| {
        let id = DeliveryId::derive("w", &failure().key, reporter, "default", 0);
        NewDelivery::new(id, reporter, "default", to())
    };
    let report = NewReport::failure(failure(), vec![of("a"), of("b")]);
    outbox
        .enqueue(EnqueueBatch::new("s", at(0)).with(report))
        .await
        .unwrap();
    for lease in outbox
        .lease_logs(LeaseRequest::new(9, at(0), at(9)))
        .await
        .unwrap()
    {
        outbox.settle_logs(&lease, Logs::default()).await.unwrap();
    }
    outbox
}

async fn lease(outbox: &WarmOutbox) -> Vec<Lease> {
    let request = LeaseRequest::new(9, at(0), Timestamp::MAX);
    outbox.lease(&to(), request).await.unwrap()
}

fn settlement(verdict: Verdict, outcome: Outcome) -> Settlement {
    Settlement::new(verdict, Attempt::new(at(1), outcome))
}

#[tokio::test]
async fn what_arrived_is_left_out_the_next_time() {
    let learned = Learned::default();
    let first = invocation(&learned).await;
    let leases = lease(&first).await;
    assert_eq!(leases.len(), 2);
    first
        .settle(&leases[0], settlement(Verdict::Done, Outcome::Delivered))
        .await
        .unwrap();
    first
        .settle(&leases[1], settlement(Verdict::Dead, Outcome::Dead))
        .await
        .unwrap();
    assert_eq!(
        (
            first.count(&failure().key),
            first.owed(&failure().key).len()
        ),
        (2, 1)
    );

    let second = invocation(&learned).await;
    let again = lease(&second).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].delivery.id, leases[1].delivery.id, "the same id");
    assert_eq!((again[0].attempts, again[0].unknown), (1, false));
    second
        .settle(&again[0], settlement(Verdict::Done, Outcome::Delivered))
        .await
        .unwrap();
    assert!(second.owed(&failure().key).is_empty());
    assert!(lease(&invocation(&learned).await).await.is_empty());
}

#[tokio::test]
async fn what_may_have_arrived_goes_on_from_there() {
    let learned = Learned::default();
    let first = invocation(&learned).await;
    let leases = lease(&first).await;
    first
        .save_progress(&leases[0], json!({"issue": 7}))
        .await
        .unwrap();
    let unknown = settlement(Verdict::RetryAt(at(9)), Outcome::Unknown);
    first.settle(&leases[0], unknown).await.unwrap();
    // The other one is cut by the invocation's end.
    first.close();
    let again = lease(&invocation(&learned).await).await;
    assert!(
        again.iter().all(|l| l.unknown && l.attempts == 1),
        "{again:?}"
    );
    let of = |id: &DeliveryId| again.iter().find(|l| l.delivery.id == *id).unwrap();
    assert_eq!(
        of(&leases[0].delivery.id).progress,
        Some(json!({"issue": 7}))
    );
    assert_eq!(of(&leases[1].delivery.id).progress, None);
}

#[tokio::test]
async fn what_was_given_back_was_never_tried() {
    let learned = Learned::default();
    let first = invocation(&learned).await;
    for l in lease(&first).await {
        first.release(&l).await.unwrap();
    }
    first.close();
    assert!(
        lease(&invocation(&learned).await)
            .await
            .iter()
            .all(|l| !l.unknown)
    );
}

#[test]
fn the_oldest_is_forgotten() {
    let learned = Learned::default();
    let id = |n: usize| DeliveryId::new(n.to_string());
    for n in 0..=MOST {
        learned.change(&id(n), |m| m.told = true);
    }
    learned.change(&id(MOST), |m| m.attempts = 2);
    assert!(!learned.is_told(&id(0)) && learned.is_told(&id(1)) && learned.is_told(&id(MOST)));
    let marks = lock(&learned.0);
    assert_eq!((marks.of.len(), marks.order.len()), (MOST, MOST));
}
