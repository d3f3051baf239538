//! One GET, over TCP or a unix socket.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;
use notifier_core::{Error, Result, bytes::Bytes};
use notifier_http::{BasicLogin, HttpClient};

use crate::endpoint::Endpoint;

/// What gets pages of the API. Endpoints are numbered from 0.
pub(crate) trait Get: fmt::Debug + Send + Sync + 'static {
    fn endpoints(&self) -> usize;

    /// An endpoint as it may be shown.
    fn shown(&self, at: usize) -> String;

    /// The body of an answer with status 200, nothing for 404.
    fn get<'a>(&'a self, at: usize, target: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>>;
}

/// Gets pages by HTTP.
#[derive(Debug)]
pub(crate) struct Http {
    endpoints: Vec<(Endpoint, HttpClient)>,
    credentials: Option<BasicLogin>,
    timeout: Duration,
    /// The longest answer, in bytes.
    max: usize,
}

impl Http {
    pub(crate) fn new(
        http: &HttpClient,
        endpoints: Vec<Endpoint>,
        credentials: Option<BasicLogin>,
        timeout: Duration,
        max: usize,
    ) -> Result<Self> {
        let with_client = |endpoint: Endpoint| {
            let client = match &endpoint {
                Endpoint::Url(_) => http.clone(),
                #[cfg(unix)]
                Endpoint::Socket(path) => HttpClient::builder()
                    .unix_socket(path)
                    .connect_timeout(timeout)
                    .build()?,
                #[cfg(not(unix))]
                Endpoint::Socket(_) => http.clone(),
            };
            Ok((endpoint, client))
        };
        Ok(Self {
            endpoints: endpoints
                .into_iter()
                .map(with_client)
                .collect::<Result<_>>()?,
            credentials,
            timeout,
            max,
        })
    }

    async fn ask(&self, at: usize, target: &str) -> Result<Option<Bytes>> {
        let (endpoint, client) = &self.endpoints[at];
        let mut request = client
            .get(&format!("{}{target}", endpoint.base()))
            .header("Accept", "application/json")
            .timeout(Some(self.timeout))
            .max_answer(self.max)
            .strict();
        if let Some(credentials) = &self.credentials {
            request = credentials.apply(request)?;
        }
        let answer = request.send().await.map_err(|e| named(endpoint, &e, ""))?;
        match answer.status() {
            404 => Ok(None),
            200 => Ok(Some(answer.body().clone())),
            status => {
                let hint = match (status, &self.credentials) {
                    (401, None) => "; set fleet.credentials",
                    (401 | 403, Some(_)) => "; check fleet.credentials",
                    _ => "",
                };
                Err(named(endpoint, &answer.error(), hint))
            }
        }
    }
}

/// An error in one line that names the endpoint as it was set.
fn named(endpoint: &Endpoint, e: &Error, hint: &str) -> Error {
    let text = e.report().to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = match endpoint {
        Endpoint::Url(_) => line.to_owned(),
        Endpoint::Socket(_) => line.replace(endpoint.base(), &endpoint.shown()),
    };
    Error::new(e.kind(), format!("{line}{hint}"))
}

impl Get for Http {
    fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    fn shown(&self, at: usize) -> String {
        self.endpoints[at].0.shown()
    }

    fn get<'a>(&'a self, at: usize, target: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(self.ask(at, target))
    }
}
