use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    BackendSettings, DeliveryId, Destination, Error, FailureRecord, FrameworkFilter, LabelGrammar,
    LabelScope, NewDelivery, Reporter, Result, Settings, Subject,
    policy::{RATE, Rate},
    redact,
};

/// The most instances of one reporter that a task's label can ask for.
const MOST_INSTANCES: usize = 32;

/// Decides where a failure goes.
pub(super) struct Router {
    grammar: LabelGrammar,
    filter: FrameworkFilter,
    reporters: Vec<(BackendSettings, Arc<dyn Reporter>)>,
}

/// How a destination is sent to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) rate: Option<Rate>,
    pub(super) concurrency: usize,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            rate: None,
            concurrency: 1,
        }
    }
}

/// The rate that an instance's settings say; values are checked when they are set.
fn rate(settings: &Settings) -> Option<Rate> {
    Rate::read(settings.text(RATE)).ok().flatten()
}

/// Where a failure goes, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// The framework filter lets it pass. If not, there are no routes.
    pub allowed: bool,
    /// One for each instance of each reporter that was asked for.
    pub routes: Vec<Route>,
    /// What the failure has in common with those it is grouped with, if storm control is on.
    pub fingerprint: Option<String>,
}

/// One instance of one reporter, for one failure.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Route {
    /// The reporter.
    pub reporter: &'static str,
    /// The instance.
    pub instance: String,
    /// Where it leads, `None` if nothing is sent.
    pub destination: Option<Destination>,
    /// Why it is asked for, or why nothing is sent.
    pub why: String,
    /// How fast the destination may be sent to.
    pub rate: Option<Rate>,
}

/// The values of an instance, and where they lead. Labels with which they lead nowhere count as
/// not set: the error is what is wrong with them.
fn lead(
    settings: &BackendSettings,
    reporter: &dyn Reporter,
    scope: &LabelScope<'_>,
    instance: &str,
) -> (Settings, Result<Option<Destination>>, Option<Error>) {
    let ask = |resolved: &Settings| {
        let asked = std::panic::AssertUnwindSafe(|| reporter.destination(resolved));
        std::panic::catch_unwind(asked)
            .unwrap_or_else(|_| Err(Error::internal("the reporter panicked")))
    };
    let resolved = settings.resolve(scope, instance);
    match ask(&resolved) {
        Err(e) => {
            let plain = settings.instance(instance);
            match ask(&plain) {
                Ok(asked) => (plain, Ok(asked), Some(e)),
                Err(_) => (resolved, Err(e), None),
            }
        }
        asked => (resolved, asked, None),
    }
}

impl Router {
    pub(super) fn new(
        grammar: LabelGrammar,
        filter: FrameworkFilter,
        reporters: Vec<(BackendSettings, Arc<dyn Reporter>)>,
    ) -> Self {
        Self {
            grammar,
            filter,
            reporters,
        }
    }

    pub(super) fn decide(&self, failure: &FailureRecord) -> Decision {
        let allowed = self.filter.allows(&failure.framework);
        let mut routes = Vec::new();
        if allowed {
            let scope = self.grammar.scope(&failure.labels);
            for (settings, reporter) in &self.reporters {
                let why = match scope.instances_label(settings.name()) {
                    Some((label, _)) => format!("label {label}"),
                    None => "implicit default".to_owned(),
                };
                let instances = scope.instances(settings.name());
                if instances.len() > MOST_INSTANCES {
                    tracing::warn!(task = %failure.id, reporter = settings.name(), asked = instances.len(), "a label asks for more than {MOST_INSTANCES} instances; only the first are told");
                }
                for instance in instances.into_iter().take(MOST_INSTANCES) {
                    let (resolved, asked, ignored) =
                        lead(settings, reporter.as_ref(), &scope, instance);
                    for wrong in resolved.invalid() {
                        tracing::warn!(task = %failure.id, reporter = settings.name(), instance, "{wrong}; it is ignored");
                    }
                    if let Some(e) = ignored {
                        tracing::warn!(task = %failure.id, reporter = settings.name(), instance, error = %e.report(), "its labels lead nowhere; they are ignored");
                    }
                    let (destination, why) = match asked {
                        Ok(Some(d)) => (Some(d), why.clone()),
                        Ok(None) => {
                            tracing::debug!(task = %failure.id, reporter = settings.name(), instance, "not configured for this instance, nothing is sent");
                            (None, "not configured for this instance".to_owned())
                        }
                        Err(e) => {
                            tracing::error!(task = %failure.id, reporter = settings.name(), instance, error = %e.report(), "cannot tell where to send");
                            (None, e.report().to_string())
                        }
                    };
                    routes.push(Route {
                        reporter: settings.name(),
                        instance: instance.to_owned(),
                        destination,
                        why,
                        rate: rate(&resolved),
                    });
                }
            }
        }
        Decision {
            allowed,
            routes,
            fingerprint: None,
        }
    }

