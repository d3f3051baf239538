//! A row of a table: what the server does, and what is to be said of it.

use std::{fmt::Write as _, path::PathBuf, sync::OnceLock, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use notifier_testkit::smtp::{Certificates, FakeSmtp, Script, State as Seen};
use smtp_probe::{
    Check, Class, Login, Phase, Prober, Report, State, Target, Tls,
    format::{self, Labelled, Table},
};
use smtp_wire::Password;

pub(crate) use smtp_probe::{
    Class as C, Phase as P,
    State::{Crit, Ok as Fine, Skip, Unknown, Warn},
};

pub(crate) const USER: &str = "watcher";
pub(crate) const PASSWORD: &str = "pass-word-of-tests";
pub(crate) const TO: &str = "oncall@dest.example";

/// What no test reaches unless something hangs.
const HANGS: Duration = Duration::from_secs(240);

/// How long a reply may take where the server stalls. What is over too soon on a slow machine is
/// tried again with more patience.
const PATIENCE: [Duration; 3] = [
    Duration::from_millis(700),
    Duration::from_secs(5),
    Duration::from_secs(40),
];

/// Keys take a moment to make, and all rows can share them.
pub(crate) fn certificates() -> &'static Certificates {
    static MADE: OnceLock<Certificates> = OnceLock::new();
    MADE.get_or_init(Certificates::new)
}

/// The authority's certificate as a file.
fn ca() -> PathBuf {
    static MADE: OnceLock<tempfile::NamedTempFile> = OnceLock::new();
    let file = MADE.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificates().ca_pem()).unwrap();
        file
    });
    file.path().to_owned()
}

type Edit = Box<dyn Fn(&mut Target) + Send + Sync>;
type Look = Box<dyn Fn(&Report, &Seen) + Send + Sync>;

