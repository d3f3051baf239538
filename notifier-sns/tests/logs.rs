//! No log of any level, of ours or of what is beneath, has a key in it. Alone in its process: it
//! listens to all of it.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
};

use notifier_core::{FailureRecord, Report, Reporter as _, jiff::Timestamp};
use notifier_sns::SnsReporter;
use notifier_testkit::{
    http::Action,
    sns::{FakeSns, SnsReply},
};
use tracing::{
    Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};

const KEY: &str = "AKIDCANARY0451";
const SECRET: &str = "s3cr3t-canary-0451";
const TOKEN: &str = "t0ken-canary-0451";

/// Keeps all that is logged.
#[derive(Clone, Default)]
struct All(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = writeln!(self.0, "{field}={value:?}");
    }
}

impl Subscriber for All {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut all = self.0.lock().unwrap();
        all.push_str(event.metadata().target());
        all.push(' ');
        event.record(&mut Fields(&mut all));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_has_a_key_in_it() {
    let all = All::default();
    tracing::subscriber::set_global_default(all.clone()).unwrap();
    let sns = FakeSns::start().await.unwrap();
    sns.temporary_key(KEY, SECRET, TOKEN);
    let topic = sns.topic("alerts");
    let builder = |secret: &str| {
        SnsReporter::builder()
            .topic(&topic)
            .endpoint(&sns.url())
            .keys(KEY, secret)
            .set("session_token", TOKEN)
            .set("timeout", "30s")
            .build()
            .unwrap()
    };
    let f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    let report = Report::failure(f);
    let r = builder(SECRET);
    for action in [
        Action::Normal(notifier_testkit::http::Delivery::new()),
        Action::ResetAfterBody,
        Action::garbage(),
        Action::html(503),
    ] {
        sns.script(SnsReply::Taken(action));
        let told = format!("{:?}", r.send(&report).await);
        all.0.lock().unwrap().push_str(&told);
    }
    // The service's own words repeat what was signed, the token included.
    let e = builder("wr0ng-canary-0451")
        .send(&report)
        .await
        .unwrap_err();
    assert_eq!(e.code(), Some("SignatureDoesNotMatch"));
    r.check(r.settings()).await.unwrap();
    let shown = format!("{e:?} {} {r:?}", e.report());
    // Something is listening.
    tracing::info!(word = "marmalade", "said");
    let text = all.0.lock().unwrap().clone() + &shown;
    assert!(text.contains("marmalade"));
    assert!(!text.contains("canary-0451"), "{text}");
    assert!(
        !text.contains("CANARY0451") && !text.contains("Signature="),
        "{text}"
    );
}
