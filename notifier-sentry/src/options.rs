//! What can be set.

use notifier_core::{OptionGroup, OptionKind, OptionSpec, policy::Rate};

/// The reporter's name.
pub const SCHEME: &str = "sentry";

/// The environment unless another is set: what the task's label `complainer_sentry_environment` says.
pub const DEFAULT_ENVIRONMENT: &str = "{{ config \"environment\" }}";

/// What Sentry groups by unless something else is set.
pub const DEFAULT_FINGERPRINT: &str =
    "{{ .failure.Framework }}; {{ .failure.Name }}; {{ .failure.State }}; {{ .failure.Reason }}";

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "dsn",
            "DSN of the project, such as https://KEY@sentry.example/8; nothing is sent without one",
        )
        .kind(OptionKind::Url)
        .secret()
        .label(),
        OptionSpec::new(
            "environment",
            "the event's environment; none if it is empty",
        )
        .kind(OptionKind::Template)
        .default(DEFAULT_ENVIRONMENT),
        OptionSpec::new(
            "release",
            "the event's release; unless set, name@tag of the container image",
        )
        .kind(OptionKind::Template),
        OptionSpec::new("level", "how bad a failure is")
            .kind(OptionKind::Choice(&[
                "fatal", "error", "warning", "info", "debug",
            ]))
            .default("error")
            .label(),
        OptionSpec::new("logger", "the event's logger")
            .default("notifiers")
            .label(),
        OptionSpec::new(
            "fingerprint",
            "what events of one issue have in common: templates separated by semicolons or line breaks; the word default stands for Sentry's own grouping",
        )
        .kind(OptionKind::Template)
        .default(DEFAULT_FINGERPRINT),
        OptionSpec::new(
            "log_tail",
            "how much of the end of stdout and of stderr is attached, each; 0 for nothing, at most 1MiB",
        )
        .kind(OptionKind::Size)
        .default("0")
        .label(),
        // Sentry asks for 100 ms between events of a backlog.
        Rate::option("10/s"),
        Rate::max_age_option(),
    ],
);
