//! Files that are in use everywhere: none is critical, and most have little to mend.

use super::*;

/// Rules that are more than good to know.
fn rules_of(main: &str) -> Vec<(String, State)> {
    let all = found(&checks(main)).into_iter();
    let all = all.filter(|(_, state, ..)| *state > State::Ok);
    let mut rules: Vec<(String, State)> = all.map(|(rule, state, ..)| (rule, state)).collect();
    rules.sort();
    rules.dedup();
    rules
}

#[track_caller]
fn warns(main: &str, rules: &[&str]) {
    let all = rules_of(main);
    assert!(
        all.iter().all(|(_, state)| *state == State::Warn),
        "{all:?}"
    );
    let names: Vec<&str> = all.iter().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(names, rules);
}

/// As Debian's package asks for and writes it.
#[test]
fn debian() {
    let main = "\
# See /usr/share/postfix/main.cf.dist for a commented, more complete version
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem
smtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key
smtpd_tls_security_level=may
smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = node7.corp.example
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
mydestination = $myhostname, node7, localhost.localdomain, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
";
    // Its aliases are not among the files of this test.
    warns(main, &["table-missing"]);
}

/// As Red Hat's package has it, of before and since there were levels.
#[test]
fn red_hat() {
    let main = "\
queue_directory = /var/spool/postfix
command_directory = /usr/sbin
daemon_directory = /usr/libexec/postfix
data_directory = /var/lib/postfix
mail_owner = postfix
inet_interfaces = localhost
inet_protocols = all
mydestination = $myhostname, localhost.$mydomain, localhost
unknown_local_recipient_reject_code = 550
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
debug_peer_level = 2
debugger_command =
	 PATH=/bin:/usr/bin:/usr/local/bin:/usr/X11R6/bin
	 ddd $daemon_directory/$process_name $process_id & sleep 5
sendmail_path = /usr/sbin/sendmail.postfix
newaliases_path = /usr/bin/newaliases.postfix
mailq_path = /usr/bin/mailq.postfix
setgid_group = postdrop
html_directory = no
manpage_directory = /usr/share/man
";
    let files = "program-folder";
    // Packages of then sent in clear.
    let old = format!("{main}sample_directory = /usr/share/doc/postfix-2.10.1/samples\n");
    let all = rules_of(&old);
    assert!(
        all.contains(&("other-version".to_owned(), State::Warn)),
        "{all:?}"
    );
    assert!(
        all.contains(&("tls-missing".to_owned(), State::Warn)),
        "{all:?}"
    );
    assert!(
        all.iter().all(|(_, state)| *state == State::Warn),
        "{all:?}"
    );
    let new = format!(
        "{main}compatibility_level = 3.7
meta_directory = /etc/postfix
shlib_directory = /usr/lib64/postfix
smtpd_tls_cert_file = /etc/pki/tls/certs/postfix.pem
smtpd_tls_key_file = /etc/pki/tls/private/postfix.key
smtpd_tls_security_level = may
smtp_tls_CApath = /etc/pki/tls/certs
smtp_tls_CAfile = /etc/pki/tls/certs/ca-bundle.crt
smtp_tls_security_level = may
"
    );
    let files_of_packages = ["table-missing", files];
    let all = rules_of(&new);
    let others = all
        .iter()
        .filter(|(rule, _)| !files_of_packages.contains(&rule.as_str()));
    assert_eq!(others.count(), 0, "{all:?}");
}

/// A machine that only sends, as Postfix' own documentation has it.
#[test]
fn a_null_client() {
    let main = "\
compatibility_level = 3.6
myhostname = node7.corp.example
myorigin = $mydomain
relayhost = $mydomain
inet_interfaces = loopback-only
mydestination =
smtp_tls_security_level = may
";
    warns(main, &["relayhost-unbracketed"]);
    warns(
        &main.replace("= $mydomain\ninet", "= [mail.$mydomain]:587\ninet"),
        &[],
    );
}

/// One that hands all mail on to a provider.
#[test]
fn a_relay_to_a_provider() {
    let main = "\
compatibility_level = 3.6
myhostname = relay.corp.example
mydestination =
mynetworks = 127.0.0.0/8, [::1]/128, 10.42.0.0/16, 172.16.0.0/12, 192.168.0.0/16
relayhost = [smtp.sendgrid.net]:587
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:/srv/passwords
smtp_sasl_security_options = noanonymous
smtp_sasl_tls_security_options = noanonymous
smtp_tls_security_level = encrypt
smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt
header_size_limit = 4096000
smtpd_tls_security_level = may
smtpd_tls_chain_files = /etc/ssl/relay.pem
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
maximal_queue_lifetime = 1d
bounce_queue_lifetime = 1d
";
    warns(main, &["table-missing"]);
}