    pub(super) fn deliveries(
        &self,
        failure: &FailureRecord,
        decision: &Decision,
    ) -> Vec<NewDelivery> {
        decision
            .routes
            .iter()
            .filter_map(|r| {
                let id = DeliveryId::derive(
                    &self.grammar.name,
                    &failure.key,
                    r.reporter,
                    &r.instance,
                    0,
                );
                let delivery =
                    NewDelivery::new(id, r.reporter, r.instance.as_str(), r.destination.clone()?);
                Some(delivery.because(r.why.as_str()))
            })
            .collect()
    }

    /// The reporter of a delivery, and the settings that hold for it now.
    pub(super) fn resolve(
        &self,
        delivery: &NewDelivery,
        labels: &BTreeMap<String, String>,
    ) -> Option<(&Arc<dyn Reporter>, Settings)> {
        let (settings, reporter) = self
            .reporters
            .iter()
            .find(|(s, _)| s.name() == delivery.reporter)?;
        let scope = self.grammar.scope(labels);
        let (resolved, ..) = lead(settings, reporter.as_ref(), &scope, &delivery.instance);
        Some((reporter, resolved))
    }

    /// How an instance of a reporter is sent to.
    pub(super) fn lane(&self, reporter: &str, instance: &str) -> Lane {
        let found = self.reporters.iter().find(|(s, _)| s.name() == reporter);
        found.map_or_else(Lane::default, |(settings, reporter)| Lane {
            rate: rate(&settings.instance(instance)),
            concurrency: reporter.capability().concurrency.max(1),
        })
    }

    /// Where a word about a destination that is dead could go: each instance that is
    /// configured without a task's labels, but for those that lead to the same.
    pub(super) fn others(&self, dead: Option<&Destination>) -> Vec<NewDelivery> {
        let mut out: Vec<NewDelivery> = Vec::new();
        for (settings, reporter) in &self.reporters {
            for instance in settings.instances() {
                let Ok(Some(destination)) = reporter.destination(&settings.instance(instance))
                else {
                    continue;
                };
                let known =
                    dead == Some(&destination) || out.iter().any(|d| d.destination == destination);
                if !known {
                    // The id is set when it is known what is told.
                    out.push(NewDelivery::new(
                        DeliveryId::new(""),
                        settings.name(),
                        instance,
                        destination,
                    ));
                }
            }
        }
        out
    }

    /// The watcher's name.
    pub(super) fn name(&self) -> &str {
        &self.grammar.name
    }

    /// The values of labels that are secret: by their keys, or since they set an
    /// option that is declared secret.
    pub(super) fn secrets<'a>(&self, failure: &'a FailureRecord) -> Vec<&'a str> {
        let prefix = format!("{}_", self.grammar.prefix);
        let declared = |key: &str| {
            key.starts_with(&prefix)
                && self.reporters.iter().any(|(settings, _)| {
                    settings.group().options.iter().any(|o| {
                        o.secret
                            && o.label
                            && key
                                .strip_suffix(o.key)
                                .is_some_and(|rest| rest.ends_with('_'))
                    })
                })
        };
        failure
            .labels
            .iter()
            .filter(|(k, v)| !v.is_empty() && (redact::is_secret_label(k, v) || declared(k)))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// What the template function `config` answers.
    pub(super) fn config(
        &self,
        delivery: &NewDelivery,
        subject: &Subject,
    ) -> impl Fn(&str) -> String + Send + Sync + 'static {
        let grammar = self.grammar.clone();
        let (reporter, instance) = (delivery.reporter.clone(), delivery.instance.clone());
        let subject = subject.clone();
        move |key| {
            let Some(failure) = subject.failure() else {
                return String::new();
            };
            let scope = grammar.scope(&failure.labels);
            scope
                .get(&reporter, &instance, key)
                .unwrap_or_default()
                .to_owned()
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("grammar", &self.grammar)
            .field("reporters", &self.reporters)
            .finish_non_exhaustive()
    }
}
