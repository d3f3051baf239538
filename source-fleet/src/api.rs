//! Lists and units of the API, page by page.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use notifier_core::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::form_urlencoded;

use crate::{
    http::Get,
    tracker::Said,
    wire::{self, Machine, Row, Unit},
};

/// Where the API is: below the first from 0.8 on, below the second before and still.
const FORMS: [&str; 2] = ["/fleet/v1", "/v1-alpha"];
/// The most pages of a list, of 100 entries each.
const MOST_PAGES: usize = 1000;
/// So many units are asked for side by side.
const SIDE_BY_SIDE: usize = 8;
/// A list may take so many times as long as a request.
const REQUESTS: u32 = 12;

/// How a list was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) pages: usize,
    /// Entries that could not be read.
    pub(crate) skipped: usize,
}

/// The API of one fleet, at one endpoint or several.
#[derive(Debug)]
pub(crate) struct Api {
    get: Arc<dyn Get>,
    timeout: Duration,
    /// The unit that the states are filtered by.
    only: Option<String>,
    /// The endpoint that answered last.
    last: AtomicUsize,
    /// The form that each endpoint knows.
    forms: Vec<AtomicUsize>,
}

impl Api {
    pub(crate) fn new(get: Arc<dyn Get>, timeout: Duration, only: Option<String>) -> Self {
        let forms = (0..get.endpoints()).map(|_| AtomicUsize::new(0)).collect();
        Self {
            get,
            timeout,
            only,
            last: AtomicUsize::new(0),
            forms,
        }
    }

    /// The endpoints, the one that answered last first.
    pub(crate) fn order(&self) -> Vec<usize> {
        let first = self.last.load(Ordering::Relaxed);
        let n = self.forms.len();
        (0..n).map(|i| (first + i) % n).collect()
    }

    /// This one answers.
    pub(crate) fn prefer(&self, at: usize) {
        self.last.store(at, Ordering::Relaxed);
    }

    /// The states of all units. What was read before an error is in `rows` all the same.
    ///
    /// # Errors
    /// What the endpoint answered.
    pub(crate) async fn states(&self, at: usize, rows: &mut Vec<Row>) -> Result<Read> {
        let filter = self.only.as_deref().map(|name| ("unitName", name));
        self.list(at, "state", "states", filter, |v| {
            let row = Row::read(v);
            let is_one = row.is_some();
            rows.extend(row);
            is_one
        })
        .await
    }

    /// All units.
    ///
    /// # Errors
    /// What the endpoint answered.
    pub(crate) async fn units(&self, at: usize) -> Result<Vec<Unit>> {
        let mut units = Vec::new();
        self.list(at, "units", "units", None, |v| {
            let unit = Unit::read(v).filter(|u| !u.name.is_empty());
            let is_one = unit.is_some();
            units.extend(unit);
            is_one
        })
        .await?;
        Ok(units)
    }

    /// All machines.
    ///
    /// # Errors
    /// What the endpoint answered.
    pub(crate) async fn machines(&self, at: usize) -> Result<Vec<Machine>> {
        let mut machines = Vec::new();
        self.list(at, "machines", "machines", None, |v| {
            let machine = Machine::read(v);
            let is_one = machine.is_some();
            machines.extend(machine);
            is_one
        })
        .await?;
        Ok(machines)
    }

    /// What fleet says of units, each by itself.
    pub(crate) async fn said_of(&self, at: usize, names: Vec<String>) -> Vec<(String, Said)> {
        stream::iter(names)
            .map(|name| async move {
                let said = self.unit(at, &name).await;
                (name, said)
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await
    }

    async fn unit(&self, at: usize, name: &str) -> Said {
        let form = FORMS[self.form(at)];
        let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        match self.get.get(at, &format!("{form}/units/{name}")).await {
            Ok(None) => Said::Gone,
            Ok(Some(body)) => serde_json::from_slice::<Value>(&body)
                .ok()
                .as_ref()
                .and_then(Unit::read)
                .filter(|unit| !unit.name.is_empty())
                .map_or(Said::Unknown, Said::There),
            Err(e) => {
                tracing::debug!(unit = %name, error = %e.report(), "cannot ask fleet for a unit");
                Said::Unknown
            }
        }
    }

    fn form(&self, at: usize) -> usize {
        self.forms[at].load(Ordering::Relaxed)
    }

    async fn list(
        &self,
        at: usize,
        resource: &str,
        name: &str,
        filter: Option<(&str, &str)>,
        mut each: impl FnMut(&Value) -> bool,
    ) -> Result<Read> {
        let deadline = Instant::now() + self.timeout * REQUESTS;
        let mut read = Read {
            pages: 0,
            skipped: 0,
        };
        let mut tokens: HashSet<String> = HashSet::new();
        let mut token: Option<String> = None;
        loop {
            let query = query_of(filter, token.as_deref());
            let body = timeout_at(deadline, self.page(at, resource, &query))
                .await
                .map_err(|_| {
                    self.fault(
                        at,
                        ErrorKind::Timeout,
                        &format!("a list of {name} takes too long"),
                    )
                })??;
            let page = wire::page(&body, name).map_err(|what| {
                self.fault(
                    at,
                    ErrorKind::InvalidResponse,
                    &format!("it answered {what}"),
                )
            })?;
            drop(body);
            read.pages += 1;
            read.skipped += page.items.iter().filter(|v| !each(v)).count();
            let Some(next) = page.next else {
                return Ok(read);
            };
            if !tokens.insert(next.clone()) || read.pages == MOST_PAGES {
                let what = format!("a list of {name} has no end");
                return Err(self.fault(at, ErrorKind::InvalidResponse, &what));
            }
            token = Some(next);
        }
    }

    /// One page, in the form that the endpoint knows.
    async fn page(
        &self,
        at: usize,
        resource: &str,
        query: &str,
    ) -> Result<notifier_core::bytes::Bytes> {
        let known = self.form(at);
        for form in [known, 1 - known] {
            let mut target = format!("{}/{resource}", FORMS[form]);
            if !query.is_empty() {
                target = format!("{target}?{query}");
            }
            if let Some(body) = self.get.get(at, &target).await? {
                self.forms[at].store(form, Ordering::Relaxed);
                return Ok(body);
            }
        }
        let [new, old] = FORMS;
        let what =
            format!("it answered 404 to {new}/{resource} and {old}/{resource}: is it fleet?");
        Err(self.fault(at, ErrorKind::Rejected, &what))
    }

    fn fault(&self, at: usize, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("{}: {what}", self.get.shown(at)))
    }
}

fn query_of(filter: Option<(&str, &str)>, token: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filter);
    if let Some(token) = token {
        query.append_pair("nextPageToken", token);
    }
    query.finish()
}
