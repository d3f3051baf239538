//! What a watcher watches, built out of its settings.

use std::{fmt, sync::Arc};

use axum::Router;
use notifiers::{Engine, LogLocator, Result, Source};
#[cfg(feature = "mesos")]
use notifiers::{
    SystemClock,
    mesos::{self, MesosBuilder, MesosLogLocator, MesosSource},
};

use crate::{Parsed, Problems, http::ServerTls};

/// Sources of failures, and what finds their logs.
///
/// ```
/// use notifier_runtime::Feed;
/// use notifiers::{Batch, Result, Source};
/// use futures_util::stream::{self, BoxStream, StreamExt as _};
///
/// #[derive(Debug)]
/// struct Quiet;
/// impl Source for Quiet {
///     fn name(&self) -> &str { "quiet" }
///     fn events(self: Box<Self>, _: Option<serde_json::Value>) -> BoxStream<'static, Result<Batch>> {
///         stream::pending().boxed()
///     }
/// }
/// assert_eq!(Feed::new(Quiet).name(), "quiet");
/// ```
#[must_use]
pub struct Feed {
    /// None if what is told comes over the routes.
    pub(crate) sources: Vec<Box<dyn Source>>,
    pub(crate) locators: Vec<(String, Arc<dyn LogLocator>)>,
    pub(crate) routes: Option<Routes>,
    pub(crate) tls: Option<ServerTls>,
}

/// What makes the routes of the HTTP interface.
type Routes = Box<dyn FnOnce(&Engine) -> Router + Send>;

impl Feed {
    /// A source whose failures' logs need no looking for.
    pub fn new(source: impl Source) -> Self {
        Self {
            sources: vec![Box::new(source)],
            locators: Vec::new(),
            routes: None,
            tls: None,
        }
    }

    /// Nothing to read: what is told comes over these [`routes`](Self::routes), which
    /// [submit](Engine::submit) it.
    pub fn posted(routes: impl FnOnce(&Engine) -> Router + Send + 'static) -> Self {
        Self {
            sources: Vec::new(),
            locators: Vec::new(),
            routes: None,
            tls: None,
        }
        .routes(routes)
    }

    /// Serves HTTPS on the address of `-listen`, in place of HTTP.
    pub fn tls(mut self, tls: Option<ServerTls>) -> Self {
        self.tls = tls;
        self
    }

    /// Serves these routes on the address of `-listen`, in place of the usual
    /// [`Interface`](crate::http::Interface). The engine is there to be asked for its health.
    pub fn routes(mut self, routes: impl FnOnce(&Engine) -> Router + Send + 'static) -> Self {
        self.routes = Some(Box::new(routes));
        self
    }

    /// Adds what finds the logs of the failures of one source, by the name that they bear.
    pub fn locator(mut self, source: impl Into<String>, locator: impl LogLocator) -> Self {
        self.locators.push((source.into(), Arc::new(locator)));
        self
    }

    /// Adds the sources of another feed, and what finds their logs. Its routes hold if this one has none.
    pub fn and(mut self, other: Self) -> Self {
        self.sources.extend(other.sources);
        self.locators.extend(other.locators);
        self.routes = self.routes.or(other.routes);
        self.tls = self.tls.or(other.tls);
        self
    }

    /// The name of the first source.
    pub fn name(&self) -> &str {
        self.sources.first().map_or("", |s| s.name())
    }

    /// The failures of a Mesos cluster: `-masters` and the section `mesos`.
    ///
    /// # Errors
    /// What is wrong with them. Without masters it is one of an address that leads nowhere,
    /// since that they are missing is told by who requires them.
    #[cfg(feature = "mesos")]
    pub fn mesos(parsed: &Parsed) -> Result<Self> {
        let mut masters = parsed.program.list("masters");
        if masters.is_empty() {
            masters.push("http://unset");
        }
        let (source, locator) = cluster(parsed, &masters)?;
        let name = Source::name(&source).to_owned();
        Ok(Self::new(source).locator(name, locator))
    }

