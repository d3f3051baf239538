//! The options of the section `relay`.

use notifier_core::{OptionGroup, OptionKind, OptionSpec};

use crate::hosts::AMAZON;

/// The section's name. `sns` is the reporter's.
pub const SCHEME: &str = "relay";

/// The options. `path`, `tls_cert` and `tls_key` are for who serves; all others are read here.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "topics",
            "ARNs of the topics that may tell, separated by commas; whatever comes from another is refused",
        )
        .kind(OptionKind::List),
        OptionSpec::new(
            "path",
            "path of the address that SNS posts to",
        )
        .default("/sns"),
        OptionSpec::new("signature", "signatures that are accepted: versions 1 and 2, or 2 alone, SHA-256")
            .kind(OptionKind::Choice(&["v1+v2", "v2"]))
            .default("v1+v2"),
        OptionSpec::new(
            "cert_hosts",
            "hosts that certificates may come from, separated by commas: {region} is the topic's, * one label; https unless an origin such as http://127.0.0.1:4566 says otherwise",
        )
        .kind(OptionKind::List)
        .default(AMAZON),
        OptionSpec::new(
            "endpoint",
            "address of SNS for confirmations, and for certificates too; unless set Amazon's in the topic's region",
        )
        .kind(OptionKind::Url),
        OptionSpec::new(
            "raw_secret",
            "accept raw deliveries, which have no signature, from who sends this: the parameter secret of the address, or the password in it",
        )
        .secret(),
        OptionSpec::new(
            "max_age",
            "how long ago a message may have been published, so that one that was captured is of no use later; SNS tries for an hour. 0: any time",
        )
        .kind(OptionKind::Duration)
        .default("24h"),
        OptionSpec::new("max_body", "the longest body that is read")
            .kind(OptionKind::Size)
            .default("300KiB"),
        OptionSpec::new(
            "text",
            "how a plain text is told: as it is, or as JSON, in quotes",
        )
        .kind(OptionKind::Choice(&["plain", "json"]))
        .default("plain"),
        OptionSpec::new(
            "attribute_labels",
            "whether message attributes that are named as labels decide where a message goes; they are not signed",
        )
        .kind(OptionKind::Bool)
        .default("true"),
        OptionSpec::new(
            "tls_cert",
            "PEM file of the certificate to serve HTTPS with, its chain behind it; read anew when it changes",
        )
        .kind(OptionKind::Path),
        OptionSpec::new("tls_key", "PEM file of its private key").kind(OptionKind::Path),
    ],
);
