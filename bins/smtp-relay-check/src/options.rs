//! What can be set: each option once, for the command line, the file and the docs.

use notifiers::{OptionKind, OptionSpec};

/// Options of one heading of the help.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) options: &'static [OptionSpec],
}

const LEVELS: OptionKind = OptionKind::Choice(&["live", "ready", "deep"]);
const TLS: OptionKind =
    OptionKind::Choice(&["auto", "implicit", "starttls", "opportunistic", "none"]);
const EXPECT: OptionKind = OptionKind::Choice(&["closed", "trusted", "auth"]);

/// What is said of a target: flags for all of them, keys of `[defaults]` and of each `[[target]]`.
pub(crate) const TARGET: &[Section] = &[
    Section {
        title: "What is checked",
        options: &[
            OptionSpec::new("level", "live: whether it runs; ready: whether it takes mail; deep: the DNS too")
                .kind(LEVELS)
                .default("ready"),
            OptionSpec::new("from", "sender that must be taken; <> is the null sender")
                .kind(OptionKind::List)
                .repeated(),
            OptionSpec::new("rcpt", "recipients that must be taken, several as words, with commas or by giving it again; %u becomes a word of its own each time")
                .kind(OptionKind::List)
                .repeated(),
            OptionSpec::new("rcpt-unknown", "ask for a recipient that cannot be there, too")
                .kind(OptionKind::Bool),
            OptionSpec::new("require", "extensions that must be offered, such as SIZE or 8BITMIME")
                .kind(OptionKind::List)
                .repeated(),
            OptionSpec::new("forbid", "extensions that must not be offered; AUTH-in-clear is AUTH without TLS")
                .kind(OptionKind::List)
                .repeated()
                .default("AUTH-in-clear,XCLIENT"),
            OptionSpec::new("min-size", "octets that a message must be allowed to have").kind(OptionKind::Size),
            OptionSpec::new("helo", "name to greet with; unless set the machine's if it is a full one, else its address in brackets"),
            OptionSpec::new("helo-short", "bare name, as a container's, that is tried besides"),
            OptionSpec::new("source", "local address to connect from"),
            OptionSpec::new("timeout", "the longest that the dialogue with a server may take")
                .kind(OptionKind::Duration)
                .default("10s"),
            OptionSpec::new("connect-timeout", "the longest that a connection may take")
                .kind(OptionKind::Duration)
                .default("5s"),
            OptionSpec::new("reply-timeout", "the longest wait for one reply; the rest of --timeout unless set")
                .kind(OptionKind::Duration),
        ],
    },
    Section {
        title: "TLS and login",
        options: &[
            OptionSpec::new("tls", "auto goes by the port: 465 implicit, 587 starttls, others opportunistic; starttls at least with --user")
                .kind(TLS)
                .default("auto"),
            OptionSpec::new("tls13", "only TLS 1.3 will do").kind(OptionKind::Bool),
            OptionSpec::new("ca", "PEM file of the authorities to trust in place of the system's").kind(OptionKind::Path),
            OptionSpec::new("tls-name", "name that the certificate must bear; the host's unless set"),
            OptionSpec::new("user", "name to log in with"),
            OptionSpec::new("password-file", "file that holds the password").kind(OptionKind::Path),
            OptionSpec::new("allow-clear", "let the password go out without TLS").kind(OptionKind::Bool),
            OptionSpec::new("auth-negative", "try a wrong password too, which must be refused; servers may slow us down for it")
                .kind(OptionKind::Bool),
        ],
    },
    Section {
        title: "Open relay",
        options: &[
            OptionSpec::new("open-relay", "try all the ways in which strangers relay; sends nothing without --send")
                .kind(OptionKind::Bool),
            OptionSpec::new("expect", "closed: it must not relay for us; trusted: it must, since it knows our address; auth: with a login only")
                .kind(EXPECT)
                .default("closed"),
            OptionSpec::new("relay-domain", "domains that the server is a backup for, each tried as a way through")
                .kind(OptionKind::List)
                .repeated(),
            OptionSpec::new("well-known", "providers' domains that it must not be open to")
                .kind(OptionKind::List)
                .repeated()
                .default("gmail.com,outlook.com,yahoo.com,icloud.com"),
            OptionSpec::new("own-domain", "the server's own domain; guessed unless set"),
            OptionSpec::new("victim", "recipient that has nothing to do with the server").default("victim@example.net"),
            OptionSpec::new("send", "messages may be sent: what --open-relay gets through, or else one to the first of --rcpt")
                .kind(OptionKind::Bool),
        ],
    },
    Section {
        title: "Canary: a message sent through to the first of --rcpt",
        options: &[
            OptionSpec::new("canary", "where it is awaited: maildir:PATH, mbox:PATH, imap://USER@HOST/INBOX, imaps://…, smtp-listen:IP:PORT, lmtp-listen:IP:PORT or queue-gone"),
            OptionSpec::new("canary-password-file", "file that holds the password of the mailbox").kind(OptionKind::Path),
            OptionSpec::new("canary-ca", "PEM file of the authorities that the mailbox' certificate must come from")
                .kind(OptionKind::Path),
            OptionSpec::new("canary-warn", "later than this is a warning")
                .kind(OptionKind::Duration)
                .default("30s"),
            OptionSpec::new("canary-timeout", "later than this it counts as lost")
                .kind(OptionKind::Duration)
                .default("2m"),
        ],
    },
    Section {
        title: "Queue and configuration",
        options: &[
            OptionSpec::new("queue", "Postfix' socket public/showq, or its queue folder").kind(OptionKind::Path),
            OptionSpec::new("main-cf", "Postfix' main.cf, to be reviewed").kind(OptionKind::Path),
        ],
    },
    Section {
        title: "DNS",
        options: &[
            OptionSpec::new("dns", "check the DNS, and ask this resolver, IP:PORT, or system"),
            OptionSpec::new("domain", "domains that send; those of --from unless set")
                .kind(OptionKind::List)
                .repeated(),
            OptionSpec::new("dkim-selector", "selectors of DKIM whose keys must be there")
                .kind(OptionKind::List)
                .repeated(),
            OptionSpec::new("dnsbl", "zones of block lists").kind(OptionKind::List).repeated(),
            OptionSpec::new("egress", "the address that the world sees"),
            OptionSpec::new("dns-timeout", "the longest wait for one answer of the DNS")
                .kind(OptionKind::Duration)
                .default("3s"),
        ],
    },
    Section {
        title: "Bounds, as WARN,CRIT",
        options: &[
            OptionSpec::new("connect-time", "seconds until the connection stands").default("1,3"),
            OptionSpec::new("greeting-time", "seconds from there to the banner").default("2,8"),
            OptionSpec::new("cert-days", "days that the certificate is good for, and fewer").default("21,7"),
            OptionSpec::new("queue-depth", "messages in the queue").default("50,500"),
            OptionSpec::new("deferred-age", "seconds of the oldest deferred message").default("900,3600"),
            OptionSpec::new("active-age", "seconds of the oldest message that is to go out now").default("60,300"),
            OptionSpec::new("queue-growth", "messages a minute by which the queue grows").default("10,100"),
            OptionSpec::new("spool-free", "percent of the spool that is free, and less; counts below 10 GiB").default("20,5"),
        ],
    },
    Section {
        title: "With --listen and --watch",
        options: &[
            OptionSpec::new("interval", "how often a target is checked; a tenth more or less, so that not all are checked at once")
                .kind(OptionKind::Duration)
                .default("60s"),
            OptionSpec::new("flap-changes", "so many changes within --flap-window, and a target flaps: nothing more is told of it until it keeps still")
                .kind(OptionKind::Integer)
                .default("3"),
            OptionSpec::new("flap-window", "see --flap-changes").kind(OptionKind::Duration).default("10m"),
        ],
    },
];