/// What the server does, and what is to be said of it.
pub(crate) struct Row {
    name: String,
    script: Script,
    edits: Vec<Edit>,
    looks: Vec<Look>,
    want: (&'static str, State, Phase, Option<Class>),
    says: Vec<&'static str>,
    also: Vec<(&'static str, State)>,
    is_refused: bool,
    is_unruly: bool,
    stalls: bool,
}

impl Row {
    /// The check that is looked at, where and how it came out.
    pub(crate) fn new(
        name: impl Into<String>,
        script: Script,
        id: &'static str,
        state: State,
        phase: Phase,
        class: Option<Class>,
    ) -> Self {
        Self {
            name: name.into(),
            script,
            edits: Vec::new(),
            looks: Vec::new(),
            want: (id, state, phase, class),
            says: Vec::new(),
            also: Vec::new(),
            is_refused: false,
            is_unruly: false,
            stalls: false,
        }
    }

    pub(crate) fn with(mut self, edit: impl Fn(&mut Target) + Send + Sync + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    pub(crate) fn to(self, to: &'static [&'static str]) -> Self {
        self.with(move |t| t.rcpt = to.iter().map(|&one| one.to_owned()).collect())
    }

    pub(crate) fn from(self, from: &'static [&'static str]) -> Self {
        self.with(move |t| t.from = from.iter().map(|&one| one.to_owned()).collect())
    }

    pub(crate) fn tls(self, tls: Tls) -> Self {
        self.with(move |t| t.tls = tls)
    }

    pub(crate) fn login(self) -> Self {
        self.login_with(PASSWORD)
    }

    pub(crate) fn login_with(self, password: &'static str) -> Self {
        self.with(move |t| {
            t.login = Some(Login {
                user: USER.to_owned(),
                password: Password::Value(password.into()),
            });
        })
    }

    /// What its text or its hint has to say.
    pub(crate) fn says(mut self, text: &'static str) -> Self {
        self.says.push(text);
        self
    }

    /// How another check came out.
    pub(crate) fn also(mut self, id: &'static str, state: State) -> Self {
        self.also.push((id, state));
        self
    }

    /// What else must hold.
    pub(crate) fn look(mut self, look: impl Fn(&Report, &Seen) + Send + Sync + 'static) -> Self {
        self.looks.push(Box::new(look));
        self
    }

    /// Nobody takes connections.
    pub(crate) fn refused(mut self) -> Self {
        self.is_refused = true;
        self
    }

    /// What the server sees is no SMTP, and cannot be.
    pub(crate) fn unruly(mut self) -> Self {
        self.is_unruly = true;
        self
    }

    /// The server says nothing where an answer is due.
    pub(crate) fn stalls(mut self) -> Self {
        self.stalls = true;
        self
    }

    fn target(&self, port: u16, patience: Option<Duration>) -> Target {
        let mut target = Target::new("127.0.0.1", port);
        target.helo = Some("probe.example".to_owned());
        target.ca = Some(ca());
        // What waits in vain is seen by its class.
        target.limits.total = Duration::from_secs(60);
        target.limits.connect = Duration::from_secs(60);
        target.limits.reply = patience;
        // The machine may be busy: times are not what is tested.
        target.thresholds.connect = smtp_probe::Bounds::new(1e9, 1e9);
        target.thresholds.greeting = smtp_probe::Bounds::new(1e9, 1e9);
        for edit in &self.edits {
            edit(&mut target);
        }
        target
    }

    async fn run(self) -> String {
        if !self.stalls {
            return self.judged(None).await.unwrap_or_else(|e| panic!("{e}"));
        }
        let mut last = String::new();
        for patience in PATIENCE {
            match self.judged(Some(patience)).await {
                Ok(line) => return line,
                Err(e) => last = e,
            }
        }
        panic!("{last}");
    }

    /// Its line of the table, or what is wrong.
    async fn judged(&self, patience: Option<Duration>) -> Result<String, String> {
        let server = FakeSmtp::start(self.script.clone()).await;
        if self.is_refused {
            server.refuse().await;
        }
        let target = self.target(server.port(), patience);
        let mut prober = Prober::new(target);
        let report = tokio::time::timeout(HANGS, prober.run()).await;
        let report = report.map_err(|_| format!("{}: it hangs", self.name))?;
        let seen = server.state();
        let wrong = |what: String| format!("{}: {what}\n{report:#?}\n{seen:#?}", self.name);

        let (id, state, phase, class) = self.want;
        let is_it = |c: &&Check| (c.id, c.state, c.phase, c.class) == (id, state, phase, class);
        let Some(check) = report.checks.iter().find(is_it) else {
            return Err(wrong(format!("no {id} {state} at {phase} ({class:?})")));
        };
        let hint = check.hint.as_deref().unwrap_or_default();
        let all = format!("{} {hint}", check.text).to_lowercase();
        for says in &self.says {
            if !all.contains(&says.to_lowercase()) {
                return Err(wrong(format!("{says:?} is not said: {all}")));
            }
        }
        // Whatever is wrong, it is said what to do.
        for check in &report.checks {
            if check.state > Fine && check.hint.as_ref().is_none_or(String::is_empty) {
                return Err(wrong(format!("no advice at {}", check.id)));
            }
        }
        for (id, state) in &self.also {
            if !report
                .checks
                .iter()
                .any(|c| (c.id, c.state) == (*id, *state))
            {
                return Err(wrong(format!("no {id} {state}")));
            }
        }
        let worst = report.checks.iter().map(|c| c.state).max();
        if worst.unwrap_or(Fine).max(Fine) != report.overall {
            return Err(wrong("the overall state is another".to_owned()));
        }
        if !self.is_unruly && !seen.faults.is_empty() {
            return Err(wrong("it broke the protocol".to_owned()));
        }
        if let Some(shown) = shown(&report, &prober) {
            return Err(wrong(format!("a password is shown: {shown}")));
        }
        for look in &self.looks {
            look(&report, &seen);
        }
        let class = class.map_or("-", Class::word);
        Ok(format!(
            "{:<44} {id:<14} {:<8} {:<9} {class:<8} {hint}",
            self.name,
            state.word(),
            phase.word(),
        ))
    }
}

/// Where the password can be read, in whatever form.
fn shown(report: &Report, prober: &Prober) -> Option<String> {
    let forms = [
        PASSWORD.to_owned(),
        BASE64_STANDARD.encode(PASSWORD),
        payload(),
    ];
    let reports = std::slice::from_ref(report);
    let mut table = Table::default();
    table.all = true;
    let places = [
        format!("{report:?}"),
        format!("{prober:?}"),
        format::json(reports),
        format::nagios(reports),
        format::prometheus(reports, Labelled::Target),
        table.render(reports),
    ];
    let is_shown = |place: &String| forms.iter().any(|form| place.contains(form));
    places.into_iter().find(is_shown)
}

/// What PLAIN sends.
pub(crate) fn payload() -> String {
    BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"))
}

/// Runs all and prints the table.
#[expect(clippy::print_stdout, reason = "the table is read by people")]
pub(crate) async fn table(title: &str, rows: Vec<Row>) {
    let mut text = format!("\n{title} ({} rows)\n", rows.len());
    let runs: Vec<_> = rows
        .into_iter()
        .map(|row| tokio::spawn(row.run()))
        .collect();
    let mut wrong = Vec::new();
    for run in runs {
        match run.await {
            Ok(line) => _ = writeln!(text, "{line}"),
            Err(e) => wrong.push(e.into_panic()),
        }
    }
    println!("{text}");
    if let Some(first) = wrong.into_iter().next() {
        std::panic::resume_unwind(first);
    }
}
