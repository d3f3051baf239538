use super::*;
use crate::job::Job;

fn watch(cursor: Option<Value>) -> Watch {
    let source = ChronosSource::builder(["http://chronos.example:4400"]).build();
    let mut watch = Watch::new(source.unwrap(), cursor);
    watch.has_inner = true;
    watch
}

fn failed(n: usize) -> Batch {
    let id = format!("ct:{n}:0:a:");
    let finished = notifier_core::jiff::Timestamp::UNIX_EPOCH;
    let mut f = FailureRecord::new(&id, "ChronosTask:a", "TASK_FAILED", finished);
    f.key = FailureKey::new(id);
    Batch::new(vec![f])
}

#[tokio::test(start_paused = true)]
async fn of_an_unknown_job_nothing_is_told_for_a_while() {
    let mut w = watch(None);
    let settle = w.config.settle;
    w.take(failed(0));
    w.judge();
    let second = Duration::from_secs(1);
    tokio::time::advance(settle + UNKNOWN - second).await;
    w.judge();
    assert_eq!((w.waiting.len(), w.outgoing.all().count()), (1, 0));
    // Until then it sleeps.
    assert_eq!(w.wake().min(w.waiting[0].latest), w.next_list);
    w.next_list += settle + UNKNOWN;
    assert_eq!(w.wake(), w.waiting[0].latest);
    tokio::time::advance(second).await;
    w.judge();
    assert_eq!((w.waiting.len(), w.outgoing.all().count()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_waited_before_a_restart_counts() {
    let mut w = watch(None);
    w.take(failed(0));
    let mut cursor = w.cursor(None).unwrap();
    let ago = i64::try_from((UNKNOWN + w.config.settle).as_millis()).unwrap();
    cursor["heard"][0] = (w.waiting[0].heard - ago).into();
    let mut w = watch(Some(cursor));
    // Chronos is given the time to answer all the same.
    w.judge();
    assert_eq!(w.waiting.len(), 1);
    tokio::time::advance(w.config.settle).await;
    w.judge();
    assert_eq!((w.waiting.len(), w.outgoing.all().count()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_chronos_that_has_only_begun_knows_no_jobs() {
    let mut w = watch(None);
    w.take(failed(0));
    let list = |w: &mut Watch| w.read(Ok((Instant::now(), Ok(List::default()))));
    list(&mut w);
    assert_eq!(w.waiting.len(), 1);
    assert_eq!(w.wake(), w.next_list.min(w.waiting[0].deadline));
    tokio::time::advance(w.config.settle).await;
    list(&mut w);
    assert_eq!((w.waiting.len(), w.outgoing.all().count()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_the_longest_make_room() {
    let mut w = watch(None);
    for n in 0..MOST_WAITING + 20 {
        w.take(failed(n));
        w.judge();
    }
    assert_eq!(
        (w.waiting.len(), w.outgoing.all().count()),
        (MOST_WAITING, 20)
    );
}

#[tokio::test(start_paused = true)]
async fn trouble_goes_with_batches_and_alone_only_when_it_is_new() {
    let mut w = watch(None);
    w.next_list += Duration::from_secs(1);
    let down = || Error::new(ErrorKind::Unavailable, "down");
    let now = Instant::now();
    w.read(Ok((now, Err(down()))));
    assert!(w.next().await.is_err());
    w.read(Ok((now, Err(down()))));
    assert!(!w.is_trouble_new);
    // The inner source's own goes through.
    w.take(Batch::default().with_trouble(Error::internal("half")));
    let trouble = w.next().await.unwrap().trouble.unwrap().to_string();
    assert!(
        trouble.contains("down") && trouble.contains("half"),
        "{trouble}"
    );
    w.take(Batch::default());
    w.read(Ok((now, Ok(List::default()))));
    assert!(w.next().await.unwrap().trouble.is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_looked_at_over_and_over() {
    let mut w = watch(None);
    let settle = w.config.settle;
    let list = |w: &mut Watch, errors: u64| {
        let job = Job {
            name: "a".to_owned(),
            errors,
            errors_in_a_row: errors,
            last_error: "1970-01-01T00:00:00.000Z".to_owned(),
            ..Job::default()
        };
        let jobs = HashMap::from([("a".to_owned(), job)]);
        w.read(Ok((Instant::now(), Ok(List { jobs, skipped: 0 }))));
    };
    list(&mut w, 0);
    list(&mut w, 1);
    assert_eq!(w.owed.len(), 1);
    let second = Duration::from_secs(1);
    tokio::time::advance(settle - second).await;
    // One of two is counted, the other waits.
    w.take(failed(0));
    w.take(failed(1));
    w.judge();
    assert_eq!((w.waiting.len(), w.outgoing.all().count()), (1, 1));
    tokio::time::advance(2 * second).await;
    w.judge();
    w.next_list = Instant::now() + settle;
    assert_eq!(w.waiting.len(), 1);
    assert_eq!(w.wake(), w.waiting[0].deadline);
    assert!(w.wake() > Instant::now());
}

#[test]
fn who_cannot_see_attempts_says_so() {
    for notify in [Notify::Every, Notify::After(2)] {
        assert!(blind_spot(notify, false).is_some_and(|w| w.contains("-masters")));
        assert_eq!(blind_spot(notify, true), None);
    }
    assert_eq!(blind_spot(Notify::Final, false), None);
}
