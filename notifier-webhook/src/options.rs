//! What can be set.

use notifier_core::{OptionGroup, OptionKind, OptionSpec, policy::Rate};

/// The reporter's name.
pub const SCHEME: &str = "webhook";

/// The message for people unless another is set.
pub const DEFAULT_FORMAT: &str = "Task {{ .failure.Name }} ({{ .failure.ID }}) died with status {{ .failure.State }}{{ if .stdoutURL }} [stdout: {{ .stdoutURL }}, stderr: {{ .stderrURL }}]{{ end }}";

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new("url", "where to send to; nothing is sent without one")
            .kind(OptionKind::Url)
            .secret()
            .label(),
        OptionSpec::new("method", "the method of the request")
            .kind(OptionKind::Choice(&["POST", "PUT", "PATCH"]))
            .default("POST"),
        OptionSpec::new(
            "body",
            "what is sent: a notifier's document, what Alertmanager sends, a CloudEvent, the message alone, or webhook.template",
        )
        .kind(OptionKind::Choice(&[
            "document",
            "alertmanager",
            "cloudevents",
            "text",
            "template",
        ]))
        .default("document"),
        OptionSpec::new("format", "the message for people, which every body has in it")
            .kind(OptionKind::Template)
            .default(DEFAULT_FORMAT),
        OptionSpec::new(
            "template",
            "the whole body, for webhook.body=template; .failure.Details.text is the message",
        )
        .kind(OptionKind::Template),
        OptionSpec::new(
            "mode",
            "how a CloudEvent is sent: whole in the body, or with its attributes in headers",
        )
        .kind(OptionKind::Choice(&["structured", "binary"]))
        .default("structured"),
        OptionSpec::new(
            "content_type",
            "type of the body; that of webhook.body unless set, application/json for a template. A template's JSON is checked",
        ),
        OptionSpec::new(
            "headers",
            "a header to send, Name: value; not sent to addresses from labels",
        )
        .secret()
        .repeated(),
        OptionSpec::new(
            "signing_key",
            "key to sign with: whsec_ and base64, several separated by blanks while one is replaced; nothing is signed without one, nor for addresses from labels",
        )
        .secret(),
        OptionSpec::new(
            "signature",
            "how it is signed: as Standard Webhooks do, as Grafana does (where the key is taken as it is), or not",
        )
        .kind(OptionKind::Choice(&["standard", "grafana", "none"]))
        .default("standard"),
        OptionSpec::new(
            "signature_header",
            "header of a signature as Grafana's; Standard Webhooks have a name of their own",
        )
        .default("X-Grafana-Alerting-Signature"),
        OptionSpec::new(
            "timestamp_header",
            "header of the time that a signature as Grafana's signs too; without one it signs the body alone",
        ),
        OptionSpec::new(
            "user",
            "user of HTTP Basic; not sent to addresses from labels",
        ),
        OptionSpec::new("password", "password of HTTP Basic").secret(),
        OptionSpec::new(
            "token",
            "bearer token; not sent to addresses from labels",
        )
        .secret(),
        OptionSpec::new(
            "success",
            "answers that mean it arrived: codes, ranges or classes, such as 200,202 or 2xx",
        )
        .kind(OptionKind::List)
        .default("2xx"),
        OptionSpec::new("retry", "answers after which it is tried again later")
            .kind(OptionKind::List)
            .default("408,425,429,500,502-504,507,520-530"),
        OptionSpec::new(
            "timeout",
            "how long one request may take in all; -request-timeout unless set",
        )
        .kind(OptionKind::Duration),
        Rate::option("10/s"),
        Rate::max_age_option(),
    ],
);
