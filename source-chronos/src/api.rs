//! Asking Chronos for its jobs.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use notifier_core::{Error, ErrorKind, Result, redact};
use notifier_http::{BasicLogin, HttpClient};

use crate::{job::Job, list::Entries};

/// Where the API is: below the first from 3.0 on, below the second in 2.x
/// (`ChronosRestModule.scala`).
const FORMS: [&str; 2] = ["/v1/scheduler", "/scheduler"];

/// The jobs that Chronos listed.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) jobs: HashMap<String, Job>,
    /// Entries that could not be read.
    pub(crate) skipped: usize,
}

/// One way to ask: an address and a form failed or answered.
enum Refused {
    /// 404: it may be the other form.
    Form,
    Other(Error),
}

/// Asks the addresses of one Chronos, the one that answered last first.
#[derive(Debug)]
pub(crate) struct Api {
    http: HttpClient,
    /// Without a slash at the end.
    addresses: Vec<String>,
    credentials: Option<BasicLogin>,
    timeout: Duration,
    /// The longest answer, in bytes.
    max: u64,
    prefix: String,
    /// The address that answered last, by index.
    last: AtomicUsize,
    /// The form that each address knows, by index.
    forms: Mutex<HashMap<usize, usize>>,
}

impl Api {
    pub(crate) fn new(
        http: HttpClient,
        addresses: Vec<String>,
        credentials: Option<BasicLogin>,
        timeout: Duration,
        max: u64,
        prefix: String,
    ) -> Self {
        Self {
            http,
            addresses,
            credentials,
            timeout,
            max,
            prefix,
            last: AtomicUsize::new(0),
            forms: Mutex::default(),
        }
    }

    /// All jobs.
    ///
    /// # Errors
    /// What each address answered, in one line.
    pub(crate) async fn jobs(&self) -> Result<List> {
        let first = self.last.load(Ordering::Relaxed);
        let n = self.addresses.len();
        let mut failed: Vec<Error> = Vec::new();
        for at in (0..n).map(|i| (first + i) % n) {
            match self.ask(at).await {
                Ok(list) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(list);
                }
                Err(e) => failed.push(e),
            }
        }
        let kind = failed.last().map_or(ErrorKind::Config, Error::kind);
        let why: Vec<String> = failed.iter().map(|e| e.report().to_string()).collect();
        Err(Error::new(
            kind,
            format!("no list of jobs: {}", why.join("; ")),
        ))
    }

    async fn ask(&self, at: usize) -> Result<List> {
        let known = self.form(at);
        match self.ask_form(at, known).await {
            Ok(list) => Ok(list),
            Err(Refused::Other(e)) => Err(e),
            Err(Refused::Form) => {
                let other = 1 - known;
                match self.ask_form(at, other).await {
                    Ok(list) => {
                        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
                        forms.insert(at, other);
                        Ok(list)
                    }
                    Err(Refused::Other(e)) => Err(e),
                    Err(Refused::Form) => Err(Error::new(
                        ErrorKind::Rejected,
                        format!(
                            "{} answered 404 to {}/jobs and {}/jobs: is it Chronos?",
                            redact::url(&self.addresses[at]),
                            FORMS[0],
                            FORMS[1]
                        ),
                    )),
                }
            }
        }
    }

    fn form(&self, at: usize) -> usize {
        let forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        forms.get(&at).copied().unwrap_or(0)
    }

    async fn ask_form(&self, at: usize, form: usize) -> Result<List, Refused> {
        let address = &self.addresses[at];
        let mut request = self
            .http
            .get(&format!("{address}{}/jobs", FORMS[form]))
            .header("Accept", "application/json")
            .timeout(Some(self.timeout));
        if let Some(credentials) = &self.credentials {
            request = credentials.apply(request).map_err(Refused::Other)?;
        }
        let answer = request.stream().await.map_err(Refused::Other)?;
        let status = answer.status();
        if status == 404 {
            return Err(Refused::Form);
        }
        let answer = answer
            .success()
            .await
            .map_err(|e| Refused::Other(self.refusal(status, &e)))?;
        self.read(address, answer.into_stream(self.max))
            .await
            .map_err(Refused::Other)
    }

    /// A refusal in one line, without the stack trace that Chronos puts there.
    fn refusal(&self, status: u16, e: &Error) -> Error {
        let text = e.to_string();
        let line = text
            .split(['\n', '\r'])
            .next()
            .and_then(|line| line.split("\\n").next())
            .unwrap_or_default();
        let hint = match (status, &self.credentials) {
            (401, None) => "; set chronos.credentials",
            (401 | 403, Some(_)) => "; check chronos.credentials",
            _ => "",
        };
        Error::new(e.kind(), format!("{line}{hint}"))
    }

    async fn read(&self, address: &str, mut body: notifier_core::ByteStream) -> Result<List> {
        let malformed = |_| {
            Error::new(
                ErrorKind::InvalidResponse,
                format!("{} answered no list of jobs", redact::url(address)),
            )
        };
        let mut list = List::default();
        let mut entries = Entries::new();
        while let Some(piece) = body.next().await {
            let List { jobs, skipped } = &mut list;
            entries
                .push(&piece?, |entry| match Job::read(entry, &self.prefix) {
                    Some(job) => {
                        jobs.insert(job.name.clone(), job);
                    }
                    None => *skipped += 1,
                })
                .map_err(malformed)?;
        }
        entries.finish().map_err(malformed)?;
        list.skipped += entries.skipped;
        Ok(list)
    }
}
