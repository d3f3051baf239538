//! From what was said to what is checked.

mod target;

use std::{collections::BTreeMap, time::Duration};

use notifier_runtime::{Env, Problems};
use smtp_probe::{Level, Target, change::Damping, place};

use self::target::is_local;
use crate::{
    cli::Given,
    file::{self, Content},
    values::Values,
    watch,
};

/// A target, how often it is checked, and where its messages go.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) target: Target,
    pub(crate) interval: Duration,
    pub(crate) damping: Damping,
    pub(crate) labels: BTreeMap<String, String>,
}

/// How /probe checks an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Module {
    values: Values,
}

/// Whether a target is of a kind.
type Is = fn(&Target) -> bool;

/// What is checked, and how it is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// In the order given, each name once.
    pub(crate) jobs: Vec<Job>,
    /// By name; the one without a name has the flags and `[defaults]` alone.
    pub(crate) modules: BTreeMap<String, Module>,
    /// The options of the run.
    pub(crate) run: Values,
    /// The file of `SMTP_PASSWORD_FILE`.
    password_file: Option<String>,
}

impl Plan {
    pub(crate) fn make(given: Given, env: &Env) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let content = match given.run.path("config") {
            Some(path) => file::read(&path, &watch::cli(), &mut problems),
            None => Content::default(),
        };
        let password_file = variable(env, "SMTP_PASSWORD_FILE", &mut problems);
        let mut plan = Self {
            run: given.run.over(&content.top),
            password_file,
            ..Self::default()
        };
        let defaults = given.target.over(&content.defaults);
        let of = |table: &file::Table| given.target.over(&table.values).over(&content.defaults);
        plan.modules.insert(
            String::new(),
            Module {
                values: defaults.clone(),
            },
        );
        for table in &content.targets {
            plan.modules
                .insert(table.name.clone(), Module { values: of(table) });
        }
        let labels = |table: Option<&file::Table>| {
            let mut labels = content.labels.clone();
            labels.extend(table.into_iter().flat_map(|t| t.labels.clone()));
            labels
        };
        let add = |name: Option<&file::Table>,
                   address: &str,
                   values: &Values,
                   problems: &mut Problems| {
            let at = name.map(|t| format!("{}: ", t.at)).unwrap_or_default();
            match plan.target(values, address) {
                Ok(mut target) => {
                    if let Some(table) = name.filter(|t| t.address.as_deref() != Some(&t.name)) {
                        target.name.clone_from(&table.name);
                    }
                    let job = Job {
                        target,
                        interval: values
                            .duration("interval")
                            .unwrap_or(Duration::from_secs(60)),
                        damping: damping(values),
                        labels: labels(name),
                    };
                    Some(job)
                }
                Err(list) => {
                    for why in list {
                        problems.push(format!("{at}{why}"));
                    }
                    None
                }
            }
        };
        let mut jobs: Vec<Option<Job>> = Vec::new();
        for address in &given.addresses {
            match content.targets.iter().find(|t| t.name == *address) {
                Some(table) => match &table.address {
                    Some(at) => jobs.push(add(Some(table), at, &of(table), &mut problems)),
                    None if is_local(&of(table)) => {
                        jobs.push(add(Some(table), "", &of(table), &mut problems));
                    }
                    None => problems.push(format!("{address}: this [[target]] has no address")),
                },
                None => jobs.push(add(None, address, &defaults, &mut problems)),
            }
        }
        if given.addresses.is_empty() {
            for table in &content.targets {
                let at = match &table.address {
                    Some(at) => Some(at.as_str()),
                    None => is_local(&of(table)).then_some(""),
                };
                if let Some(at) = at {
                    jobs.push(add(Some(table), at, &of(table), &mut problems));
                }
            }
            if jobs.is_empty() {
                match from_env(env, &mut problems) {
                    Some(address) => jobs.push(add(None, &address, &defaults, &mut problems)),
                    // What is on this machine can be looked at without a server.
                    None if is_local(&defaults) && problems.is_empty() => {
                        jobs.push(add(None, "", &defaults, &mut problems));
                    }
                    None => {}
                }
            }
        }
        for job in jobs.into_iter().flatten() {
            if plan.jobs.iter().all(|j| j.target.name != job.target.name) {
                plan.jobs.push(job);
            }
        }
        plan.idle(&given.target, &mut problems);
        plan.enough(&mut problems);
        problems.into_result().map(|()| plan)
    }

    /// Something must be there to check.
    fn enough(&self, problems: &mut Problems) {
        let may_be_asked =
            self.run.text("listen").is_some() && self.run.list("probe-targets").is_some();
        if !self.jobs.is_empty() || !problems.is_empty() {
            return;
        }
        if self.run.bool("watch") || !may_be_asked {
            problems.push(
                "no target: give HOST:PORT, or --config with a [[target]], or set SMTP_HOST_IP; --queue and --main-cf need none",
            );
        }
    }

    /// A flag that does nothing is a mistake. In a file it may be there for other targets.
    fn idle(&self, flags: &Values, problems: &mut Problems) {
        let any = |is: Is| {
            // Without targets all is for /probe.
            self.jobs.is_empty() || self.jobs.iter().any(|j| is(&j.target))
        };
        let rules: [(&[&str], Is, &str); 5] = [
            (
                &["relay-domain", "well-known", "own-domain", "victim"],
                |t| t.open_relay.is_some(),
                "--open-relay",
            ),
            (
                &[
                    "from",
                    "rcpt",
                    "rcpt-unknown",
                    "open-relay",
                    "canary",
                    "send",
                    "user",
                    "main-cf",
                ],
                |t| t.level > Level::Live,
                "--level ready or deep",
            ),
            (
                &["domain", "dkim-selector", "dnsbl", "egress", "dns-timeout"],
                |t| t.dns.wanted || t.level == Level::Deep,
                "--dns or --level deep",
            ),
            (
                &[
                    "canary-password-file",
                    "canary-ca",
                    "canary-warn",
                    "canary-timeout",
                ],
                |t| t.canary.is_some(),
                "--canary",
            ),
            (
                &[
                    "queue-depth",
                    "deferred-age",
                    "active-age",
                    "queue-growth",
                    "spool-free",
                ],
                |t| t.queue.is_some(),
                "--queue",
            ),
        ];
        for (keys, is, need) in rules {
            for key in keys.iter().filter(|k| flags.has(k) && !any(is)) {
                problems.push(format!("--{key} does nothing without {need}"));
            }
        }
        let is_service = self.run.text("listen").is_some() || self.run.bool("watch");
        for key in ["interval", "flap-changes", "flap-window"]
            .iter()
            .filter(|k| flags.has(k))
        {
            if !is_service {
                problems.push(format!("--{key} does nothing without --listen or --watch"));
            }
        }
        for key in ["format", "all", "quiet", "color"] {
            if is_service && self.run.has(key) {
                problems.push(format!("--{key} does nothing with --listen or --watch"));
            }
        }
        if self.run.has("probe-targets") && self.run.text("listen").is_none() {
            problems.push("--probe-targets does nothing without --listen");
        }
    }

    /// A target as /probe is asked for it: the address, checked by a module.
    pub(crate) fn probed(&self, module: &Module, address: &str) -> Result<Target, Vec<String>> {
        self.target(&module.values, address)
    }

    /// What --check-config prints.
    pub(crate) fn describe(&self) -> String {
        let mut out = String::new();
        for job in &self.jobs {
            let target = &job.target;
            let level = match target.level {
                Level::Live => "live",
                Level::Ready => "ready",
                Level::Deep => "deep",
            };
            out.push_str(&format!(
                "{}: {}, {level}, every {} s\n",
                target.name,
                place_of(target),
                job.interval.as_secs_f64()
            ));
        }
        let only: Vec<&str> = self
            .modules
            .keys()
            .map(String::as_str)
            .filter(|m| !m.is_empty())
            .collect();
        if !only.is_empty() {
            out.push_str(&format!("modules of /probe: {}\n", only.join(", ")));
        }
        out
    }
}

