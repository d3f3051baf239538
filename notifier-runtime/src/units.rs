//! The watcher of units: what it says where nothing else is set, its sources, and its commands.

use std::{collections::BTreeMap, sync::Arc};

use notifiers::{
    Error, OptionKind, OptionSpec, Result, SystemClock,
    systemd::{self, SystemdBuilder, SystemdSource},
};

use crate::{Cli, Context, Fatal, Parsed, feed, once, tell};

/// What only `systemd-watcher` has.
pub const UNIT_OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        "sources",
        "what is watched: systemd, fleet; unless set systemd, and fleet where -fleet.endpoint is set",
    )
    .kind(OptionKind::List)
    .env("NOTIFIER_SOURCES"),
    OptionSpec::new(
        "message",
        "what reporters say whose own format is not set: unit, with what happened and the last lines of the journal; or coreos, the words of the chain from fleet by SNS to Slack",
    )
    .kind(OptionKind::Choice(&["unit", "coreos"]))
    .env("NOTIFIER_MESSAGE")
    .default("unit"),
];

/// `web.service failed on node-1 (prod)`; in bold between `$open` and `$close`.
macro_rules! head {
    ($open:literal, $close:literal) => {
        concat!(
            $open,
            "{{ .failure.Name }}",
            $close,
            r#" failed{{ with .failure.Slave }} on {{ . }}{{ end }}{{ with index .failure.Details "platform" }} ({{ . }}){{ end }}"#
        )
    };
}

/// What happened, and how often it was started again.
macro_rules! what {
    () => {
        r#"{{ or .failure.Message .failure.State }}{{ with index .failure.Details "restarts" }}{{ if ne . "0" }} (restarts: {{ . }}){{ end }}{{ end }}"#
    };
}

/// The last lines of the journal, if there are any, between two texts.
macro_rules! journal {
    ($before:literal, $after:literal) => {
        concat!(
            r#"{{ with index .failure.Details "journal" }}"#,
            $before,
            "{{ . }}",
            $after,
            "{{ end }}"
        )
    };
}

/// What the chain says.
macro_rules! coreos {
    () => {
        r#"ALERT - CoreOS unit failure: {{ reReplaceAll "[.]service$" "" .failure.Name }} unit failed. Host: {{ .failure.Slave }} platform: {{ index .failure.Details "platform" }}"#
    };
}

/// The defaults of reporters for `-message=unit`.
const UNIT: &[(&str, &str)] = &[
    (
        "slack.format",
        concat!(
            head!("*", "*"),
            ": ",
            what!(),
            // A code block that the unit's own lines cannot end.
            r#"{{ with index .failure.Details "journal" }}{{ $.nl }}```{{ $.nl }}{{ replace "```" "'''" . }}{{ $.nl }}```{{ end }}"#
        ),
    ),
    (
        "hipchat.format",
        concat!(
            head!("<b>", "</b>"),
            ": ",
            what!(),
            journal!("<pre>", "</pre>")
        ),
    ),
    (
        "file.format",
        concat!(
            head!("", ""),
            ": ",
            what!(),
            // In a file each line break of a failure's own is made visible.
            r#"{{ with index .failure.Details "journal" }}{{ range split `\x0a` . }}{{ $.nl }}  {{ . }}{{ end }}{{ end }}{{ .nl }}"#
        ),
    ),
    (
        "smtp.subject",
        concat!(
            head!("", ""),
            "{{ with .failure.Reason }}: {{ . }}{{ end }}"
        ),
    ),
    (
        "smtp.format",
        concat!(
            head!("", ""),
            ":\n",
            what!(),
            "\n\n{{ $d := .failure.Details }}",
            r#"{{ with index $d "description" }}Unit:       {{ . }}
{{ end }}{{ if not .failure.Started.IsZero }}Started:    {{ .failure.Started.Format "2006-01-02 15:04:05 MST" }}
{{ end }}Ended:      {{ .failure.Finished.Format "2006-01-02 15:04:05 MST" }}
{{ with index $d "main_pid" }}Process:    {{ . }}
{{ end }}{{ with index $d "status_text" }}Status:     {{ . }}
{{ end }}{{ with index $d "invocation_id" }}Invocation: {{ . }}
{{ end }}"#,
            journal!("\nThe last lines of its journal:\n\n", "\n")
        ),
    ),
    (
        "jira.fields",
        concat!(
            "Project:COMPLAINER;Issue Type:Bug;Summary:",
            head!("", ""),
            ";Description:",
            what!(),
            journal!("{{ $.nl }}{noformat}{{ $.nl }}", "{{ $.nl }}{noformat}")
        ),
    ),
    (
        "sns.format",
        concat!(head!("", ""), ": ", what!(), journal!("\n\n", "")),
    ),
    ("sns.subject", concat!(head!("", ""))),
    (
        "webhook.format",
        concat!(head!("", ""), ": ", what!(), journal!("\n\n", "")),
    ),
];