/// What is said of a run: flags only, but for those that [`TOP`] names.
pub(crate) const RUN: &[Section] = &[
    Section {
        title: "Output",
        options: &[
            OptionSpec::new("format", "the form of what is printed")
                .kind(OptionKind::Choice(&["table", "json", "nagios", "prometheus"]))
                .default("table"),
            OptionSpec::new("exit", "plugin: 0 ok, 1 warning, 2 critical, 3 unknown; probe: 0 if mail can be taken, else 1, and a short table")
                .kind(OptionKind::Choice(&["plugin", "probe"]))
                .default("plugin"),
            OptionSpec::new("all", "show each of many alike, and why a check was not run").kind(OptionKind::Bool),
            OptionSpec::new("quiet", "show only what is not fine").kind(OptionKind::Bool),
            OptionSpec::new("color", "auto: colours on a terminal")
                .kind(OptionKind::Choice(&["auto", "always", "never"]))
                .default("auto"),
        ],
    },
    Section {
        title: "Ways to run",
        options: &[
            OptionSpec::new("config", "TOML file with targets").kind(OptionKind::Path),
            OptionSpec::new("check-config", "say what --config and the flags come to, and check nothing").kind(OptionKind::Bool),
            OptionSpec::new("state", "file for what one run leaves for the next: how the queue grows, canaries that are late")
                .kind(OptionKind::Path),
            OptionSpec::new("listen", "serve /probe, /metrics, /health, /livez and /readyz on HOST:PORT or :PORT, and check on and on"),
            OptionSpec::new("probe-targets", "what /probe may be asked for besides the targets: HOST, HOST:PORT, *.DOMAIN, networks such as 10.0.0.0/8")
                .kind(OptionKind::List)
                .repeated(),
            OptionSpec::new("watch", "tell of changes through the reporters of --config and the environment").kind(OptionKind::Bool),
        ],
    },
];

/// Those of [`RUN`] that may stand at the top of the file too.
pub(crate) const TOP: &[&str] = &["listen", "probe-targets", "state"];

/// The flags whose further values may follow as words: see [`crate::words`].
pub(crate) const WORDY: &[&str] = &["rcpt", "relay-domain", "well-known", "domain"];

/// The option of a key, dashes and underscores alike.
pub(crate) fn find(sections: &'static [Section], key: &str) -> Option<&'static OptionSpec> {
    let key = key.replace('_', "-");
    sections
        .iter()
        .flat_map(|s| s.options)
        .find(|o| o.key == key)
}

/// The options of these sections, in order.
pub(crate) fn all(sections: &'static [Section]) -> impl Iterator<Item = &'static OptionSpec> {
    sections.iter().flat_map(|s| s.options)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference as the README has it.
    fn reference() -> String {
        let mut out = String::from("| key | value | default | what |\n|---|---|---|---|\n");
        for spec in all(TARGET) {
            let value = spec.kind.describe().replace('|', "\\|");
            let default = spec.default.map(|d| format!("`{d}`")).unwrap_or_default();
            out.push_str(&format!(
                "| `{}` | {value} | {default} | {} |\n",
                spec.key.replace('-', "_"),
                spec.help
            ));
        }
        out
    }

    #[test]
    fn the_readme_has_each_key() {
        let readme = include_str!("../README.md");
        let reference = reference();
        assert!(
            readme.contains(&reference),
            "README.md lacks this table:\n{reference}"
        );
    }

    #[test]
    fn the_readme_has_each_flag_of_a_run() {
        let readme = include_str!("../README.md");
        for spec in all(RUN) {
            assert!(
                readme.contains(&format!("`--{}", spec.key)),
                "--{}",
                spec.key
            );
        }
    }
}