/// `host:port`, or where there is no server `this machine`.
pub(crate) fn place_of(target: &Target) -> String {
    match target.is_local() {
        true => "this machine".to_owned(),
        false => Target::new(target.host.clone(), target.port).name,
    }
}

fn damping(values: &Values) -> Damping {
    let usual = Damping::default();
    Damping {
        changes: values
            .number("flap-changes")
            .map_or(usual.changes, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        window: values.duration("flap-window").unwrap_or(usual.window),
    }
}

fn variable(env: &Env, name: &str, problems: &mut Problems) -> Option<String> {
    match env.get(name)? {
        Ok(value) => Some(value.to_owned()),
        Err(e) => {
            problems.push(format!("{name}: {e}"));
            None
        }
    }
}

/// The target of `SMTP_HOST_IP` and `SMTP_HOST_PORT`, which Kubernetes may set as `tcp://IP:PORT`.
fn from_env(env: &Env, problems: &mut Problems) -> Option<String> {
    let host = variable(env, "SMTP_HOST_IP", problems)?;
    let port = match variable(env, "SMTP_HOST_PORT", problems) {
        None => 25,
        Some(text) => match place::service_port(&text) {
            Some(port) => port,
            None => {
                problems.push(format!(
                    "SMTP_HOST_PORT: {text:?} is neither a port nor tcp://IP:PORT"
                ));
                return None;
            }
        },
    };
    match place::host(&host) {
        Some(host) if host.contains(':') => Some(format!("[{host}]:{port}")),
        Some(host) => Some(format!("{host}:{port}")),
        None => {
            problems.push(format!(
                "SMTP_HOST_IP: {host:?} is neither an address nor a name"
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests;
