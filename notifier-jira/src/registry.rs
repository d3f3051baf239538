//! Issues of late, kept in Jira itself: what is remembered here is gone after a restart,
//! and the index may not have them yet.
//!
//! They are a property of the user that the reporter logs in as
//! (`…/user/properties/notifier-recent`), which Jira reads from its database and which
//! users may set for themselves: developer.atlassian.com/cloud/jira/platform/rest/v3,
//! "User properties", read 2026. Where there is no such thing, or it is not allowed, this
//! does nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use notifier_core::{Clock, Result, jiff::Timestamp};
use notifier_http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::{Api, Flavour, segment},
    cache::{Cache, lock},
    error::Step,
};

/// The property.
const PROPERTY: &str = "notifier-recent";

/// How long an issue is kept: longer than any index lags, and shorter than this process
/// remembers its own.
const LIFE: Duration = Duration::from_secs(1800);

/// How many are kept: a property holds 32,768 bytes.
const MOST: usize = 300;

/// The property's value.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct Book {
    /// Key, and milliseconds since 1970, by marker.
    #[serde(default)]
    issues: BTreeMap<String, (String, i64)>,
    /// Whether what Jira has is in it, so that it may be written in its place.
    #[serde(skip)]
    is_read: bool,
}

impl Book {
    /// Adds what is noted in Jira.
    fn merge(&mut self, read: Self) {
        for (marker, (key, at)) in read.issues {
            let entry = self
                .issues
                .entry(marker)
                .or_insert_with(|| (key.clone(), at));
            if entry.1 < at {
                *entry = (key, at);
            }
        }
        self.is_read = true;
    }

    fn tidy(&mut self, now: Timestamp) {
        let now = now.as_millisecond();
        let life = i64::try_from(LIFE.as_millis()).unwrap_or(i64::MAX);
        self.issues
            .retain(|_, (key, at)| now.saturating_sub(*at) < life && key.len() <= 255);
        while self.issues.len() > MOST {
            let oldest = self.issues.iter().min_by_key(|(_, (_, at))| *at);
            let Some(marker) = oldest.map(|(m, _)| m.clone()) else {
                break;
            };
            self.issues.remove(&marker);
        }
    }
}

#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Myself {
    #[serde(default)]
    account_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// The properties of all users.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The property's path for each user; `None` where there is none.
    paths: Cache<String, Option<String>>,
    books: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Book>>>>,
    /// Since when this process remembers by itself.
    since: Timestamp,
}

impl Registry {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            since: clock.now(),
            paths: Cache::new(clock),
            books: Mutex::default(),
        }
    }

    fn book(&self, api: &Api) -> Arc<tokio::sync::Mutex<Book>> {
        let mut books = lock(&self.books);
        if books.len() >= 256 {
            books.clear();
        }
        Arc::clone(books.entry(api.identity().to_owned()).or_default())
    }

    /// The key of an issue of late, of before this process: it remembers its own.
    ///
    /// # Errors
    /// If Jira cannot say now. A second issue may come of not knowing, and none of waiting.
    pub(crate) async fn find(
        &self,
        api: &Api,
        flavour: Flavour,
        marker: &str,
    ) -> Result<Option<String>> {
        let now = api.clock().now();
        let age = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        if age >= LIFE {
            return Ok(None);
        }
        let identity = api.identity().to_owned();
        let path = self.paths.get(identity, path(api, flavour)).await?;
        let Some(path) = path else { return Ok(None) };
        let Some(read) = self.ask(api, &path).await? else {
            return Ok(None);
        };
        let book = self.book(api);
        let mut book = book.lock().await;
        book.merge(read);
        book.tidy(now);
        Ok(book.issues.get(marker).map(|(key, _)| key.clone()))
    }

    /// What is noted in Jira. `None`: nothing can be.
    async fn ask(&self, api: &Api, path: &str) -> Result<Option<Book>> {
        let answer = api.send(api.request(Method::GET, path), Step::Look).await?;
        match answer.status() {
            200 => {
                let property: Property = api.read(&answer, Step::Look)?;
                // Of another version: written anew.
                Ok(Some(Book::deserialize(property.value).unwrap_or_default()))
            }
            // Not set yet, as Jira says it. What is no Jira's answer: there is no such thing.
            404 if crate::error::complaints(&answer).contains_key("")
                && answer.text().contains("errorMessages") =>
            {
                Ok(Some(Book::default()))
            }
            status => {
                if (400..=499).contains(&status) && status != 429 {
                    self.paths.set(api.identity().to_owned(), None).await;
                }
                match status {
                    404 => Ok(None),
                    _ => Err(api.refused(&answer, Step::Look)),
                }
            }
        }
    }

    /// Keeps an issue. That it cannot be kept does no harm but after a restart.
    pub(crate) async fn note(&self, api: &Api, flavour: Flavour, marker: &str, key: &str) {
        let path = self
            .paths
            .get(api.identity().to_owned(), path(api, flavour))
            .await;
        let Ok(Some(path)) = path else { return };
        let now = api.clock().now();
        let book = self.book(api);
        let mut book = book.lock().await;
        let entry = (key.to_owned(), now.as_millisecond());
        book.issues.insert(marker.to_owned(), entry);
        // Once for each writing, so that what is there, or came from others, stays.
        if !std::mem::take(&mut book.is_read) {
            match self.ask(api, &path).await {
                Ok(Some(read)) => book.merge(read),
                Ok(None) => return,
                Err(e) => {
                    tracing::debug!(error = %e.report(), "cannot keep a new issue's key in Jira");
                    return;
                }
            }
            book.is_read = false;
        }
        book.tidy(now);
        let request = api.request(Method::PUT, &path).json(&*book);
        let sent = api.send(request, Step::Comment).await;
        let why = match sent {
            Ok(answer) if answer.is_success() => return,
            Ok(answer) => api.refused(&answer, Step::Comment),
            Err(e) => e,
        };
        tracing::debug!(error = %why.report(), "cannot keep a new issue's key in Jira");
    }
}

/// Where the property is.
async fn path(api: &Api, flavour: Flavour) -> Result<Option<String>> {
    let answer = api
        .send(
            api.request(Method::GET, &flavour.path("myself")),
            Step::Look,
        )
        .await?;
    if answer.status() == 404 {
        return Ok(None);
    }
    let me: Myself = api.read(&answer, Step::Look)?;
    let who = match flavour {
        Flavour::Cloud => me
            .account_id
            .map(|id| format!("accountId={}", segment(&id))),
        Flavour::DataCenter => me.name.map(|name| format!("username={}", segment(&name))),
    };
    Ok(who.map(|who| flavour.path(&format!("user/properties/{PROPERTY}?{who}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_small_and_young() {
        let now = Timestamp::from_second(10_000).unwrap();
        let mut book = Book::default();
        for n in 0..1000 {
            let at = now.as_millisecond() - n;
            let marker = format!("notifier-{n:032}");
            book.issues
                .insert(marker, (format!("LONGPROJECT-{n:05}"), at));
        }
        book.issues.insert("old".into(), ("A-1".into(), 0));
        book.tidy(now);
        assert_eq!(book.issues.len(), MOST);
        assert!(!book.issues.contains_key("old"));
        assert!(book.issues.contains_key(&format!("notifier-{:032}", 0)));
        let json = serde_json::to_string(&book).unwrap();
        assert!(json.len() <= 32_768, "{}", json.len());
    }
}
