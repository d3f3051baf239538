//! What can be set.

use notifier_core::{OptionGroup, OptionKind, OptionSpec, policy::Rate};

/// The reporter's name.
pub const SCHEME: &str = "jira";

/// The fields unless others are set.
pub const DEFAULT_FIELDS: &str = "Project:COMPLAINER;Issue Type:Bug;Summary:Task {{ .failure.Name }} died with status {{ .failure.State }};Description:[stdout|{{ .stdoutURL }}], [stderr|{{ .stderrURL }}], ID={{ .failure.ID }}";

/// The status of closed issues unless another is set.
pub const DEFAULT_CLOSED_STATUS: &str = "Closed";

/// The longest description or comment that Jira takes, in characters as it counts them
/// (UTF-16 units). For the documents of Jira Cloud a fifth of it is left free.
pub const MAX_TEXT: usize = 32_767;

/// What becomes of a failure whose issue there is already.
pub(crate) const ON_REPEAT: &[&str] = &["ignore", "comment", "reopen"];

/// The options. None can be set by a label: they lead credentials to a host.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "url",
            "address of Jira, such as https://jira.example; nothing is sent without one",
        )
        .kind(OptionKind::Url),
        OptionSpec::new(
            "username",
            "user, or e-mail address for Jira Cloud; without one the password is sent as a personal access token",
        ),
        OptionSpec::new(
            "password",
            "password, API token of Jira Cloud, or personal access token",
        )
        .secret(),
        OptionSpec::new(
            "issue_closed_status",
            "status of closed issues; empty for every status that counts as done",
        )
        .default(DEFAULT_CLOSED_STATUS),
        OptionSpec::new(
            "fields",
            "the issue as key:value;… with Project, Issue Type, Summary and others by their names in Jira; a semicolon in a value is written \\;",
        )
        .kind(OptionKind::Template)
        .default(DEFAULT_FIELDS),
        OptionSpec::new(
            "on_repeat",
            "what to do if there is an issue: nothing while it is open, count in one comment of it, or count and reopen a closed one",
        )
        .kind(OptionKind::Choice(ON_REPEAT))
        .default("ignore"),
        OptionSpec::new(
            "attach_logs",
            "how much of the end of stdout and stderr to attach to a new issue; 0 for none, at most 10MiB",
        )
        .kind(OptionKind::Size)
        .default("0"),
        // A report is several requests; Jira Cloud counts each in bursts.
        Rate::option("1/s"),
        Rate::max_age_option(),
    ],
);

/// What becomes of a failure whose issue there is already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRepeat {
    Ignore,
    Comment,
    Reopen,
}

impl OnRepeat {
    pub(crate) fn read(value: &str) -> Self {
        match value {
            "comment" => Self::Comment,
            "reopen" => Self::Reopen,
            _ => Self::Ignore,
        }
    }
}
