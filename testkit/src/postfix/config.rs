//! Postfix' configuration files, as texts.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::builder::Builder;
use crate::smtp::Identity;

/// Who owns the mailboxes: nobody, by the number that all systems give it.
pub(super) const OWNER: u32 = 65_534;

/// The ports of an instance.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pub(super) smtp: u16,
    pub(super) submission: Option<u16>,
    pub(super) implicit_tls: Option<u16>,
    /// Those of further listeners, by name.
    pub(super) others: BTreeMap<String, u16>,
}

/// The daemons besides the listeners, none in a chroot: master(5).
const DAEMONS: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
elsewhere unix - n n - - virtual
  -o { virtual_mailbox_maps = static:elsewhere/ }
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// What users need on ports of their own.
const USERS_ONLY: &str = "  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }\n";

/// What `smtpd_tls_chain_files` wants: the key, then the certificate and its chain.
pub(super) fn identity(identity: &Identity) -> String {
    let (key, chain) = (identity.key_pem(), identity.chain_pem());
    format!("{}\n{}\n", key.trim_end(), chain.trim_end())
}

/// What stands for the folder of the configuration in what tests say of it.
fn in_folder(text: &str, folder: &Path) -> String {
    text.replace("{etc}", &folder.join("etc").display().to_string())
}

pub(super) fn master_cf(settings: &Builder, ports: &Ports, folder: &Path) -> String {
    let mut text = String::new();
    for listener in &settings.listeners {
        let Some(port) = ports.others.get(&listener.name) else {
            continue;
        };
        let (most, program) = match listener.program {
            "postscreen" => ("1", "postscreen"),
            program => ("-", program),
        };
        let _ = writeln!(text, "127.0.0.1:{port} inet n - n - {most} {program}");
        for option in &listener.options {
            let _ = writeln!(text, "  -o {{ {option} }}");
        }
    }
    let mut listen = |port: u16, options: &str| {
        let _ = writeln!(text, "127.0.0.1:{port} inet n - n - - smtpd");
        text.push_str(options);
    };
    listen(ports.smtp, "");
    if let Some(port) = ports.submission {
        listen(
            port,
            &format!("  -o {{ smtpd_tls_security_level = encrypt }}\n{USERS_ONLY}"),
        );
    }
    if let Some(port) = ports.implicit_tls {
        let users_only = if settings.logins.is_empty() {
            ""
        } else {
            USERS_ONLY
        };
        listen(
            port,
            &format!("  -o {{ smtpd_tls_wrappermode = yes }}\n{users_only}"),
        );
    }
    text.push_str(DAEMONS);
    for lines in &settings.services {
        let _ = writeln!(text, "{}", lines.trim_end());
    }
    in_folder(&text, folder)
}

pub(super) fn main_cf(settings: &Builder, path: &Path) -> String {
    let folder = path.display();
    let hostname = settings.hostname();
    let domain = settings.mail_domain();
    let mut lines = vec![
        "compatibility_level = 3.6".to_owned(),
        format!("queue_directory = {folder}/queue"),
        format!("data_directory = {folder}/data"),
        // A log of its own instead of syslog: Postfix 3.4.
        format!("maillog_file = {folder}/log"),
        format!("maillog_file_prefixes = {folder}"),
        format!("syslog_name = {}", settings.name),
        "inet_interfaces = 127.0.0.1".to_owned(),
        "inet_protocols = ipv4".to_owned(),
        "smtp_bind_address = 127.0.0.1".to_owned(),
        "master_service_disable =".to_owned(),
        // Nothing here may wait for a name server.
        "disable_dns_lookups = yes".to_owned(),
        "smtp_host_lookup = native".to_owned(),
        "smtpd_peername_lookup = no".to_owned(),
        format!("myhostname = {hostname}"),
        format!("mydomain = {domain}"),
        format!("myorigin = {hostname}"),
        "mydestination =".to_owned(),
        "alias_maps =".to_owned(),
        "alias_database =".to_owned(),
        "local_transport = error:5.1.1 no local mail".to_owned(),
        "biff = no".to_owned(),
        "append_dot_mydomain = no".to_owned(),
        format!("mynetworks = {}", settings.trusted.join(", ")),
        format!("virtual_mailbox_domains = {domain}"),
        format!("virtual_mailbox_maps = {}", mailboxes(settings)),
        format!("virtual_mailbox_base = {folder}/mail"),
        format!("virtual_uid_maps = static:{OWNER}"),
        format!("virtual_gid_maps = static:{OWNER}"),
        "virtual_mailbox_limit = 0".to_owned(),
        // Tests want answers and repeats soon.
        "smtpd_error_sleep_time = 0".to_owned(),
        "queue_run_delay = 1s".to_owned(),
        "minimal_backoff_time = 1s".to_owned(),
        "maximal_backoff_time = 2s".to_owned(),
        "smtpd_client_connection_count_limit = 0".to_owned(),
        "enable_long_queue_ids = yes".to_owned(),
        format!(
            "smtpd_relay_restrictions = {}",
            if settings.demands_login {
                "permit_sasl_authenticated, reject"
            } else {
                "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"
            }
        ),
    ];
    lines.extend(tls(settings, &folder));
    lines.extend(users(settings, &folder));
    lines.extend(next_hop(settings, &folder));
    if settings.demands_fqdn_helo {
        lines.push("smtpd_helo_required = yes".to_owned());
        lines.push(
            "smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname"
                .to_owned(),
        );
    }
    if let Some(count) = settings.most_recipients {
        lines.push(format!("smtpd_recipient_limit = {count}"));
    }
    if let Some(bytes) = settings.most_bytes {
        lines.push(format!("message_size_limit = {bytes}"));
    }
    // Each name once: every process says of a second one that it overrides the first, all at the start, and
    // postlogd waits for ever for itself where that fills its socket.
    for setting in &settings.settings {
        lines.retain(|line| name(line) != name(setting));
        lines.push(setting.clone());
    }
    in_folder(&(lines.join("\n") + "\n"), path)
}

