//! How a server is asked, and what was said of it.

use std::{io::Write as _, path::Path, time::Duration};

use notifier_testkit::smtp::Certificates;
use smtp_probe::{Check, Class, Login, Phase, Prober, Report, State, Target, Tls};
use smtp_wire::Password;
use tempfile::NamedTempFile;

pub(crate) use smtp_probe::State::{Crit, Ok as Fine, Skip, Warn};

pub(crate) const USER: &str = "watcher";
pub(crate) const PASSWORD: &str = "a-good-password";
pub(crate) const ANN: &str = "ann@relay.example";

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a reply may take where the server hangs. What is over too soon on a slow machine is
/// tried again with more patience.
const WAITS: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(40),
];

/// Asks about the servers of one authority.
pub(crate) struct Asker {
    ca: NamedTempFile,
}

impl Asker {
    pub(crate) fn new(certificates: &Certificates) -> Self {
        let ca = NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), certificates.ca_pem()).unwrap();
        Self { ca }
    }

    pub(crate) fn ca(&self) -> &Path {
        self.ca.path()
    }

    pub(crate) fn target(&self, port: u16, tls: Tls) -> Target {
        let mut target = Target::new("127.0.0.1", port);
        target.tls = tls;
        target.ca = Some(self.ca().to_owned());
        target.helo = Some("probe.example".to_owned());
        target.limits.total = PATIENCE;
        target.limits.connect = PATIENCE;
        // The machine may be busy: times are not what is tested.
        target.thresholds.connect = smtp_probe::Bounds::new(1e9, 1e9);
        target.thresholds.greeting = smtp_probe::Bounds::new(1e9, 1e9);
        target
    }
}

pub(crate) fn with_login(mut target: Target, password: &str) -> Target {
    target.login = Some(Login {
        user: USER.to_owned(),
        password: Password::Value(password.into()),
    });
    target
}

pub(crate) fn to(mut target: Target, to: &str) -> Target {
    target.rcpt = vec![to.to_owned()];
    target
}

/// How often a server may hang up on us before it greets: on a busy machine Postfix may end the process
/// that it had for a connection.
const HANG_UPS: usize = 5;

/// Asks, and prints a line for each check.
#[expect(clippy::print_stdout, reason = "the table is read by people")]
pub(crate) async fn ask(name: &str, target: Target) -> Report {
    let mut report = Prober::new(target.clone()).run().await;
    for _ in 0..HANG_UPS {
        let is_gone = |c: &Check| c.phase == Phase::Banner && c.class == Some(Class::Eof);
        if !report.checks.iter().any(is_gone) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        report = Prober::new(target.clone()).run().await;
    }
    let mut text = Vec::new();
    for check in &report.checks {
        let class = check.class.map_or("-", Class::word);
        let (id, state, phase) = (check.id, check.state.word(), check.phase.word());
        let said = check.hint.as_deref().unwrap_or(&check.text);
        writeln!(
            text,
            "{name:<26} {id:<15} {state:<8} {phase:<9} {class:<8} {said}"
        )
        .unwrap();
    }
    println!("{}", String::from_utf8_lossy(&text));
    assert!(!format!("{report:?}").contains(PASSWORD), "{report:#?}");
    report
}

/// Asks with growing patience until the check comes out so, where a server hangs.
pub(crate) async fn ask_until(
    name: &str,
    target: &Target,
    is_it: impl Fn(&Report) -> bool,
) -> Report {
    let mut last = None;
    for wait in WAITS {
        let mut target = target.clone();
        target.limits.reply = Some(wait);
        let report = ask(name, target).await;
        if is_it(&report) {
            return report;
        }
        last = Some(report);
    }
    panic!("{name}: {last:#?}");
}

/// Looks for a check that came out so.
pub(crate) fn find<'a>(
    report: &'a Report,
    id: &str,
    state: State,
    phase: Phase,
    class: Option<Class>,
) -> Option<&'a Check> {
    let is_it = |c: &&Check| (c.id, c.state, c.phase, c.class) == (id, state, phase, class);
    report.checks.iter().find(is_it)
}

pub(crate) fn state(report: &Report, id: &str) -> Option<State> {
    report.check(id).map(|c| c.state)
}

/// The check must be there, and say this in its text or hint.
#[track_caller]
pub(crate) fn says(
    report: &Report,
    (id, state, phase, class): (&str, State, Phase, Option<Class>),
    what: &str,
) {
    let Some(check) = find(report, id, state, phase, class) else {
        panic!("no {id} {state} at {phase} ({class:?}): {report:#?}");
    };
    let all = format!(
        "{} {}",
        check.text,
        check.hint.as_deref().unwrap_or_default()
    );
    assert!(all.contains(what), "{what:?} is not said: {all}");
}
