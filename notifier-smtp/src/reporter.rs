//! The reporter.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, Capability, DEFAULT_INSTANCE, Destination, Error, Receipt, Reconciled, Report,
    ReportOptions, Reporter, ReporterExt as _, Result, Settings,
};
use tokio::time::Instant;

use crate::{
    SCHEME, SmtpReporterBuilder, address::Address, attempt::Attempt, mail::Composer, pool::Pool,
    probe::probe, server::Server,
};

/// The most relays whose connections are kept.
const MOST_POOLS: usize = 64;
/// What the engine gives an attempt beyond the longest that ours take.
const MARGIN: Duration = Duration::from_secs(30);

/// Sends mail through a relay, each recipient's answer apart.
///
/// A relay cannot be asked whether it took a mail, nor does it know a second one from the first:
/// after an answer that was lost, a second mail is possible. It bears the same `Message-ID`.
#[derive(Debug)]
pub struct SmtpReporter {
    composer: Composer,
    settings: Settings,
    capability: Capability,
    /// By relay and login; the one used last is at the end.
    pools: Mutex<Vec<Arc<Pool>>>,
}

impl SmtpReporter {
    /// A reporter for use in a program of your own.
    pub fn builder() -> SmtpReporterBuilder {
        SmtpReporterBuilder::default()
    }

    /// A reporter of these settings. Nothing is sent by an instance without `server` or `host_ip`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) or
    /// [`ErrorKind::Template`](notifier_core::ErrorKind::Template) with the option's name.
    pub fn new(settings: &BackendSettings) -> Result<Self> {
        let composer = Composer::new(settings)?;
        let mut pools: Vec<Arc<Pool>> = Vec::new();
        let (mut concurrency, mut patience) = (1, Duration::ZERO);
        for instance in settings.instances() {
            let values = settings.instance(instance);
            let Some(server) = Server::read(&values)? else {
                continue;
            };
            composer.check(&values)?;
            concurrency = server.limits.pool.max(concurrency);
            patience = server.limits.attempt().max(patience);
            if let Some(login) = &server.login {
                login.password()?;
            }
            if !pools.iter().any(|p| *p.server() == server) {
                for warning in server.warnings() {
                    tracing::warn!(relay = %server, "{warning}");
                }
                pools.push(Pool::new(server)?);
            }
        }
        Ok(Self {
            composer,
            settings: settings.instance(DEFAULT_INSTANCE),
            capability: Capability::default()
                .with_concurrency(concurrency)
                .with_patience(patience + MARGIN),
            pools: Mutex::new(pools),
        })
    }

    /// The settings that it was built with, for [`ReportOptions::new`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends one report with the settings it was built with, once.
    ///
    /// # Errors
    /// As [`Reporter::report`].
    pub async fn send(&self, report: &Report) -> Result<Receipt> {
        self.send_once(report, &self.settings).await
    }

    /// The connections to the relay that these settings name.
    async fn pool(&self, settings: &Settings) -> Result<Arc<Pool>> {
        let server = Server::read(settings)?.ok_or_else(|| no_server(settings))?;
        if let Some(pool) = self.known(&server) {
            return Ok(pool);
        }
        // It reads files.
        let made = tokio::task::spawn_blocking(move || Pool::new(server)).await;
        let pool = made.map_err(|e| Error::internal("a relay was not set up").with_source(e))??;
        // Another may have been quicker.
        if let Some(known) = self.known(pool.server()) {
            return Ok(known);
        }
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() >= MOST_POOLS {
            pools.remove(0);
        }
        pools.push(Arc::clone(&pool));
        Ok(pool)
    }

    fn known(&self, server: &Server) -> Option<Arc<Pool>> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pools.iter().position(|p| p.server() == server)?;
        let pool = pools.remove(at);
        pools.push(Arc::clone(&pool));
        Some(pool)
    }
}

pub(crate) fn no_server(settings: &Settings) -> Error {
    match settings.require("server") {
        Err(e) => e,
        Ok(_) => Error::internal("a relay is named and is not known"),
    }
}

#[async_trait]
impl Reporter for SmtpReporter {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capability(&self) -> Capability {
        self.capability
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        Ok(Server::read(settings)?.map(|server| {
            let shown = server.to_string();
            let user = server.login.as_ref().map_or("", |l| l.user());
            Destination::new(SCHEME, [&shown, user], &shown)
        }))
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let pool = self.pool(opts.settings).await?;
        let attempt = Attempt::new(&self.composer, report, opts, pool).await?;
        Ok(attempt.run().await)
    }

    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }

    /// Connects, logs in, and asks for the sender and for all recipients that the settings
    /// name; nothing is sent.
    async fn check(&self, settings: &Settings) -> Result<()> {
        self.composer.check(settings)?;
        let sender = Address::read(settings.require("from")?)?;
        let mut to: Vec<Address> = Vec::new();
        for key in ["to", "cc", "fallback"] {
            for text in Address::split(settings.text(key)) {
                let address = Address::read(text)?;
                if !to.iter().any(|a| a.is_same_mailbox(&address)) {
                    to.push(address);
                }
            }
        }
        let pool = self.pool(settings).await?;
        let until = Instant::now() + pool.limits().attempt();
        let mut session = pool.open(1, until).await.map_err(|f| f.error())?;
        let answer = probe(&mut session, &sender, &to).await;
        session.quit().await;
        answer.map_err(|f| f.error())
    }
}
