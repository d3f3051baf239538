//! What can be set.

use notifier_core::{OptionGroup, OptionKind, OptionSpec, policy::Rate};

/// The reporter's name.
pub const SCHEME: &str = "smtp";

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "server",
            "the relay: HOST, HOST:PORT, smtp://HOST:PORT (25 unless said, 587 with a user) or smtps://HOST:PORT (465, TLS from the first byte)",
        ),
        OptionSpec::new(
            "host_ip",
            "the relay's address if -smtp.server is not set, as Kubernetes hands the node's address to a container",
        ),
        OptionSpec::new(
            "host_port",
            "the port that goes with -smtp.host_ip: 25 unless set",
        ),
        OptionSpec::new(
            "tls",
            "required: STARTTLS or no mail; implicit: TLS from the first byte; opportunistic: STARTTLS where offered, the certificate unchecked; none. Unless set: implicit for smtps://, required with -smtp.user, -smtp.ca or -smtp.tls_name, else opportunistic",
        )
        .kind(OptionKind::Choice(&[
            "required",
            "implicit",
            "opportunistic",
            "none",
        ])),
        OptionSpec::new(
            "ca",
            "PEM file of certificate authorities to trust instead of the system's; it makes required the default of -smtp.tls",
        )
        .kind(OptionKind::Path),
        OptionSpec::new(
            "tls_name",
            "name that the relay's certificate must bear, where it is not the host of -smtp.server; it makes required the default of -smtp.tls",
        ),
        OptionSpec::new("user", "name to log in with; no login without one"),
        OptionSpec::new(
            "password",
            "password to log in with, or file:PATH of a file that holds it",
        )
        .secret(),
        OptionSpec::new(
            "helo",
            "name to greet the relay with, a full one such as host.example.com; unless set the machine's if it is full, else its address in brackets",
        ),
        OptionSpec::new(
            "from",
            "sender, such as Alerts <alerts@example.com>",
        )
        .label(),
        OptionSpec::new(
            "to",
            "recipients, separated by commas; unless set the failure's owners",
        )
        .kind(OptionKind::List)
        .label(),
        OptionSpec::new("cc", "more recipients, separated by commas")
            .kind(OptionKind::List)
            .label(),
        OptionSpec::new("reply_to", "where answers go, one address").label(),
        OptionSpec::new(
            "fallback",
            "recipients of what has no owner with an address, or whose recipients were all refused; separated by commas",
        )
        .kind(OptionKind::List),
        OptionSpec::new(
            "owners",
            "addresses of owners that are no addresses: NAME=ADDRESS, separated by commas; a name given twice has several",
        )
        .kind(OptionKind::List),
        OptionSpec::new(
            "subject",
            "the subject; unless set the one that goes with -smtp.format",
        )
        .kind(OptionKind::Template)
        .label(),
        OptionSpec::new(
            "format",
            "the text, or one of the ready ones: default, chronos",
        )
        .kind(OptionKind::Template)
        .default("default")
        .label(),
        OptionSpec::new(
            "html_format",
            "the same as HTML, sent beside the text; every value in it is escaped",
        )
        .kind(OptionKind::Template)
        .label(),
        OptionSpec::new(
            "headers",
            "more headers, NAME: VALUE; several by giving the option again, or a line each",
        )
        .repeated(),
        OptionSpec::new(
            "attach",
            "logs whose ends are attached: stdout, stderr, or both, separated by commas",
        )
        .kind(OptionKind::List)
        .label(),
        OptionSpec::new("attach_size", "the most of each log that is attached, at most 25MiB")
            .kind(OptionKind::Size)
            .default("256KiB"),
        OptionSpec::new(
            "log_lines",
            "how many of the log's last lines .logTail shows",
        )
        .kind(OptionKind::Integer)
        .default("20"),
        OptionSpec::new(
            "connect_timeout",
            "the longest that the connection may take, and the handshake of TLS: more than 0, at most 29m",
        )
        .kind(OptionKind::Duration)
        .default("30s"),
        OptionSpec::new(
            "timeout",
            "the longest wait for an answer of the relay, but for the last: more than 0, at most 29m",
        )
        .kind(OptionKind::Duration)
        .default("5m"),
        OptionSpec::new(
            "final_timeout",
            "the longest wait for the answer to the whole mail: more than 0, at most 29m",
        )
        .kind(OptionKind::Duration)
        .default("10m"),
        OptionSpec::new(
            "pool",
            "how many mails may be under way at once, and so how many connections are kept: from 1 to 64",
        )
        .kind(OptionKind::Integer)
        .default("4"),
        OptionSpec::new("idle", "how long a connection is kept without a mail: 0 for not at all, at most 24h")
            .kind(OptionKind::Duration)
            .default("60s"),
        Rate::option("unlimited"),
        Rate::max_age_option(),
    ],
);