/// The defaults of reporters for `-message=coreos`.
const COREOS: &[(&str, &str)] = &[
    ("slack.format", coreos!()),
    ("hipchat.format", coreos!()),
    ("file.format", concat!(coreos!(), "{{ .nl }}")),
    ("smtp.subject", coreos!()),
    ("smtp.format", concat!(coreos!(), "\n")),
    (
        "jira.fields",
        concat!(
            "Project:COMPLAINER;Issue Type:Bug;Summary:",
            coreos!(),
            ";Description:",
            coreos!()
        ),
    ),
    ("sns.format", coreos!()),
    // That chain has none.
    ("sns.subject", "{{ print }}"),
    ("sns.body", "text"),
    ("webhook.format", coreos!()),
];

impl Cli {
    /// The command line of `systemd-watcher`, for which the units of fleet are one more source.
    #[must_use]
    pub fn systemd_watcher(version: &'static str) -> Self {
        let cli = Self::watcher(
            "systemd-watcher",
            version,
            "Tells the right people when a systemd unit fails, on this machine or in a fleet. \
             `systemd-watcher unit NAME` tells of one unit and ends, for OnFailure=; \
             `systemd-watcher drain` sends what waits and ends, for a timer: -help behind them says more.",
        )
        .program("Units", UNIT_OPTIONS)
        .section("Source systemd", notifiers::systemd::OPTIONS);
        #[cfg(feature = "fleet")]
        let cli = cli.section("Source fleet", notifiers::fleet::OPTIONS);
        cli.preset("uploader", "noop")
            .style("message", "unit", UNIT)
            .style("message", "coreos", COREOS)
    }

    /// The command line of `systemd-watcher unit NAME`.
    #[must_use]
    pub fn systemd_unit(version: &'static str) -> Self {
        Self::systemd_watcher(version).command(
            "unit NAME",
            "Tells that a unit failed: puts it into the outbox that it shares with the watcher, and sends for as long \
             as -shutdown-timeout allows. What is known of the failure comes from MONITOR_SERVICE_RESULT and its kin, \
             which systemd sets for units that OnFailure= starts, and from systemctl and journalctl. Exits with 0 once \
             the failure is on the disk; without -state-dir and -outbox, once it has arrived.",
        )
    }

    /// The command line of `systemd-watcher drain`.
    #[must_use]
    pub fn systemd_drain(version: &'static str) -> Self {
        Self::systemd_watcher(version).command(
            "drain",
            "Sends what waits in the outbox, until nothing is due or -shutdown-timeout is over. Exits with 0 if nothing \
             is left due, and with 69 if something is.",
        )
    }
}

/// The source of this machine's units.
pub(crate) fn systemd(parsed: &Parsed) -> Result<SystemdSource> {
    let settings = parsed.backend(systemd::OPTIONS).instance("");
    SystemdBuilder::from_settings(&settings, Arc::new(SystemClock))
        .label_prefix(parsed.program.text("label-prefix"))
        .backlog(feed::backlog(parsed))
        .build()
}

