//! What can be set.

use notifier_core::{OptionGroup, OptionKind, OptionSpec, policy::Rate};

/// The reporter's name.
pub const SCHEME: &str = "slack";

/// The template unless another is set.
pub const DEFAULT_FORMAT: &str = "Task {{ .failure.Name }} ({{ .failure.ID }}) died with status {{ .failure.State }} [<{{ .stdoutURL }}|stdout>, <{{ .stderrURL }}|stderr>]";

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "hook_url",
            "address of the incoming webhook; nothing is sent without one",
        )
        .kind(OptionKind::Url)
        .secret()
        .label(),
        OptionSpec::new(
            "channel",
            "channel to post into, such as #mesos; webhooks made by Slack apps ignore it",
        )
        .label(),
        OptionSpec::new(
            "username",
            "name to post with, such as Mesos Cluster; webhooks made by Slack apps ignore it",
        )
        .label(),
        OptionSpec::new(
            "icon_emoji",
            "icon to post with, such as :mesos:; webhooks made by Slack apps ignore it",
        )
        .label(),
        OptionSpec::new(
            "icon_url",
            "address of an icon to post with; webhooks made by Slack apps ignore it",
        )
        .label(),
        OptionSpec::new("format", "the message")
            .kind(OptionKind::Template)
            .default(DEFAULT_FORMAT),
        // Slack takes one message a second for each webhook.
        Rate::option("1/s"),
        Rate::max_age_option(),
    ],
);
