//! What the tests share.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use notifier_core::Secret;
use notifier_testkit::{
    postfix::{Postfix, Rig},
    smtp::Certificates,
};
use smtp_probe::{Canary, Check, Login, Past, Prober, Queue, State, Target, Tls};
use smtp_wire::Password;
use tempfile::NamedTempFile;
use tokio::time::Instant;

/// How long anything may take: only a fault is slower.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A file that has the authority's certificate.
pub(crate) fn ca(certificates: &Certificates) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(certificates.ca_pem().as_bytes()).unwrap();
    file
}

pub(crate) fn login((user, password): (&str, &str)) -> Login {
    Login {
        user: user.to_owned(),
        password: Password::Value(Secret::from(password)),
    }
}

/// The rig's relay, where the watcher logs in and writes to the canary's mailbox at the upstream.
pub(crate) fn through(rig: &Rig, ca: &NamedTempFile) -> Target {
    let mut target = Target::new("127.0.0.1", rig.relay.submission_port().unwrap());
    target.tls = Tls::Starttls;
    target.ca = Some(ca.path().to_owned());
    target.tls_name = Some("relay.example".to_owned());
    target.login = Some(login(rig.login()));
    target.rcpt = vec!["canary@mail.example".to_owned()];
    let mailbox = maildir(&rig.upstream, "canary");
    make(&mailbox);
    target.canary = Some(Canary::Maildir(mailbox));
    target.queue = Some(Queue::Showq(rig.relay.showq()));
    patient(&mut target);
    target
}

/// No limit that a slow machine comes near.
pub(crate) fn patient(target: &mut Target) {
    target.limits.total = PATIENCE;
    target.limits.connect = PATIENCE;
    target.limits.canary_warn = PATIENCE;
    target.limits.canary = PATIENCE * 2;
}

/// A mailbox that Postfix may deliver into, before it does.
pub(crate) fn make(maildir: &Path) {
    for name in ["", "new", "cur", "tmp"] {
        let folder = maildir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        // Nobody, as the testkit's Postfix delivers.
        std::os::unix::fs::chown(folder, Some(65_534), Some(65_534)).unwrap();
    }
}

pub(crate) fn maildir(postfix: &Postfix, mailbox: &str) -> PathBuf {
    postfix.folder().join("mail").join(mailbox)
}

/// What a run with this past says of its canary.
pub(crate) async fn with_past(target: &Target, past: &mut Past) -> Check {
    let mut prober = Prober::new(target.clone()).with_past(past.clone());
    let report = prober.run().await;
    past.clone_from(prober.past());
    let check = report
        .check("canary")
        .unwrap_or_else(|| panic!("{report:#?}"));
    print(check);
    check.clone()
}

/// What a run without a past says.
pub(crate) async fn canary(target: &Target) -> Check {
    with_past(target, &mut Past::default()).await
}

#[expect(clippy::print_stderr, reason = "read by who runs the tests")]
fn print(check: &Check) {
    let class = check.class.map_or("", |c| c.word());
    let hint = check.hint.as_deref().unwrap_or("");
    eprintln!(
        "{} {} {class}: {} [{hint}]",
        check.state, check.phase, check.text
    );
}

/// Runs with a short limit until the verdict is this one: how soon the relay has noted a reason is
/// its own affair.
pub(crate) async fn until(target: &Target, is_it: impl Fn(&Check) -> bool) -> Check {
    let mut target = target.clone();
    target.limits.canary = Duration::from_secs(1);
    target.limits.canary_warn = Duration::from_secs(1);
    let begun = Instant::now();
    loop {
        let check = canary(&target).await;
        if is_it(&check) || begun.elapsed() > PATIENCE {
            return check;
        }
    }
}

/// What is true of each that arrived.
pub(crate) fn assert_delivered(check: &Check, hops: &[&str]) {
    assert_eq!(check.state, State::Ok, "{check:#?}");
    assert_eq!(
        (check.phase.word(), check.class),
        ("delivery", None),
        "{check:#?}"
    );
    assert!(check.text.starts_with("delivered in "), "{}", check.text);
    let measure = check.measure.as_ref().unwrap();
    assert_eq!((measure.unit, measure.warn), ("s", Some(60.0)));
    let data = check.data.as_ref().unwrap();
    assert_eq!(data["id"].as_str().unwrap().len(), 24);
    assert!(data["smtp_ms"].as_f64().unwrap() > 0.0);
    let by: Vec<_> = data["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| &h["by"])
        .collect();
    assert_eq!(by, hops, "{data:#}");
}