/// What `-sources` names, each once.
pub(crate) fn sources(parsed: &Parsed) -> Vec<&str> {
    let mut named = parsed.program.list("sources");
    if named.is_empty() {
        named.push("systemd");
        #[cfg(feature = "fleet")]
        if parsed
            .backend(notifiers::fleet::OPTIONS)
            .instance("")
            .get("endpoint")
            .is_some()
        {
            named.push("fleet");
        }
    }
    let mut once = Vec::new();
    for source in named {
        if !once.contains(&source) {
            once.push(source);
        }
    }
    once
}

pub(crate) fn no_source(name: &str) -> Error {
    let known = if cfg!(feature = "fleet") {
        "systemd and fleet"
    } else {
        "systemd"
    };
    Error::config(format!("sources: there is no {name:?}; there is {known}"))
}

/// The variables that say what happened to a unit.
const VARIABLES: [&str; 7] = [
    "MONITOR_SERVICE_RESULT",
    "MONITOR_EXIT_CODE",
    "MONITOR_EXIT_STATUS",
    "MONITOR_INVOCATION_ID",
    "MONITOR_UNIT",
    "INVOCATION_ID",
    "PLATFORM",
];

/// Tells that a unit failed, as [`tell`] does, for who was started by its `OnFailure=`; and then, should it have
/// failed again meanwhile, of that: while this runs, systemd starts no other one for the unit.
///
/// # Errors
/// As [`tell`].
pub async fn tell_of_unit(context: &Context, unit: &str) -> Result<(), Fatal> {
    let source = systemd(&context.parsed)?;
    if source.ignores(unit) {
        tracing::info!(unit, "-systemd.ignore names it: nothing is told");
        return Ok(());
    }
    let env = context.parsed.env();
    let variables: BTreeMap<String, String> = VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), env.get(name)?.ok()?.to_owned())))
        .collect();
    let mut stop = std::pin::pin!(once::stop()?);
    let mut next = None;
    loop {
        let mut told = None;
        tell(context, async || {
            let failure = match next.take() {
                Some(failure) => failure,
                None => source.failure_of(unit, &variables).await,
            };
            Ok(told.insert(failure).clone())
        })
        .await?;
        let Some(told) = told else { return Ok(()) };
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            again = source.failed_again(unit, &variables, &told) => next = again,
        }
        if next.is_none() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use notifiers::{FailureRecord, Markup, Report, jiff::Timestamp, render_once};

    use super::*;
    use crate::{Env, Invocation};

    fn failure() -> FailureRecord {
        let mut f = FailureRecord::new(
            "my_app@1.service",
            "my_app@1.service",
            "EXIT_CODE",
            Timestamp::UNIX_EPOCH,
        );
        f.host = "node-1".to_owned();
        f.message = Some("main process exited with status 7 (NOTRUNNING)".to_owned());
        f.reason = Some("exit-code".to_owned());
        f.with_detail("platform", "prod")
            .with_detail("restarts", "2")
            .with_detail("journal", "one <b>\n```two")
    }

    fn template(of: &[(&str, &'static str)], flag: &str) -> &'static str {
        of.iter().find(|(f, _)| *f == flag).unwrap().1
    }

    fn said(
        of: &[(&str, &'static str)],
        flag: &str,
        markup: Markup,
        failure: FailureRecord,
    ) -> String {
        render_once(template(of, flag), markup, &Report::failure(failure)).unwrap()
    }

    #[test]
    fn units_are_told_with_what_is_known() {
        let says = |flag, markup| said(UNIT, flag, markup, failure());
        let line = "my_app@1.service failed on node-1 (prod)";
        let what = "main process exited with status 7 (NOTRUNNING) (restarts: 2)";
        assert_eq!(
            says("slack.format", Markup::Slack),
            format!(
                "*my_app@1.service* failed on node-1 (prod): {what}\n```\none &lt;b&gt;\n'''two\n```"
            )
        );
        assert_eq!(
            says("hipchat.format", Markup::Html),
            format!(
                "<b>my_app@1.service</b> failed on node-1 (prod): {what}<pre>one &lt;b&gt;\n```two</pre>"
            )
        );
        assert_eq!(
            says("file.format", Markup::Lines),
            format!("{line}: {what}\n  one <b>\n  ```two\n")
        );
        assert_eq!(
            says("smtp.subject", Markup::Plain),
            format!("{line}: exit-code")
        );
        let mail = says("smtp.format", Markup::Plain);
        assert!(
            mail.starts_with(&format!("{line}:\n{what}\n\nEnded:      1970-01-01")),
            "{mail}"
        );
        assert!(mail.ends_with("journal:\n\none <b>\n```two\n"), "{mail}");
        assert_eq!(
            says("sns.format", Markup::Plain),
            format!("{line}: {what}\n\none <b>\n```two")
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let bare = || FailureRecord::new("a.service", "a.service", "FAILED", Timestamp::UNIX_EPOCH);
        for (of, flags) in [(UNIT, UNIT), (COREOS, COREOS)] {
            for (flag, _) in flags.iter().filter(|(f, _)| *f != "sns.body") {
                let text = said(of, flag, Markup::Plain, bare());
                assert!(
                    !text.contains("no value") && !text.contains("<nil>"),
                    "{flag}: {text}"
                );
            }
        }
        assert_eq!(
            said(UNIT, "slack.format", Markup::Slack, bare()),
            "*a.service* failed: FAILED"
        );
    }

    #[test]
    fn the_old_chain_is_said_word_for_word() {
        let words =
            "ALERT - CoreOS unit failure: my_app@1 unit failed. Host: node-1 platform: prod";
        for flag in [
            "slack.format",
            "hipchat.format",
            "sns.format",
            "webhook.format",
            "smtp.subject",
        ] {
            assert_eq!(
                said(COREOS, flag, Markup::Plain, failure()),
                words,
                "{flag}"
            );
        }
        assert_eq!(said(COREOS, "sns.subject", Markup::Plain, failure()), "");
        // The name of another type stays whole.
        let mut mount = failure();
        mount.name = "data.mount".to_owned();
        assert!(
            said(COREOS, "slack.format", Markup::Slack, mount).contains(": data.mount unit failed")
        );
    }

    /// A reporter's setting for a command line.
    fn format_of(args: &[&str]) -> String {
        let env = Env::from_pairs::<_, &str, &str>([]);
        let args = ["-reporters=slack"].iter().chain(args).map(Into::into);
        let Ok(Invocation::Run(parsed)) = Cli::systemd_watcher("1").parse(args, &env) else {
            panic!("it is right");
        };
        parsed.backends["slack"]
            .instance("default")
            .text("format")
            .to_owned()
    }

    #[test]
    fn the_message_is_the_default_of_every_reporter_and_what_is_said_beats_it() {
        assert_eq!(format_of(&[]), template(UNIT, "slack.format"));
        assert_eq!(
            format_of(&["-message=coreos"]),
            template(COREOS, "slack.format")
        );
        assert_eq!(format_of(&["-message=coreos", "-slack.format=x"]), "x");
        let help = Cli::systemd_watcher("1").help();
        assert!(
            !help.contains("CoreOS unit failure")
                && help.contains("failed{{ with .failure.Slave }}"),
            "{help}"
        );
        // Every flag that has such a default is there.
        for (flag, _) in UNIT.iter().chain(COREOS) {
            assert!(help.contains(&format!("  -{flag} ")), "{flag}");
        }
    }

    #[test]
    fn sources_are_those_that_are_named_or_set() {
        let of = |args: &[&str]| {
            let env = Env::from_pairs::<_, &str, &str>([]);
            let args = ["-reporters=slack"].iter().chain(args).map(Into::into);
            match Cli::systemd_watcher("1").parse(args, &env) {
                Ok(Invocation::Run(parsed)) => sources(&parsed).join(" "),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(&[]), "systemd");
        assert_eq!(of(&["-sources=fleet, fleet"]), "fleet");
        #[cfg(feature = "fleet")]
        assert_eq!(
            of(&["-fleet.endpoint=http://10.0.0.1:49153"]),
            "systemd fleet"
        );
    }
}
