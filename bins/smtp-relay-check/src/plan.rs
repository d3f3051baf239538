//! From what was said to what is checked.

use std::{collections::BTreeMap, path::Path, time::Duration};

use notifier_runtime::{Env, Problems};
use smtp_probe::{
    Battery, Bounds, Expect, Level, Login, Password, Queue, Target, Tls, change::Damping, place,
};

use crate::{
    check,
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
            if content.targets.is_empty() {
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
        let any = |is: fn(&Target) -> bool| {
            // Without targets all is for /probe.
            self.jobs.is_empty() || self.jobs.iter().any(|j| is(&j.target))
        };
        let rules: [(&[&str], fn(&Target) -> bool, &str); 4] = [
            (
                &["relay-domain", "well-known", "own-domain", "victim"],
                |t| t.open_relay.is_some(),
                "--open-relay",
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
        if self.run.has("probe-targets") && self.run.text("listen").is_none() {
            problems.push("--probe-targets does nothing without --listen");
        }
    }

    /// A target as /probe is asked for it: the address, checked by a module.
    pub(crate) fn probed(&self, module: &Module, address: &str) -> Result<Target, Vec<String>> {
        self.target(&module.values, address)
    }

    /// The target of an address and these values.
    fn target(&self, values: &Values, address: &str) -> Result<Target, Vec<String>> {
        let mut wrong = Vec::new();
        let mut target = match Target::parse(address) {
            _ if address.is_empty() && is_local(values) => Target::local("localhost"),
            Ok(target) => target,
            Err(e) => return Err(vec![e.report().to_string()]),
        };
        let lists = [
            ("from", &mut target.from),
            ("rcpt", &mut target.rcpt),
            ("require", &mut target.require),
            ("forbid", &mut target.forbid),
            ("domain", &mut target.dns.domains),
            ("dkim-selector", &mut target.dns.dkim),
            ("dnsbl", &mut target.dns.dnsbl),
        ];
        for (key, list) in lists {
            if let Some(said) = values.list(key) {
                *list = said.to_vec();
            }
        }
        for sender in &mut target.from {
            if sender == "<>" {
                sender.clear();
            }
        }
        match values.text("level") {
            Some("live") => target.level = Level::Live,
            Some("deep") => target.level = Level::Deep,
            _ => {}
        }
        match values.text("tls") {
            Some("implicit") => target.tls = Tls::Implicit,
            Some("starttls") => target.tls = Tls::Starttls,
            Some("opportunistic") => target.tls = Tls::Opportunistic,
            Some("none") => target.tls = Tls::None,
            // The scheme of the address has said it.
            _ => {}
        }
        match values.text("expect") {
            Some("trusted") => target.expect = Expect::Trusted,
            Some("auth") => target.expect = Expect::Auth,
            _ => {}
        }
        target.ca = values.path("ca");
        target.tls_name = values.text("tls-name").map(str::to_owned);
        target.helo = values.text("helo").and_then(place::helo);
        target.helo_short = values.text("helo-short").map(str::to_owned);
        target.source = values.text("source").and_then(|t| check::address(t).ok());
        target.tls13 = values.bool("tls13");
        target.allow_clear = values.bool("allow-clear");
        target.auth_negative = values.bool("auth-negative");
        target.rcpt_unknown = values.bool("rcpt-unknown");
        target.min_size = values.size("min-size").unwrap_or(0);
        target.send = values.bool("send");
        target.main_cf = values.path("main-cf");
        target.queue = values.path("queue").map(|path| queue(&path));
        if values.bool("open-relay") {
            target.open_relay = Some(battery(values));
        }
        if let Some(resolver) = values.text("dns") {
            target.dns.wanted = true;
            target.dns.server = check::resolver(resolver).ok().flatten();
        }
        target.dns.egress = values.text("egress").and_then(|t| check::address(t).ok());
        self.login(values, &mut target, &mut wrong);
        if let Some(text) = values.text("canary") {
            let ca = values.path("canary-ca");
            let made = check::destination(text)
                .and_then(|d| d.canary(values.path("canary-password-file"), ca));
            match made {
                Ok(canary) => target.canary = Some(canary),
                Err(why) => wrong.push(why),
            }
        }
        times(values, &mut target);
        thresholds(values, &mut target);
        consistent(&target, &mut wrong);
        match wrong.is_empty() {
            true => Ok(target),
            false => Err(wrong),
        }
    }

    fn login(&self, values: &Values, target: &mut Target, wrong: &mut Vec<String>) {
        let file = values.text("password-file");
        match (values.text("user"), file.or(self.password_file.as_deref())) {
            (None, _) if file.is_some() => wrong.push("password-file: set --user too".to_owned()),
            (None, _) => {}
            (Some(_), None) => {
                wrong.push("user: set --password-file or SMTP_PASSWORD_FILE too".to_owned())
            }
            (Some(user), Some(file)) => {
                target.login = Some(Login {
                    user: user.to_owned(),
                    password: Password::File(file.into()),
                });
            }
        }
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

/// What cannot be done together.
fn consistent(target: &Target, wrong: &mut Vec<String>) {
    if target.is_local() {
        let needs = [
            ("canary", target.canary.is_some()),
            ("open-relay", target.open_relay.is_some()),
            ("rcpt", !target.rcpt.is_empty()),
            ("user", target.login.is_some()),
        ];
        for (key, _) in needs.iter().filter(|(_, is_set)| *is_set) {
            wrong.push(format!("{key}: give a TARGET, or set SMTP_HOST_IP"));
        }
    }
    if target.login.is_some() && target.tls == Tls::None && !target.allow_clear {
        wrong.push(
            "tls: none would send the password in clear; set --allow-clear if that is meant"
                .to_owned(),
        );
    }
    if target.canary.is_some() && target.rcpt.is_empty() {
        wrong.push("canary: set --rcpt to the address that it is sent to".to_owned());
    }
    if target.canary == Some(smtp_probe::Canary::QueueGone) && target.queue.is_none() {
        wrong.push("canary: queue-gone needs --queue".to_owned());
    }
    if target.send && target.rcpt.is_empty() && target.open_relay.is_none() {
        wrong.push(
            "send: set --rcpt to the address that a message may be sent to, or --open-relay"
                .to_owned(),
        );
    }
}

/// Whether something is to be looked at that needs no server.
fn is_local(values: &Values) -> bool {
    values.text("queue").is_some() || values.text("main-cf").is_some()
}

fn battery(values: &Values) -> Battery {
    let mut out = Battery::default();
    if let Some(domains) = values.list("relay-domain") {
        out.relay_domains = domains.to_vec();
    }
    if let Some(domains) = values.list("well-known") {
        out.well_known = domains.to_vec();
    }
    if let Some(victim) = values.text("victim") {
        victim.clone_into(&mut out.victim);
    }
    out.own_domain = values.text("own-domain").map(str::to_owned);
    out
}

fn times(values: &Values, target: &mut Target) {
    let limits = &mut target.limits;
    for (key, limit) in [
        ("timeout", &mut limits.total),
        ("connect-timeout", &mut limits.connect),
        ("canary-warn", &mut limits.canary_warn),
        ("canary-timeout", &mut limits.canary),
        ("dns-timeout", &mut limits.dns),
    ] {
        if let Some(said) = values.duration(key) {
            *limit = said;
        }
    }
    limits.reply = values.duration("reply-timeout");
    limits.connect = limits.connect.min(limits.total);
    limits.canary_warn = limits.canary_warn.min(limits.canary);
}

fn thresholds(values: &Values, target: &mut Target) {
    let t = &mut target.thresholds;
    let of = |key, less| {
        values
            .text(key)
            .and_then(|text| check::bounds(text, less).ok())
    };
    let set = |bounds: &mut Bounds, said: Option<Bounds>| {
        if let Some(said) = said {
            *bounds = said;
        }
    };
    set(&mut t.connect, of("connect-time", false));
    set(&mut t.greeting, of("greeting-time", false));
    set(&mut t.cert_days, of("cert-days", true));
    set(&mut t.queue_depth, of("queue-depth", false));
    set(&mut t.deferred_age, of("deferred-age", false));
    set(&mut t.active_age, of("active-age", false));
    set(&mut t.queue_growth, of("queue-growth", false));
    set(&mut t.spool_free, of("spool-free", true));
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

/// A folder is a queue's; all else is the socket.
fn queue(path: &Path) -> Queue {
    let is_socket = !path.is_dir() && (path.exists() || path.ends_with("showq"));
    match is_socket {
        true => Queue::Showq(path.to_owned()),
        false => Queue::Folder(path.to_owned()),
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
mod tests {
    use super::*;
    use crate::options::{RUN, TARGET, all, find};

    fn values(pairs: &[(&str, &str)]) -> Values {
        let mut out = Values::default();
        for (key, value) in pairs {
            let spec = find(TARGET, key).or_else(|| find(RUN, key)).unwrap();
            check::value(spec, value).unwrap();
            out.set(spec, [(*value).to_owned()]);
        }
        out
    }

    fn target(pairs: &[(&str, &str)]) -> Result<Target, Vec<String>> {
        Plan::default().target(&values(pairs), "relay.example:25")
    }

    fn make(
        addresses: &[&str],
        flags: &[(&str, &str)],
        run: &[(&str, &str)],
        env: &[(&str, &str)],
    ) -> Result<Plan, String> {
        let given = Given {
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            target: values(flags),
            run: values(run),
        };
        Plan::make(given, &Env::from_pairs(env.iter().copied())).map_err(|p| p.to_string())
    }

    #[test]
    fn the_defaults_that_are_told_are_the_librarys() {
        let said: Vec<(&str, &str)> = all(TARGET)
            .filter_map(|o| Some((o.key, o.default?)))
            .collect();
        assert!(said.len() > 15);
        assert_eq!(target(&said).unwrap(), target(&[]).unwrap());
        let with_battery = target(&[&said[..], &[("open-relay", "true")]].concat()).unwrap();
        assert_eq!(with_battery.open_relay, Some(Battery::default()));
        assert_eq!(damping(&values(&said)), Damping::default());
    }

    #[test]
    fn each_value_gets_where_it_belongs() {
        let t = target(&[
            ("level", "deep"),
            ("from", "a@x,<>"),
            ("rcpt", "b@x"),
            ("rcpt-unknown", "true"),
            ("require", "SIZE"),
            ("forbid", "VRFY"),
            ("min-size", "1MiB"),
            ("helo", "Me.Example"),
            ("helo-short", "3f2a"),
            ("source", "192.0.2.9"),
            ("timeout", "20s"),
            ("connect-timeout", "2s"),
            ("reply-timeout", "4s"),
            ("tls", "implicit"),
            ("tls13", "true"),
            ("ca", "/ca.pem"),
            ("tls-name", "n.example"),
            ("user", "u"),
            ("password-file", "/p"),
            ("allow-clear", "true"),
            ("auth-negative", "true"),
            ("open-relay", "true"),
            ("expect", "auth"),
            ("relay-domain", "r.example"),
            ("well-known", "w.example"),
            ("own-domain", "o.example"),
            ("victim", "v@example.org"),
            ("send", "true"),
            ("canary", "imaps://c@m.example/INBOX"),
            ("canary-password-file", "/cp"),
            ("canary-ca", "/cca"),
            ("canary-warn", "3s"),
            ("canary-timeout", "9s"),
            ("queue", "/q/public/showq"),
            ("main-cf", "/m.cf"),
            ("dns", "192.0.2.53:5353"),
            ("domain", "d.example"),
            ("dkim-selector", "s1"),
            ("dnsbl", "zen.example"),
            ("egress", "203.0.113.9"),
            ("dns-timeout", "1s"),
            ("connect-time", "1,2"),
            ("greeting-time", "3,4"),
            ("cert-days", "6,5"),
            ("queue-depth", "7,8"),
            ("deferred-age", "9,10"),
            ("active-age", "11,12"),
            ("queue-growth", "13,14"),
            ("spool-free", "16,15"),
        ])
        .unwrap();
        assert_eq!(
            (t.level, t.tls, t.expect),
            (Level::Deep, Tls::Implicit, Expect::Auth)
        );
        assert_eq!(
            (t.from, t.rcpt),
            (
                vec!["a@x".to_owned(), String::new()],
                vec!["b@x".to_owned()]
            )
        );
        assert!(
            t.rcpt_unknown && t.tls13 && t.allow_clear && t.auth_negative && t.send && t.dns.wanted
        );
        assert_eq!(
            (t.require, t.forbid, t.min_size),
            (vec!["SIZE".to_owned()], vec!["VRFY".to_owned()], 1 << 20)
        );
        assert_eq!(
            (t.helo.as_deref(), t.helo_short.as_deref()),
            (Some("me.example"), Some("3f2a"))
        );
        assert_eq!(t.source, Some("192.0.2.9".parse().unwrap()));
        assert_eq!(
            (t.ca, t.tls_name.as_deref()),
            (Some("/ca.pem".into()), Some("n.example"))
        );
        let login = Login {
            user: "u".to_owned(),
            password: Password::File("/p".into()),
        };
        assert_eq!(t.login, Some(login));
        let battery = t.open_relay.unwrap();
        assert_eq!(battery.relay_domains, ["r.example"]);
        assert_eq!(battery.well_known, ["w.example"]);
        assert_eq!(
            (battery.own_domain.as_deref(), battery.victim.as_str()),
            (Some("o.example"), "v@example.org")
        );
        let Some(smtp_probe::Canary::Imap(imap)) = t.canary else {
            panic!("a mailbox")
        };
        assert_eq!(
            (imap.ca, imap.login.user.as_str()),
            (Some("/cca".into()), "c")
        );
        assert_eq!(imap.login.password, Password::File("/cp".into()));
        assert_eq!(t.queue, Some(Queue::Showq("/q/public/showq".into())));
        assert_eq!(t.main_cf, Some("/m.cf".into()));
        assert_eq!(t.dns.server, Some("192.0.2.53:5353".parse().unwrap()));
        assert_eq!(
            (t.dns.domains, t.dns.dkim, t.dns.dnsbl),
            (
                vec!["d.example".to_owned()],
                vec!["s1".to_owned()],
                vec!["zen.example".to_owned()]
            )
        );
        assert_eq!(t.dns.egress, Some("203.0.113.9".parse().unwrap()));
        let seconds = Duration::from_secs;
        assert_eq!(
            (t.limits.total, t.limits.connect, t.limits.reply),
            (seconds(20), seconds(2), Some(seconds(4)))
        );
        assert_eq!(
            (t.limits.canary_warn, t.limits.canary, t.limits.dns),
            (seconds(3), seconds(9), seconds(1))
        );
        let h = &t.thresholds;
        assert_eq!(
            (h.connect, h.greeting, h.cert_days),
            (
                Bounds::new(1.0, 2.0),
                Bounds::new(3.0, 4.0),
                Bounds::new(6.0, 5.0)
            )
        );
        assert_eq!(
            (h.queue_depth, h.deferred_age),
            (Bounds::new(7.0, 8.0), Bounds::new(9.0, 10.0))
        );
        assert_eq!(
            (h.active_age, h.queue_growth, h.spool_free),
            (
                Bounds::new(11.0, 12.0),
                Bounds::new(13.0, 14.0),
                Bounds::new(16.0, 15.0)
            )
        );
    }

    #[test]
    fn what_cannot_be_together_is_told() {
        for (pairs, expected) in [
            (
                &[("user", "u")][..],
                "user: set --password-file or SMTP_PASSWORD_FILE too",
            ),
            (&[("password-file", "/p")], "password-file: set --user too"),
            (
                &[("user", "u"), ("password-file", "/p"), ("tls", "none")],
                "tls: none would send the password in clear; set --allow-clear if that is meant",
            ),
            (
                &[("canary", "/m/")],
                "canary: set --rcpt to the address that it is sent to",
            ),
            (
                &[("canary", "queue-gone"), ("rcpt", "a@x")],
                "canary: queue-gone needs --queue",
            ),
            (
                &[("canary", "imap://a@h"), ("rcpt", "a@x")],
                "canary: a mailbox needs --canary-password-file",
            ),
            (
                &[("send", "true")],
                "send: set --rcpt to the address that a message may be sent to, or --open-relay",
            ),
        ] {
            assert_eq!(target(pairs).unwrap_err(), [expected]);
        }
    }

    #[test]
    fn a_flag_that_does_nothing_is_a_mistake() {
        for (flags, run, expected) in [
            (
                &[("well-known", "a.org")][..],
                &[][..],
                "--well-known does nothing without --open-relay",
            ),
            (
                &[("dnsbl", "z.org")],
                &[],
                "--dnsbl does nothing without --dns or --level deep",
            ),
            (
                &[("canary-warn", "1s")],
                &[],
                "--canary-warn does nothing without --canary",
            ),
            (
                &[("queue-depth", "1,2")],
                &[],
                "--queue-depth does nothing without --queue",
            ),
            (
                &[("interval", "1s")],
                &[],
                "--interval does nothing without --listen or --watch",
            ),
            (
                &[],
                &[("probe-targets", "*.x.org")],
                "--probe-targets does nothing without --listen",
            ),
        ] {
            assert_eq!(make(&["r:25"], flags, run, &[]).unwrap_err(), expected);
        }
        assert!(
            make(
                &["r:25"],
                &[("dnsbl", "z.org"), ("level", "deep")],
                &[],
                &[]
            )
            .is_ok()
        );
    }

    #[test]
    fn the_environment_stands_in_for_a_target() {
        let name =
            |env: &[(&str, &str)]| make(&[], &[], &[], env).map(|p| p.jobs[0].target.name.clone());
        assert_eq!(
            name(&[("SMTP_HOST_IP", "10.0.0.7")]).unwrap(),
            "10.0.0.7:25"
        );
        assert_eq!(
            name(&[("SMTP_HOST_IP", "10.0.0.7"), ("SMTP_HOST_PORT", "2525")]).unwrap(),
            "10.0.0.7:2525"
        );
        assert_eq!(
            name(&[
                ("SMTP_HOST_IP", "fd00::7"),
                ("SMTP_HOST_PORT", "tcp://10.0.0.1:587")
            ])
            .unwrap(),
            "[fd00::7]:587"
        );
        assert!(
            name(&[("SMTP_HOST_IP", "10.0.0.7"), ("SMTP_HOST_PORT", "x")])
                .unwrap_err()
                .starts_with("SMTP_HOST_PORT: ")
        );
        assert!(
            name(&[("SMTP_HOST_IP", "a b")])
                .unwrap_err()
                .starts_with("SMTP_HOST_IP: ")
        );
        let none = make(&[], &[], &[], &[]).unwrap_err();
        assert!(
            none.starts_with("no target: ") && none.lines().count() == 1,
            "{none}"
        );
        // What is on this machine needs no server.
        let local = make(&[], &[("main-cf", "/m.cf")], &[], &[]).unwrap();
        assert!(local.jobs[0].target.is_local());
        let both = [("main-cf", "/m.cf"), ("rcpt", "a@x")];
        let needs = make(&[], &both, &[], &[]).unwrap_err();
        assert_eq!(needs, "rcpt: give a TARGET, or set SMTP_HOST_IP");
        // What is named counts more.
        let named = make(&["r:25"], &[], &[], &[("SMTP_HOST_IP", "10.0.0.7")]).unwrap();
        assert_eq!(named.jobs.len(), 1);
        assert_eq!(named.jobs[0].target.name, "r:25");
        let login = make(
            &["r:25"],
            &[("user", "u")],
            &[],
            &[("SMTP_PASSWORD_FILE", "/p")],
        )
        .unwrap();
        assert!(login.jobs[0].target.login.is_some());
    }

    #[test]
    fn a_target_named_twice_is_checked_once() {
        let plan = make(&["r:25", "s:25", "R:25"], &[], &[], &[]).unwrap();
        assert_eq!(plan.jobs.len(), 2);
    }
}
