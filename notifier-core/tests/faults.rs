//! Faults of everything around the engine, found by review: each was a loss, a double or a leak once.

use async_trait::async_trait;
use notifier_core::{
    engine::{OnUnknown, Timing},
    memory::*,
    redact::*,
    *,
};
mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{clock, failure, start, t0};
use tokio::time::{Instant, sleep};
fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

type F = Box<dyn Fn(&str, usize) -> Act + Send + Sync>;
enum Act {
    Ok,
    Hang,
    Wait(u64),
    Err(Error),
}
struct R {
    told: Mutex<Vec<(String, Duration)>>,
    t: Instant,
    f: F,
    cap: Capability,
    panic_dest: bool,
    text: Mutex<Vec<String>>,
    asked: AtomicUsize,
}
impl std::fmt::Debug for R {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("R")
    }
}
fn r(f: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Arc<R> {
    Arc::new(R {
        told: Mutex::default(),
        t: Instant::now(),
        f: Box::new(f),
        cap: Capability::default(),
        panic_dest: false,
        text: Mutex::default(),
        asked: AtomicUsize::new(0),
    })
}
const G: OptionGroup = OptionGroup::new(
    "memory",
    &[
        OptionSpec::new("channel", "x").default("c").label(),
        OptionSpec::new("url", "u")
            .kind(OptionKind::Url)
            .secret()
            .label(),
        OptionSpec::new("format", "f")
            .kind(OptionKind::Template)
            .default("{{ .failure.Labels }} {{ config \"url\" }}"),
    ],
);
#[async_trait]
impl Reporter for R {
    fn scheme(&self) -> &'static str {
        "memory"
    }
    fn capability(&self) -> Capability {
        self.cap
    }
    fn destination(&self, s: &Settings) -> Result<Option<Destination>> {
        if self.panic_dest && s.text("channel") == "boom" {
            panic!("boom")
        }
        Ok(Some(Destination::new(
            "memory",
            [s.text("channel")],
            s.text("channel"),
        )))
    }
    async fn report(&self, report: &Report, o: &ReportOptions<'_>) -> Result<Receipt> {
        let id = report.subject().failure().unwrap().id.clone();
        let n = {
            let mut t = self.told.lock().unwrap();
            t.push((id.clone(), self.t.elapsed()));
            t.iter().filter(|x| x.0 == id).count()
        };
        let ts =
            MessageTemplates::compile(&BackendSettings::new(G), "format", Markup::Plain).unwrap();
        self.text
            .lock()
            .unwrap()
            .push(ts.render(o.settings, report).text);
        match (self.f)(&id, n) {
            Act::Hang => std::future::pending().await,
            Act::Wait(s) => {
                sleep(secs(s)).await;
                Ok(Receipt::delivered("x"))
            }
            Act::Err(e) => Err(e),
            _ => Ok(Receipt::delivered("x")),
        }
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(Reconciled::NotDelivered)
    }
    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}
fn eng(r: &Arc<R>) -> engine::EngineBuilder {
    Engine::builder("default")
        .reporter_with(BackendSettings::new(G), Arc::clone(r))
        .clock(clock())
}