fn name(line: &str) -> &str {
    line.split('=').next().unwrap_or(line).trim()
}

fn mailboxes(settings: &Builder) -> String {
    if settings.mailboxes.is_empty() {
        // Without any table all would be taken; nobody has this name.
        return "inline:{ nobody-at-all=nobody-at-all/ }".to_owned();
    }
    let entries = settings
        .mailboxes
        .iter()
        .map(|name| format!("{{ {name}@{} = {name}/ }}", settings.mail_domain()));
    format!("inline:{{ {} }}", entries.collect::<Vec<_>>().join(", "))
}

fn tls(settings: &Builder, folder: &impl std::fmt::Display) -> Vec<String> {
    if settings.identity.is_none() {
        return vec!["smtpd_tls_security_level = none".to_owned()];
    }
    let level = if settings.demands_tls {
        "encrypt"
    } else {
        "may"
    };
    vec![
        format!("smtpd_tls_chain_files = {folder}/etc/identity.pem"),
        format!("smtpd_tls_security_level = {level}"),
        "smtpd_tls_auth_only = yes".to_owned(),
        "smtpd_tls_loglevel = 1".to_owned(),
        "smtpd_tls_received_header = yes".to_owned(),
    ]
}

fn users(settings: &Builder, folder: &impl std::fmt::Display) -> Vec<String> {
    if settings.logins.is_empty() {
        return Vec::new();
    }
    vec![
        "smtpd_sasl_auth_enable = yes".to_owned(),
        "smtpd_sasl_type = cyrus".to_owned(),
        "smtpd_sasl_path = smtpd".to_owned(),
        format!("cyrus_sasl_config_path = {folder}/etc/sasl"),
        format!("smtpd_sasl_local_domain = {}", settings.hostname()),
        "smtpd_sasl_security_options = noanonymous".to_owned(),
        "smtpd_sasl_authenticated_header = yes".to_owned(),
    ]
}

/// What Cyrus' library reads, `smtpd.conf`.
pub(super) fn sasl(folder: &Path) -> String {
    format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}/etc/sasl/users\nmech_list: PLAIN LOGIN\n",
        folder.display()
    )
}

fn next_hop(settings: &Builder, folder: &impl std::fmt::Display) -> Vec<String> {
    let Some(next) = &settings.next_hop else {
        return vec!["default_transport = elsewhere:".to_owned()];
    };
    vec![
        format!("relayhost = [127.0.0.1]:{}", next.port),
        "smtp_tls_security_level = secure".to_owned(),
        format!("smtp_tls_secure_cert_match = {}", next.name),
        format!("smtp_tls_CAfile = {folder}/etc/next-ca.pem"),
        "smtp_tls_loglevel = 1".to_owned(),
        "smtp_sasl_auth_enable = yes".to_owned(),
        format!("smtp_sasl_password_maps = texthash:{folder}/etc/next-login"),
        "smtp_sasl_tls_security_options = noanonymous".to_owned(),
    ]
}

/// The login at the next server, as texthash(5).
pub(super) fn next_login(settings: &Builder) -> Option<String> {
    let next = settings.next_hop.as_ref()?;
    let (port, user, password) = (next.port, &next.user, &next.password);
    Some(format!("[127.0.0.1]:{port} {user}:{password}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postfix::Postfix;

    #[test]
    fn each_setting_stands_once_and_the_last_one_counts() {
        let builder = Postfix::builder("x")
            .setting("queue_run_delay = 5s")
            .setting("inet_interfaces=all")
            .setting("queue_run_delay = 7s")
            .setting("transport_maps = texthash:{etc}/transport");
        let text = main_cf(&builder, Path::new("/f"));
        let mut names: Vec<&str> = text.lines().map(name).collect();
        assert!(text.contains("\nqueue_run_delay = 7s\n") && !text.contains("5s"));
        assert!(text.contains("\ntransport_maps = texthash:/f/etc/transport\n"));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{text}");
    }

    #[test]
    fn listeners_have_their_own_settings_and_ports() {
        let builder = Postfix::builder("x")
            .listener("slow", &["smtpd_client_restrictions = sleep 3, permit"])
            .postscreen("guarded", &[])
            .service("extra unix - - n - - discard");
        let ports = Ports {
            smtp: 1,
            submission: None,
            implicit_tls: None,
            others: [("slow".to_owned(), 2), ("guarded".to_owned(), 3)].into(),
        };
        let text = master_cf(&builder, &ports, Path::new("/f"));
        for line in [
            "127.0.0.1:1 inet n - n - - smtpd\n",
            "127.0.0.1:2 inet n - n - - smtpd\n  -o { smtpd_client_restrictions = sleep 3, permit }\n",
            "127.0.0.1:3 inet n - n - 1 postscreen\n",
            "smtpd pass - - n - - smtpd\n",
            "extra unix - - n - - discard\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
