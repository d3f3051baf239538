//! What Postfix takes for parameters that are not set: those that the rules look at.

/// As of Postfix 3.4 to 3.10: postconf(5).
const DEFAULTS: &[(&str, &str)] = &[
    ("compatibility_level", "0"),
    ("data_directory", "/var/lib/postfix"),
    ("default_database_type", "hash"),
    ("default_transport", "smtp"),
    ("inet_interfaces", "all"),
    ("mail_name", "Postfix"),
    ("mail_version", "3.4"),
    ("mailbox_size_limit", "51200000"),
    ("maximal_queue_lifetime", "5d"),
    ("message_size_limit", "10240000"),
    (
        "mydestination",
        "$myhostname, localhost.$mydomain, localhost",
    ),
    ("myorigin", "$myhostname"),
    (
        "mynetworks_style",
        "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
    ),
    ("queue_directory", "/var/spool/postfix"),
    ("smtp_helo_name", "$myhostname"),
    ("smtpd_banner", "$myhostname ESMTP $mail_name"),
    ("smtpd_recipient_limit", "1000"),
    (
        "smtpd_relay_restrictions",
        "${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}",
    ),
    ("virtual_alias_domains", "$virtual_alias_maps"),
    ("virtual_alias_maps", "$virtual_maps"),
    ("virtual_mailbox_domains", "$virtual_mailbox_maps"),
];

/// The default of a parameter; empty ones and those that no rule looks at are not there.
pub(super) fn default(name: &str) -> Option<&'static str> {
    let found = DEFAULTS.iter().find(|(n, _)| *n == name);
    found.map(|(_, value)| *value)
}