#[tokio::test(start_paused = true)]
async fn retry_after_zero_is_no_hot_loop() {
    let r = r(|_, n| {
        if n < 5000 {
            Act::Err(Error::new(ErrorKind::RateLimited, "429").with_retry_after(Duration::ZERO))
        } else {
            Act::Ok
        }
    });
    let e = eng(&r).build().unwrap();
    let _run = start(&e);
    e.submit(&failure("a")).await.unwrap();
    sleep(secs(1)).await;
    let n = r.told.lock().unwrap().len();
    assert!(n < 10, "{n} attempts within one (virtual) second");
}
#[tokio::test(start_paused = true)]
async fn a_few_messages_that_hang_do_not_starve_the_rest() {
    let r = r(|id, _| {
        if id.starts_with("bad") {
            Act::Hang
        } else {
            Act::Ok
        }
    });
    let e = eng(&r).build().unwrap();
    let _run = start(&e);
    for i in 0..8 {
        e.submit(&failure(&format!("bad{i}"))).await.unwrap();
    }
    e.submit(&failure("good")).await.unwrap();
    sleep(secs(24 * 3600)).await;
    let t = r.told.lock().unwrap();
    let g = t.iter().find(|x| x.0 == "good");
    assert!(
        g.is_some(),
        "after 24 h, {} attempts, good never tried",
        t.len()
    );
}
#[derive(Debug)]
struct Up {
    link: Option<Duration>,
    panic: bool,
}
#[async_trait]
impl Uploader for Up {
    fn scheme(&self) -> &'static str {
        "up"
    }
    async fn upload(
        &self,
        _: &FailureRecord,
        _: &LogStream,
        _: &dyn LogContent,
    ) -> Result<ObjectRef> {
        Ok(ObjectRef(serde_json::json!(1)))
    }
    async fn link(&self, _: &ObjectRef) -> Result<String> {
        if self.panic {
            panic!("link")
        }
        match self.link {
            None => std::future::pending().await,
            Some(d) => {
                sleep(d).await;
                Ok("http://l".into())
            }
        }
    }
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
fn logged(id: &str) -> FailureRecord {
    let mut f = failure(id);
    f.log_streams = vec![LogStream::new("stdout", "http://a/o")];
    f
}
#[tokio::test(start_paused = true)]
async fn a_link_that_hangs_does_not_lose_the_report() {
    let r = r(|_, _| Act::Ok);
    let e = eng(&r)
        .uploader(Up {
            link: None,
            panic: false,
        })
        .build()
        .unwrap();
    let _run = start(&e);
    e.submit(&logged("a")).await.unwrap();
    sleep(secs(3600)).await;
    e.submit(&failure("nolog")).await.unwrap();
    sleep(secs(80 * 3600)).await;
    assert!(
        r.told.lock().unwrap().len() == 2,
        "told {} after 81 h, dead {}",
        r.told.lock().unwrap().len(),
        e.stats().dead
    );
}
#[tokio::test(start_paused = true)]
async fn a_slow_link_and_a_slow_reporter_do_not_double() {
    let r = r(|_, _| Act::Wait(58));
    let e = eng(&r)
        .uploader(Up {
            link: Some(secs(35)),
            panic: false,
        })
        .build()
        .unwrap();
    let _run = start(&e);
    e.submit(&logged("a")).await.unwrap();
    sleep(secs(3600)).await;
    let n = r.told.lock().unwrap().len();
    assert_eq!(
        n,
        1,
        "told {n} times in an hour, open {:?}",
        e.outbox().stats().await
    );
}
#[tokio::test(start_paused = true)]
async fn a_link_that_panics_does_not_lose_the_report() {
    let r = r(|_, _| Act::Ok);
    let e = eng(&r)
        .uploader(Up {
            link: None,
            panic: true,
        })
        .build()
        .unwrap();
    let _run = start(&e);
    e.submit(&logged("a")).await.unwrap();
    sleep(secs(80 * 3600)).await;
    assert!(
        r.told.lock().unwrap().len() == 1,
        "told 0 after 80 h; attempts {} dead {}",
        e.stats().attempts,
        e.stats().dead
    );
}
#[tokio::test(start_paused = true)]
async fn a_second_run_serves_what_the_first_was_cut_from() {
    let r = r(|_, n| if n == 1 { Act::Hang } else { Act::Ok });
    let e = eng(&r).build().unwrap();
    let run = start(&e);
    e.submit(&failure("a")).await.unwrap();
    sleep(secs(1)).await;
    run.stop().await;
    sleep(secs(5)).await;
    let _run = start(&e);
    sleep(secs(3600)).await;
    assert_eq!(
        e.stats().delivered,
        1,
        "nothing is sent to that destination ever again"
    );
}
#[tokio::test(start_paused = true)]
async fn stopping_does_not_begin_sends_that_it_cuts() {
    let r = r(|_, _| Act::Wait(3));
    let e = eng(&r).build().unwrap();
    let run = start(&e);
    for i in 0..100 {
        e.submit(&failure(&format!("{i}"))).await.unwrap();
    }
    sleep(secs(1)).await;
    let s = run.stop().await;
    let n = r.told.lock().unwrap().len() as u64;
    assert_eq!(
        n, s.delivered,
        "an attempt was started during the drain and cut"
    );
}
#[derive(Debug)]
struct Loc;
#[async_trait]
impl LogLocator for Loc {
    async fn locate(&self, _: &FailureRecord) -> Result<Vec<LogStream>> {
        panic!("locator")
    }
    async fn open(&self, _: &FailureRecord, _: &LogStream, _: LogPart) -> Result<OpenLog> {
        panic!()
    }
}
#[tokio::test(start_paused = true)]
async fn a_locator_that_panics_does_not_lose_the_report() {
    let r = r(|_, _| Act::Ok);
    let e = eng(&r).locator("c", Loc).build().unwrap();
    let _run = start(&e);
    let mut f = failure("a");
    f.source = "c".into();
    e.submit(&f).await.unwrap();
    sleep(secs(100 * 3600)).await;
    assert_eq!(r.told.lock().unwrap().len(), 1, "not told in 100 h");
}
#[tokio::test(start_paused = true)]
async fn a_panic_in_destination_does_not_stop_the_source() {
    let mut rr = Arc::into_inner(r(|_, _| Act::Ok)).unwrap();
    rr.panic_dest = true;
    let r = Arc::new(rr);
    let (s, src) = MemorySource::new("m");
    let e = eng(&r).source(src).build().unwrap();
    let _run = start(&e);
    s.send(failure("x").with_label("complainer_memory_channel", "boom"));
    s.send(failure("y"));
    sleep(secs(60)).await;
    // The label that it panics at counts as not set.
    assert_eq!(r.told.lock().unwrap().len(), 2, "health {:?}", e.health());
}
#[tokio::test]
async fn seen_keys_of_sources_that_list_nothing_are_forgotten() {
    let o = MemoryOutbox::new();
    for d in 0..30 {
        let now = t0().checked_add(secs(d * 48 * 3600)).unwrap();
        o.enqueue(
            EnqueueBatch::new("embedded", now)
                .with(NewReport::failure(failure(&d.to_string()), vec![])),
        )
        .await
        .unwrap();
    }
    assert!(
        o.stats().await.unwrap().seen <= 2,
        "{} keys kept over 58 days",
        o.stats().await.unwrap().seen
    );
}
fn nd(key: &FailureKey, d: &str) -> NewDelivery {
    NewDelivery::new(
        DeliveryId::derive("w", key, "memory", "default", 0),
        "memory",
        "default",
        Destination::new("memory", [d], d),
    )
}
#[tokio::test]
async fn a_seen_key_is_kept_while_its_delivery_is_open() {
    let o = MemoryOutbox::new();
    let f = failure("a");
    let k = f.key.clone();
    let mk =
        |now| EnqueueBatch::new("s", now).with(NewReport::failure(f.clone(), vec![nd(&k, "d")]));
    o.enqueue(mk(t0())).await.unwrap();
    let later = t0().checked_add(secs(25 * 3600)).unwrap();
    let mut b = EnqueueBatch::new("s", later);
    b.listed = Some(vec![]);
    o.enqueue(b).await.unwrap();
    o.enqueue(mk(later)).await.unwrap();
    let v = o.inspect(&DeliveryFilter::default()).await.unwrap();
    assert_eq!(
        v.len(),
        1,
        "two open deliveries of one id: {}",
        v[0].delivery.id == v[1].delivery.id
    );
}
#[tokio::test]
async fn a_batch_larger_than_the_outbox_fits_an_empty_one() {
    let o = MemoryOutbox::with_capacity(2);
    let mut b = EnqueueBatch::new("s", t0());
    for i in 0..3 {
        let f = failure(&i.to_string());
        let k = f.key.clone();
        b = b.with(NewReport::failure(f, vec![nd(&k, "d")]));
    }
    assert!(
        o.enqueue(b).await.is_ok(),
        "refused by an empty outbox, for ever"
    );
}
#[tokio::test(start_paused = true)]
async fn drop_asks_a_service_that_can_be_asked() {
    let mut rr = Arc::into_inner(r(|_, n| {
        if n == 1 {
            Act::Err(Error::new(ErrorKind::Timeout, "t"))
        } else {
            Act::Ok
        }
    }))
    .unwrap();
    rr.cap = Capability::default().with_reconcile(true);
    let r = Arc::new(rr);
    let mut t = Timing::default();
    t.on_unknown = OnUnknown::Drop;
    let e = eng(&r).timing(t).build().unwrap();
    let _run = start(&e);
    e.submit(&failure("a")).await.unwrap();
    sleep(secs(60)).await;
    assert_eq!((r.asked.load(Ordering::SeqCst), e.stats().dead), (1, 0));
}
#[tokio::test]
async fn a_lease_lost_by_a_crash_is_unknown() {
    let o = MemoryOutbox::new();
    let f = failure("a");
    let k = f.key.clone();
    let d = nd(&k, "d");
    o.enqueue(EnqueueBatch::new("s", t0()).with(NewReport::failure(f, vec![d.clone()])))
        .await
        .unwrap();
    let u = t0().checked_add(secs(90)).unwrap();
    let l = o.lease_logs(LeaseRequest::new(1, t0(), u)).await.unwrap();
    o.settle_logs(&l[0], Logs::default()).await.unwrap();
    o.lease(&d.destination, LeaseRequest::new(1, t0(), u))
        .await
        .unwrap();
    o.claim("default", t0()).await.unwrap();
    let l = o
        .lease(&d.destination, LeaseRequest::new(1, t0(), u))
        .await
        .unwrap();
    assert!(
        l[0].unknown,
        "sent perhaps, and nobody is asked; attempts {}",
        l[0].attempts
    );
}
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_doubles_nothing() {
    let c = Arc::new(ManualClock::new(t0()));
    #[derive(Debug)]
    struct C(Arc<ManualClock>);
    impl Clock for C {
        fn now(&self) -> jiff::Timestamp {
            self.0.now()
        }
    }
    let r = r(|id, _| if id == "a" { Act::Wait(3) } else { Act::Ok });
    let e = Engine::builder("default")
        .reporter_with(BackendSettings::new(G), Arc::clone(&r))
        .clock(C(Arc::clone(&c)))
        .build()
        .unwrap();
    let _run = start(&e);
    e.submit(&failure("a")).await.unwrap();
    sleep(secs(1)).await;
    c.advance(secs(120));
    e.submit(&failure("b").with_label("complainer_memory_channel", "other"))
        .await
        .unwrap();
    sleep(secs(60)).await;
    let n = r.told.lock().unwrap().iter().filter(|x| x.0 == "a").count();
    assert_eq!(n, 1, "told {n} times, delivered twice");
}
#[test]
fn markup_does_not_hide_a_secret_from_the_mask() {
    const G: OptionGroup = OptionGroup::new(
        "p",
        &[OptionSpec::new("format", "x")
            .kind(OptionKind::Template)
            .default("{{ .failure.Message }}")],
    );
    let s = BackendSettings::new(G);
    let mut f = failure("a");
    f.message = Some("login with p&ss<word>1 failed".into());
    let rep = Report::failure(f).with_redactor(Redactor::new(["p&ss<word>1"]));
    let t = MessageTemplates::compile(&s, "format", Markup::Slack)
        .unwrap()
        .render(&s.instance("default"), &rep)
        .text;
    assert!(!t.contains("word"), "{t}");
}
#[test]
fn what_is_missing_is_masked_before_it_is_cut() {
    const G: OptionGroup = OptionGroup::new(
        "p",
        &[OptionSpec::new("format", "x")
            .kind(OptionKind::Template)
            .default("{{ .stdoutURL }}")],
    );
    let s = BackendSettings::new(G);
    let secret = "xoxb-0123456789-abcdefghij";
    let rep = Report::failure(failure("a"))
        .with_links(Links::missing(format!("{}{secret}", "x".repeat(480))))
        .with_redactor(Redactor::new([secret]));
    let t = MessageTemplates::compile(&s, "format", Markup::Plain)
        .unwrap()
        .render(&s.instance("default"), &rep)
        .text;
    assert!(!t.contains("xoxb-0123456789"), "{}", &t[t.len() - 60..]);
}
#[test]
fn the_built_in_text_is_masked() {
    let rep =
        Report::failure(failure("a s3cr3t-token")).with_redactor(Redactor::new(["s3cr3t-token"]));
    assert!(!rep.summary().contains("s3cr3t"), "{}", rep.summary());
}
#[tokio::test(start_paused = true)]
async fn a_declared_secret_set_by_a_label_is_masked() {
    let r = r(|_, _| Act::Ok);
    let e = eng(&r).build().unwrap();
    e.submit(
        &failure("a").with_label("complainer_memory_url", "https://h.example/T0P-s3cret-path"),
    )
    .await
    .unwrap();
    e.run_until_idle().await.unwrap();
    let t = r.text.lock().unwrap()[0].clone();
    assert!(!t.contains("s3cret"), "{t}");
}
#[test]
fn addresses_of_webhooks_are_masked() {
    for u in [
        "https://discord.com/api/webhooks/123/TOKENTOKEN",
        "https://chat.example/mattermost/hooks/TOKENTOKEN",
        "https://api.telegram.org/bot1:TOKENTOKEN/sendMessage",
        "https://proxy.corp/slack/services/T/B/TOKENTOKEN",
        "https://x.webhook.office.com/webhookb2/TOKENTOKEN/IncomingWebhook/1/2",
    ] {
        assert!(!url(u).contains("TOKEN"), "{u} -> {}", url(u));
    }
    assert!(!url("https://discord.com/api/webhooks/123/TOKENTOKEN").contains("TOKEN"));
}
#[test]
fn keys_that_name_secrets() {
    let miss: Vec<_> = [
        "DB_PASS",
        "SMTP_PASS",
        "SSH_KEY",
        "SIGNING_KEY",
        "ENCRYPTION_KEY",
        "AUTH",
        "BEARER",
        "JWT",
        "SESSION_COOKIE",
        "pagerduty_routing_key",
        "service_key",
        "DATABASE_URL",
        "passcode",
    ]
    .into_iter()
    .filter(|k| !names_secret(k))
    .collect();
    let over: Vec<_> = [
        "wordsnippet",
        "fieldsname",
        "landsnow",
        "tokenizer",
        "secretary",
        "logdsname",
        "max_tokens",
        "hazelcast_backupdsn",
    ]
    .into_iter()
    .filter(|k| names_secret(k))
    .collect();
    assert!(miss.is_empty(), "not secret: {miss:?}; secret: {over:?}");
}
#[test]
fn a_wrong_secret_is_not_quoted() {
    let s = OptionSpec::new("x", "y").kind(OptionKind::Regex).secret();
    let e = s.check("(hunter2-secret").unwrap_err().to_string();
    assert!(!e.contains("hunter2"), "{e}");
}
#[test]
fn a_word_in_an_address_is_no_secret() {
    let r = Redactor::new(["https://hooks.example/notifications"]);
    let t = r.redact("the notifications service died").into_owned();
    assert_eq!(t, "the notifications service died");
}
#[test]
fn a_broken_template_is_found_at_the_start_for_all_instances() {
    let mut s = BackendSettings::new(G);
    s.set(Origin::Flag, "format", "{{ broken").unwrap();
    s.set_instance("default", "format", "ok").unwrap();
    assert!(
        MessageTemplates::compile(&s, "format", Markup::Plain).is_err(),
        "instance team renders: {:?}",
        MessageTemplates::compile(&s, "format", Markup::Plain)
            .unwrap()
            .render(&s.instance("team"), &Report::failure(failure("a")))
            .text
    );
}
#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_is_not_hammered_by_every_message() {
    let r = r(|_, _| Act::Err(Error::new(ErrorKind::Unavailable, "refused")));
    let e = eng(&r).build().unwrap();
    let _run = start(&e);
    for i in 0..2000 {
        e.submit(&failure(&format!("{i}"))).await.unwrap();
    }
    sleep(Duration::from_millis(900)).await;
    let n = r.told.lock().unwrap().len();
    assert!(
        n < 50,
        "{n} attempts in the first second to a destination that is down"
    );
}
#[tokio::test(start_paused = true)]
async fn two_runs_at_once_are_refused() {
    let r = r(|_, n| if n == 1 { Act::Wait(3) } else { Act::Ok });
    let e = eng(&r).build().unwrap();
    let _run = start(&e);
    e.submit(&failure("a")).await.unwrap();
    sleep(secs(1)).await;
    let _ = tokio::time::timeout(secs(60), e.run_until_idle()).await;
    sleep(secs(10)).await;
    assert_eq!(r.told.lock().unwrap().len(), 1);
}

