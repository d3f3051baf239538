//! Requests to one Jira as one user.

use std::{fmt, sync::Arc};

use notifier_core::{
    Clock, Error, ErrorKind, FailureKey, Result, Scope, Secret, Settings, redact::Redactor,
};
use notifier_http::{Answer, HttpClient, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    error::{Step, config, refused, unanswered},
    neutral, wiki,
};

/// What may stand in a path's segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The largest answer that is read. A page of a project's fields, with all their values,
/// can be long.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// A part of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What an address has that paths cannot be added to, or that must not be shown.
fn too_much(url: &str) -> Option<&'static str> {
    if url.contains('#') {
        return Some("a fragment");
    }
    if url.contains('?') {
        return Some("a query");
    }
    // As readers of addresses see it: gaps are none, and slashes of both kinds, in any
    // number, may stand after the scheme.
    let url: String = url
        .trim()
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect();
    let rest = url.split_once(':').map_or(url.as_str(), |(_, rest)| rest);
    let host = rest
        .trim_start_matches(['/', '\\'])
        .split(['/', '\\'])
        .next();
    host.is_some_and(|host| host.contains('@'))
        .then_some("a user or a password")
}

/// Which of the two Jiras it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flavour {
    /// Jira Cloud: version 3 of the interface, documents.
    Cloud,
    /// Jira Data Center and Server: version 2, wiki text.
    DataCenter,
}

impl Flavour {
    /// The beginning of paths.
    pub(crate) fn path(self, rest: &str) -> String {
        match self {
            Self::Cloud => format!("/rest/api/3/{rest}"),
            Self::DataCenter => format!("/rest/api/2/{rest}"),
        }
    }

    /// A text with markup as it is sent, and how many characters were cut.
    pub(crate) fn rich(self, text: &str) -> (Value, usize) {
        match self {
            Self::Cloud => crate::adf::document(text),
            Self::DataCenter => {
                let (text, missing) = wiki::text(text);
                (Value::from(text), missing)
            }
        }
    }

    /// A text without any markup, as it is sent.
    pub(crate) fn plain(self, text: &str) -> Value {
        self.rich(&neutral::neutral(text)).0
    }
}

/// Jira at one address, as one user.
#[derive(Clone)]
pub(crate) struct Api {
    http: HttpClient,
    base: String,
    user: String,
    password: Secret,
    redactor: Redactor,
    clock: Arc<dyn Clock>,
    identity: String,
}

impl Api {
    /// As the settings say.
    pub(crate) fn new(
        http: &HttpClient,
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        // Without these, all reports wait for a person, and none is given up alone.
        let require = |key| {
            let value = settings.require(key);
            value.map_err(|e| e.with_scope(Scope::Destination))
        };
        let base = require("url")?;
        let password = Secret::new(require("password")?);
        let user = settings.text("username").to_owned();
        let http = http.for_origin(settings.origin("url"));
        http.check_url(base)
            .map_err(|e| config("jira.url cannot be used").with_source(e))?;
        if let Some(what) = too_much(base) {
            return Err(config(format!(
                "jira.url has {what}; write the address alone, such as https://jira.example, and who logs in as -jira.username and -jira.password"
            )));
        }
        let parts = [base, user.as_str(), password.expose()];
        let identity = FailureKey::of_parts(parts).as_str().to_owned();
        let secrets = [
            password.expose().to_owned(),
            format!("{user}:{}", password.expose()),
        ];
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            user,
            redactor: Redactor::new(secrets),
            password,
            clock,
            identity,
        })
    }

    /// The address, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// What tells this Jira and this user from others: a hash.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// A text without this user's secrets.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Request {
        let request = self
            .http
            .request(method, &format!("{}{path}", self.base))
            .header("Accept", "application/json")
            .max_answer(MAX_ANSWER)
            .strict();
        if self.user.is_empty() {
            request.bearer(&self.password)
        } else {
            request.basic(&self.user, &self.password)
        }
    }

    /// Sends a request. Any status is an answer.
    pub(crate) async fn send(&self, request: Request, step: Step) -> Result<Answer> {
        request.send().await.map_err(|e| unanswered(e, step))
    }

    /// An answer that is not what was asked for, as an error.
    pub(crate) fn refused(&self, answer: &Answer, step: Step) -> Error {
        refused(answer, step, &self.redactor, self.clock.now())
    }

    /// Sends a request that must be answered with JSON.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        request: Request,
        step: Step,
    ) -> Result<T> {
        let answer = self.send(request, step).await?;
        self.read(&answer, step)
    }

    /// The JSON of an answer.
    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Answer, step: Step) -> Result<T> {
        if !answer.is_success() {
            return Err(self.refused(answer, step));
        }
        answer.json().map_err(|e| {
            let text = format!(
                "{} answered {} with no JSON that fits; is a login page or a proxy in front of Jira?",
                answer.who(),
                answer.status()
            );
            let e = Error::new(ErrorKind::InvalidResponse, text).with_source(e);
            unanswered(e, step)
        })
    }

    /// Looks something up.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(self.request(Method::GET, path), Step::Look).await
    }

    /// Reads an issue, or what is kept with one, which need not be there.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let answer = self
            .send(self.request(Method::GET, path), Step::Read)
            .await?;
        match answer.status() {
            404 => Ok(None),
            _ => self.read(&answer, Step::Read).map(Some),
        }
    }
}

/// Neither the user nor the password is shown.
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("url", &notifier_core::redact::url(&self.base))
            .finish_non_exhaustive()
    }
}