/// As Mailu's template comes out.
#[test]
fn mailu() {
    let main = "\
myhostname = mail.corp.example
mydomain = corp.example
mydestination =
relayhost =
mynetworks = 127.0.0.1/32 [::1]/128 192.168.203.0/24
alias_maps =
recipient_delimiter = +
relay_recipient_maps = ${podop}alias
podop = socketmap:unix:/tmp/podop.socket:
smtpd_sasl_auth_enable = no
queue_directory = /queue
message_size_limit = 50000000
maillog_file = /dev/stdout
compatibility_level = 3.6
mailbox_size_limit = 0
smtp_tls_CApath = /etc/ssl/certs
smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt
smtp_tls_mandatory_protocols = >=TLSv1.2
smtp_tls_protocols = >=TLSv1.2
smtp_tls_security_level = dane
smtp_tls_policy_maps = ${podop}dane, ${podop}tls
smtp_tls_session_cache_database = lmdb:/dev/shm/postfix/smtp_scache
smtpd_tls_security_level = none
virtual_alias_maps = ${podop}alias
virtual_mailbox_domains = ${podop}domain
virtual_mailbox_maps = ${podop}mailbox
relay_domains = ${podop}transport
transport_maps = ${podop}transport
virtual_transport = lmtp:inet:imap:2525
in_flow_delay = 0
sender_canonical_maps = ${podop}sendermap
sender_canonical_classes = envelope_sender
smtpd_helo_required = yes
check_ratelimit = check_sasl_access ${podop}senderrate
smtpd_restriction_classes = check_ratelimit
smtpd_client_restrictions = permit_mynetworks, check_sender_access ${podop}senderaccess, reject_non_fqdn_sender, reject_unknown_sender_domain, reject_unknown_recipient_domain, permit
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
unverified_recipient_reject_reason = Address lookup failure
smtpd_milters = inet:antispam:11332
milter_protocol = 6
milter_default_action = tempfail
";
    warns(main, &[]);
}

/// As docker-mailserver has it.
#[test]
fn a_mail_server_in_a_container() {
    let main = "\
smtpd_banner = $myhostname ESMTP
biff = no
append_dot_mydomain = no
readme_directory = no
myhostname = mail.corp.example
mydomain = corp.example
smtpd_tls_chain_files = /etc/dms/tls/key /etc/dms/tls/cert
smtpd_tls_security_level = may
smtpd_use_tls=yes
smtp_tls_security_level = may
smtp_tls_loglevel = 1
tls_ssl_options = NO_COMPRESSION, NO_RENEGOTIATION
smtpd_tls_protocols = !SSLv2,!SSLv3,!TLSv1,!TLSv1.1
smtp_tls_protocols = !SSLv2,!SSLv3,!TLSv1,!TLSv1.1
tls_preempt_cipherlist = yes
smtpd_tls_auth_only = yes
tls_high_cipherlist = ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384
inet_interfaces = all
inet_protocols = all
mydestination = localhost.$mydomain, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::1]/128 [fe80::]/64 172.18.0.0/16
mailbox_size_limit = 0
recipient_delimiter = +
message_size_limit = 10240000
dms_smtpd_sender_restrictions = permit_sasl_authenticated, permit_mynetworks, reject_unknown_sender_domain
disable_vrfy_command = yes
smtpd_helo_required = yes
smtpd_delay_reject = yes
smtpd_helo_restrictions = permit_mynetworks, reject_invalid_helo_hostname, permit
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
smtpd_recipient_restrictions = permit_sasl_authenticated, permit_mynetworks, reject_unauth_destination, reject_unauth_pipelining, reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_unknown_recipient_domain, reject_non_fqdn_recipient
smtpd_client_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_pipelining
smtpd_sender_restrictions = $dms_smtpd_sender_restrictions
smtpd_discard_ehlo_keywords = silent-discard, dsn
postscreen_dnsbl_action = enforce
postscreen_dnsbl_sites = zen.spamhaus.org=127.0.0.[10;11]*8
  bl.mailspike.net=127.0.0.[10..12]*4
  list.dnswl.org=127.0.[0..255].0*-2
postscreen_greet_action = enforce
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = /dev/shm/sasl-auth.sock
smtpd_sasl_security_options = noanonymous
smtpd_sasl_local_domain = $mydomain
broken_sasl_auth_clients = yes
virtual_transport = lmtp:unix:/var/run/dovecot/lmtp
virtual_mailbox_domains = /srv/vhost
virtual_mailbox_maps = texthash:/srv/vmailbox
virtual_alias_maps = texthash:/srv/virtual
milter_protocol = 6
milter_default_action = accept
smtpd_milters = inet:localhost:8891
non_smtpd_milters = $smtpd_milters
header_checks = pcre:/srv/maps/header_checks.pcre
compatibility_level = 3.6
";
    let all = rules_of(main);
    let mine = ["table-missing", "table-type"];
    let others = all
        .iter()
        .filter(|(rule, _)| !mine.contains(&rule.as_str()));
    assert_eq!(others.count(), 0, "{all:?}");
    assert!(
        all.iter().all(|(_, state)| *state == State::Warn),
        "{all:?}"
    );
}

/// What `postconf -n` prints of a relay, sorted and without comments.
#[test]
fn printed() {
    let main = "\
alias_database = hash:/srv/aliases
append_dot_mydomain = no
compatibility_level = 3.6
config_directory = /etc/postfix
daemon_directory = /srv/nowhere
inet_interfaces = all
maillog_file = /dev/stdout
mydestination =
myhostname = relay.corp.example
mynetworks = 10.0.0.0/8
recipient_canonical_maps =
smtp_tls_security_level = may
smtpd_client_restrictions = permit_mynetworks, reject
smtpd_relay_restrictions = ${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}
smtpd_tls_cert_file = /srv/cert.pem
smtpd_tls_key_file = /srv/key.pem
smtpd_tls_security_level = may
";
    warns(main, &["program-folder", "table-missing"]);
}
