//! Values, paths and names of parameters.

use super::*;

#[test]
fn values_and_paths() {
    expect(
        "soft_bounce = yes\n",
        "soft-bounce",
        &[(State::Warn, "soft_bounce", 1)],
    );
    expect(
        "smtpd_recipient_limit = 10\n",
        "recipient-limit",
        &[(State::Warn, "smtpd_recipient_limit", 1)],
    );
    expect(
        "maximal_queue_lifetime = 5d\n",
        "queue-lifetime",
        &[(State::Warn, "maximal_queue_lifetime", 1)],
    );
    expect("maximal_queue_lifetime = 12h\n", "queue-lifetime", &[]);
    expect(
        "message_size_limit = 52428800\nmailbox_size_limit = 1000000\n",
        "message-size",
        &[(State::Warn, "message_size_limit", 1)],
    );
    let files = Fake::default().file("/m", "message_size_limit = 1000\n", 1);
    let all = found(&review(Path::new("/m"), &files, 5000));
    assert!(all.iter().any(|(r, ..)| r == "message-size"), "{all:?}");
    expect(
        "queue_directory = spool\n",
        "relative-path",
        &[(State::Warn, "queue_directory", 1)],
    );
    expect(
        "sample_directory = /usr/share/doc/postfix-2.3.3/samples\n",
        "other-version",
        &[(State::Warn, "sample_directory", 1)],
    );
    expect(
        "daemon_directory = /opt/nowhere\n",
        "program-folder",
        &[(State::Warn, "daemon_directory", 1)],
    );
}

#[test]
fn names_of_parameters() {
    let rule = "unknown-parameter";
    expect(
        "replay_domains = x\n",
        rule,
        &[(State::Warn, "replay_domains", 1)],
    );
    let checks = checks("replay_domains = x\n");
    let hint = checks
        .iter()
        .find(|c| c.subject.as_deref() == Some("replay_domains"));
    assert_eq!(
        hint.unwrap().hint.as_deref(),
        Some("write relay_domains, if that is meant")
    );
    expect(
        "mine = 10.0.0.0/8\nmynetworks = ${mine}\nsendgrid_destination_rate_delay = 1s\n",
        rule,
        &[],
    );
    expect(
        "virtual_alias_maps = ldap:people\npeople_server_host = x\n",
        rule,
        &[],
    );
    expect(
        "mynetworks = 10.0.0.0/8\nmynetworks = 10.1.0.0/16\n",
        "duplicate",
        &[(State::Warn, "mynetworks", 1)],
    );
    expect("what is this\n", "syntax", &[(State::Crit, "main.cf", 1)]);
    expect(
        "smtpd_use_tls = yes\n",
        "obsolete",
        &[(State::Ok, "smtpd_use_tls", 1)],
    );
}