    /// The failures of Chronos' jobs: the section `chronos`, and the cluster of `-masters`
    /// where it is given, which shows each failed run.
    ///
    /// # Errors
    /// What is wrong with the settings.
    #[cfg(feature = "chronos")]
    pub fn chronos(parsed: &Parsed) -> Result<Self> {
        use notifiers::chronos::{self, ChronosBuilder};

        let client = crate::registry::http_client(parsed)?;
        let settings = parsed.backend(chronos::OPTIONS).instance("");
        let builder = ChronosBuilder::from_settings(&settings, client, Arc::new(SystemClock))?
            .label_prefix(parsed.program.text("label-prefix"))
            .backlog(backlog(parsed));
        let masters = parsed.program.list("masters");
        if masters.is_empty() {
            return Ok(Self::new(builder.build()?));
        }
        let (source, locator) = cluster(parsed, &masters)?;
        let name = Source::name(&source).to_owned();
        let inner: Box<dyn Source> = Box::new(source);
        Ok(Self::new(builder.inner(inner).build()?).locator(name, locator))
    }

    /// The failed units of this machine's systemd: the section `systemd`.
    ///
    /// # Errors
    /// What is wrong with the settings.
    #[cfg(feature = "systemd")]
    pub fn systemd(parsed: &Parsed) -> Result<Self> {
        Ok(Self::new(crate::units::systemd(parsed)?))
    }

    /// The failed units of a whole fleet: the section `fleet`.
    ///
    /// # Errors
    /// What is wrong with the settings.
    #[cfg(feature = "fleet")]
    pub fn fleet(parsed: &Parsed) -> Result<Self> {
        use notifiers::fleet::{self, FleetBuilder};

        let client = crate::registry::http_client(parsed)?;
        let settings = parsed.backend(fleet::OPTIONS).instance("");
        let clock = Arc::new(notifiers::SystemClock);
        let builder = FleetBuilder::from_settings(&settings, client, clock)
            .label_prefix(parsed.program.text("label-prefix"))
            .backlog(backlog(parsed));
        Ok(Self::new(builder.build()?))
    }

    /// The failed units of what `-sources` names: this machine's systemd, a fleet, or both.
    ///
    /// # Errors
    /// What is wrong with the settings.
    #[cfg(feature = "systemd")]
    pub fn units(parsed: &Parsed) -> Result<Self> {
        let mut feeds = Vec::new();
        for source in crate::units::sources(parsed) {
            feeds.push(match source {
                "systemd" => Self::systemd(parsed)?,
                #[cfg(feature = "fleet")]
                "fleet" => Self::fleet(parsed)?,
                other => return Err(crate::units::no_source(other)),
            });
        }
        let mut feeds = feeds.into_iter();
        match feeds.next() {
            Some(first) => Ok(feeds.fold(first, Self::and)),
            None => Err(notifiers::Error::config(
                "sources: name one, such as systemd",
            )),
        }
    }

    /// A [check](crate::Cli::check) that builds a feed and lets it go, so that all that is
    /// wrong is told at once.
    pub fn check(
        build: impl Fn(&Parsed) -> Result<Self> + Send + Sync + 'static,
    ) -> impl Fn(&Parsed, &mut Problems) + Send + Sync + 'static {
        move |parsed, problems| {
            problems.take(build(parsed));
        }
    }
}

/// What becomes of failures that are there at the first start.
#[cfg(any(feature = "mesos", feature = "systemd", feature = "fleet"))]
pub(crate) fn backlog(parsed: &Parsed) -> notifiers::Backlog {
    match parsed.program.text("backlog") {
        "report" => notifiers::Backlog::Report,
        _ => notifiers::Backlog::Skip,
    }
}

#[cfg(feature = "mesos")]
fn cluster(parsed: &Parsed, masters: &[&str]) -> Result<(MesosSource, MesosLogLocator)> {
    let settings = parsed.backend(mesos::OPTIONS).instance("");
    MesosBuilder::from_settings(masters.iter().copied(), &settings, Arc::new(SystemClock))?
        .backlog(backlog(parsed))
        .build()
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}
