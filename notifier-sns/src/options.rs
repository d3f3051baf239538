//! What can be set.

use notifier_core::{OptionGroup, OptionKind, OptionSpec, policy::Rate};

/// The reporter's name.
pub const SCHEME: &str = "sns";

/// The text unless another is set.
pub const DEFAULT_FORMAT: &str = "Task {{ .failure.Name }} ({{ .failure.ID }}) died with status {{ .failure.State }}{{ with .failure.Slave }} on {{ . }}{{ end }}{{ with .failure.Message }}: {{ . }}{{ end }}{{ with .stdoutURL }}{{ $.nl }}stdout: {{ . }}{{ end }}{{ with .stderrURL }}{{ $.nl }}stderr: {{ . }}{{ end }}";

/// The subject unless another is set.
pub const DEFAULT_SUBJECT: &str = "{{ .failure.State }}: {{ .failure.Name }}";

/// The group of messages in a FIFO topic unless another is set.
pub const DEFAULT_GROUP: &str = "{{ .failure.Name }}";

/// What the message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The text, for everybody.
    Text,
    /// The report as JSON, for everybody.
    Document,
    /// The text for people, the report as JSON for programs.
    Both,
}

impl Body {
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "text" => Self::Text,
            "document" => Self::Document,
            _ => Self::Both,
        }
    }
}

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "topic",
            "ARN of the topic, such as arn:aws:sns:eu-west-1:123456789012:alerts; its region is where to publish; nothing is sent without one",
        )
        .label(),
        OptionSpec::new(
            "region",
            "region of the token service, where a role is assumed; AWS_REGION, the profile's or the topic's unless set",
        ),
        OptionSpec::new(
            "endpoint",
            "address to publish to instead of Amazon's own, such as that of a VPC endpoint or of LocalStack",
        )
        .kind(OptionKind::Url),
        OptionSpec::new(
            "profile",
            "profile of AWS' files config and credentials; AWS_PROFILE unless set",
        ),
        OptionSpec::new(
            "access_key",
            "id of the key to sign with; without one AWS' own places are looked at",
        )
        .secret(),
        OptionSpec::new("secret_key", "the key to sign with").secret(),
        OptionSpec::new("session_token", "what belongs to a temporary key").secret(),
        OptionSpec::new(
            "subject",
            "the subject, of which 100 characters of ASCII are sent; an empty one is left out",
        )
        .kind(OptionKind::Template)
        .default(DEFAULT_SUBJECT),
        OptionSpec::new("format", "the text")
            .kind(OptionKind::Template)
            .default(DEFAULT_FORMAT),
        OptionSpec::new(
            "sms",
            "the text for telephones, where body is both; the beginning of the format's unless set",
        )
        .kind(OptionKind::Template),
        OptionSpec::new(
            "body",
            "text: everybody gets the text; document: everybody gets the report as JSON; both: e-mail and SMS get the text, all else gets the JSON",
        )
        .kind(OptionKind::Choice(&["text", "document", "both"]))
        .default("both"),
        OptionSpec::new(
            "attributes",
            "more attributes for filter policies as name=value;… with templates for values; a semicolon in a value is written \\;",
        )
        .kind(OptionKind::Template),
        OptionSpec::new(
            "group",
            "in a FIFO topic, which messages keep their order among each other",
        )
        .kind(OptionKind::Template)
        .default(DEFAULT_GROUP),
        OptionSpec::new(
            "timeout",
            "the longest that publishing may take, and as long again for getting credentials: more than 0, at most 1m",
        )
        .kind(OptionKind::Duration)
        .default("10s"),
        OptionSpec::new(
            "connect_timeout",
            "the longest that connecting may take: more than 0, at most 1m",
        )
        .kind(OptionKind::Duration)
        .default("5s"),
        OptionSpec::new(
            "proxy",
            "use the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name; put 169.254.0.0/16 into NO_PROXY where credentials come from the instance",
        )
        .kind(OptionKind::Bool)
        .default("false"),
        // A FIFO topic takes 300 a second, a standard one of a small region as many.
        Rate::option("30/s"),
        Rate::max_age_option(),
    ],
);
