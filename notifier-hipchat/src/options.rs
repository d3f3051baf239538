//! What can be set.

use notifier_core::{OptionGroup, OptionKind, OptionSpec, policy::Rate};

/// The reporter's name.
pub const SCHEME: &str = "hipchat";

/// The API unless another is set. The service behind it ended in 2019.
pub const DEFAULT_BASE_URL: &str = "https://api.hipchat.com/v2/";

/// The template unless another is set.
pub const DEFAULT_FORMAT: &str = "Task {{ .failure.Name }} ({{ .failure.ID }}) died with status {{ .failure.State }} [<a href=\"{{ .stdoutURL }}\">stdout</a>, <a href=\"{{ .stderrURL }}\">stderr</a>]";

/// The template of messages in plain text unless another is set.
pub const DEFAULT_TEXT_FORMAT: &str = "Task {{ .failure.Name }} ({{ .failure.ID }}) died with status {{ .failure.State }} [stdout: {{ .stdoutURL }}, stderr: {{ .stderrURL }}]";

/// The colour unless another is set, and where a template gives none of [`COLORS`].
pub const DEFAULT_COLOR: &str = "red";

/// The colours there are.
pub const COLORS: [&str; 6] = ["yellow", "green", "red", "purple", "gray", "random"];

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "base_url",
            "address of the API, such as https://hipchat.example/v2/; a host alone gets /v2/. One from a label goes with a token from a label, unless its host is the one set here",
        )
        .kind(OptionKind::Url)
        .default(DEFAULT_BASE_URL)
        .label(),
        OptionSpec::new(
            "token",
            "token of the room or of a user; nothing is sent without one",
        )
        .secret()
        .label(),
        OptionSpec::new("room", "name or number of the room; nothing is sent without one").label(),
        OptionSpec::new("format", "the message; in text, not HTML, where hipchat.message_format says so")
            .kind(OptionKind::Template)
            .default(DEFAULT_FORMAT),
        OptionSpec::new(
            "message_format",
            "what the message is: html, or text, in which @mentions work",
        )
        .kind(OptionKind::Choice(&["html", "text"]))
        .default("html"),
        OptionSpec::new(
            "color",
            "background of the message: yellow, green, red, purple, gray or random",
        )
        .kind(OptionKind::Template)
        .default(DEFAULT_COLOR),
        OptionSpec::new("notify", "whether the message makes a sound and the like")
            .kind(OptionKind::Bool)
            .default("true"),
        OptionSpec::new(
            "from",
            "name beside the token's own, at most 64 characters",
        )
        .kind(OptionKind::Template),
        OptionSpec::new(
            "card",
            "card to show in place of the message where clients can: a JSON object; give values as {{ toJson .failure.Name }}",
        )
        .kind(OptionKind::Template),
        // HipChat takes 30 messages a minute for each room.
        Rate::option("30/m:30"),
        Rate::max_age_option(),
    ],
);
