//! A row of a table: what the relay does, and what is to come of it.

use std::sync::OnceLock;

use notifier_testkit::smtp::{Certificates, ReceivedMail, Script};

use crate::outcome::{Outcome, Want};

pub(crate) const USER: &str = "watcher";
pub(crate) const PASSWORD: &str = "pass-word-of-tests";

pub(crate) const A: &str = "a@dest.example";
pub(crate) const B: &str = "b@dest.example";
pub(crate) const C: &str = "c@dest.example";
pub(crate) const D: &str = "d@dest.example";

/// Keys take a moment to make, and all rows can share them.
pub(crate) fn certificates() -> &'static Certificates {
    static MADE: OnceLock<Certificates> = OnceLock::new();
    MADE.get_or_init(Certificates::new)
}

/// The authority's certificate as a file.
fn ca() -> &'static str {
    static MADE: OnceLock<(tempfile::NamedTempFile, String)> = OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificates().ca_pem()).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    });
    path
}

/// What happens between a first mail and the one that is judged.
#[derive(Debug)]
pub(crate) enum Between {
    Nothing,
    /// The relay says this, unless it is empty, and closes.
    HangUp(&'static str),
    /// The relay is gone without a word.
    Dropped,
    /// The relay is gone, and refuses connections.
    Refused,
}

type Check =
    Box<dyn Fn(&[ReceivedMail], &Outcome) -> std::result::Result<(), String> + Send + Sync>;

/// A second attempt at the same delivery, by a process that was started anew.
pub(crate) struct Again {
    pub(crate) script: Script,
    pub(crate) want: Vec<(&'static str, Want)>,
    /// How many mails each has in the end, of both attempts.
    pub(crate) mails: Vec<(&'static str, usize)>,
}

/// What the relay does, and what is to come of it.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) script: Script,
    pub(crate) before: Option<(Script, Between)>,
    pub(crate) again: Option<Again>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) to: Vec<&'static str>,
    pub(crate) want: Vec<(&'static str, Want)>,
    pub(crate) ambiguous: usize,
    pub(crate) got: Option<&'static str>,
    pub(crate) says: Vec<&'static str>,
    pub(crate) logs: usize,
    pub(crate) is_unruly: bool,
    pub(crate) is_refused: bool,
    pub(crate) checks: Vec<Check>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, script: Script) -> Self {
        Self {
            name: name.into(),
            script,
            before: None,
            again: None,
            settings: Vec::new(),
            to: vec![A],
            want: Vec::new(),
            ambiguous: 0,
            got: None,
            says: Vec::new(),
            logs: 0,
            is_unruly: false,
            is_refused: false,
            checks: Vec::new(),
        }
    }

    /// Sends another mail first, to a relay that behaves; then this happens.
    pub(crate) fn after_one(self, between: Between) -> Self {
        self.after_one_of(Script::new(), between)
    }

    pub(crate) fn after_one_of(mut self, script: Script, between: Between) -> Self {
        self.before = Some((script, between));
        self
    }

    /// Tries once more afterwards. The dialogue is that of both attempts.
    pub(crate) fn again(
        mut self,
        script: Script,
        want: &[(&'static str, Want)],
        mails: &[(&'static str, usize)],
    ) -> Self {
        self.again = Some(Again {
            script,
            want: want.to_vec(),
            mails: mails.to_vec(),
        });
        self
    }

    pub(crate) fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// TLS of this kind, with the authority that signs what is valid.
    pub(crate) fn tls(self, mode: &str) -> Self {
        self.set("tls", mode).set("ca", ca())
    }

    pub(crate) fn login(self) -> Self {
        self.set("user", USER).set("password", PASSWORD)
    }

    /// A short time-out of each answer but the last, for a relay that stalls. Where the machine
    /// is slow it may be over at an earlier step: the verdict must be the same there, and the
    /// dialogue is not looked at.
    pub(crate) fn hasty(self) -> Self {
        let mut row = self.set("timeout", "1s");
        row.got = None;
        row
    }

    /// As [`hasty`](Self::hasty), of the connection and the handshake.
    pub(crate) fn hasty_to_connect(self) -> Self {
        let mut row = self.set("connect_timeout", "1s");
        row.got = None;
        row
    }

    /// The relay refuses connections.
    pub(crate) fn refused(mut self) -> Self {
        self.is_refused = true;
        self
    }

    pub(crate) fn to(mut self, to: &[&'static str]) -> Self {
        self.to = to.to_vec();
        self
    }

    /// Adds so many octets of a log.
    pub(crate) fn logs(self, octets: usize) -> Self {
        let mut row = self
            .set("attach", "stderr")
            .set("attach_size", octets.to_string());
        row.logs = octets;
        row
    }

    /// The same for each recipient.
    pub(crate) fn all(mut self, want: Want) -> Self {
        self.want = self.to.iter().map(|&to| (to, want)).collect();
        self
    }

    pub(crate) fn each(mut self, want: &[(&'static str, Want)]) -> Self {
        self.to = want.iter().map(|(to, _)| *to).collect();
        self.want = want.to_vec();
        self
    }

    /// How many mails the relay kept for those who may have it.
    pub(crate) fn kept(mut self, mails: usize) -> Self {
        self.ambiguous = mails;
        self
    }

    /// What the relay sees is no SMTP, and cannot be.
    pub(crate) fn unruly(mut self) -> Self {
        self.is_unruly = true;
        self
    }

    /// The dialogue that the relay saw, all of it.
    pub(crate) fn got(mut self, dialogue: &'static str) -> Self {
        self.got = Some(dialogue);
        self
    }

    /// What an error has to say.
    pub(crate) fn says(mut self, text: &'static str) -> Self {
        self.says.push(text);
        self
    }

    /// What else must hold of the mails and of the outcome.
    pub(crate) fn check(
        mut self,
        check: impl Fn(&[ReceivedMail], &Outcome) -> std::result::Result<(), String>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.checks.push(Box::new(check));
        self
    }
}