/// Goes to the address of a label, if that has the form of one.
#[derive(Debug, Default)]
struct Choosy(Mutex<Vec<String>>);

const CHOOSY: OptionGroup = OptionGroup::new(
    "choosy",
    &[OptionSpec::new("to", "whom").label().default("everybody")],
);

#[async_trait]
impl Reporter for Choosy {
    fn scheme(&self) -> &'static str {
        "choosy"
    }
    fn capability(&self) -> Capability {
        Capability::default()
    }
    fn destination(&self, s: &Settings) -> Result<Option<Destination>> {
        match s.text("to") {
            bad if bad.contains('!') => Err(Error::config("it is nobody")),
            to => Ok(Some(Destination::new("choosy", [to], to))),
        }
    }
    async fn report(&self, _: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        self.0
            .lock()
            .unwrap()
            .push(opts.settings.text("to").to_owned());
        Ok(Receipt::delivered("x"))
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }
    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn labels_that_lead_nowhere_count_as_not_set() {
    let choosy = Arc::new(Choosy::default());
    let e = Engine::builder("default")
        .reporter_with(BackendSettings::new(CHOOSY), Arc::clone(&choosy))
        .build()
        .unwrap();
    for (id, to) in [("a", "me"), ("b", "nobody!")] {
        let f = failure(id).with_label("complainer_choosy_to", to);
        assert_eq!(e.submit(&f).await.unwrap().deliveries, 1);
    }
    e.run_until_idle().await.unwrap();
    let mut told = choosy.0.lock().unwrap().clone();
    told.sort();
    assert_eq!(told, ["everybody", "me"]);
}

/// One waits for something else than its destination: nobody waits with it.
#[tokio::test(start_paused = true)]
async fn what_is_pending_holds_up_no_other() {
    let r = r(|id, n| {
        if id == "pending" && n < 4 {
            let e = Error::new(ErrorKind::Pending, "not known yet");
            Act::Err(e.with_retry_after(secs(30)))
        } else {
            Act::Ok
        }
    });
    let e = eng(&r).build().unwrap();
    let _run = start(&e);
    e.submit(&failure("pending")).await.unwrap();
    for n in 0..3 {
        e.submit(&failure(&format!("other{n}"))).await.unwrap();
        sleep(secs(31)).await;
    }
    let told = r.told.lock().unwrap().clone();
    let others: Vec<u64> = told
        .iter()
        .filter(|(id, _)| id.starts_with("other"))
        .map(|(_, at)| at.as_secs())
        .collect();
    assert_eq!(others, [0, 31, 62], "{told:?}");
    let pending = told.iter().filter(|(id, _)| id == "pending").count();
    assert!((3..=4).contains(&pending), "{told:?}");
}
