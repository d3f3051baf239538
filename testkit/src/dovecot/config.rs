//! Dovecot's configuration, as a text.

use std::path::Path;

/// Who owns the mailbox: nobody, by the number that all systems give it.
pub(super) const OWNER: u32 = 65_534;
/// The one who may log in.
pub(super) const USER: &str = "canary";
pub(super) const PASSWORD: &str = "mailbox-password";

/// The ports of an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) imap: u16,
    pub(super) imaps: u16,
    pub(super) lmtp: u16,
}

/// The whole of `dovecot.conf`; 2.4 has another language than what was before.
pub(super) fn dovecot_conf(is_new: bool, ports: Ports, folder: &Path) -> String {
    let mails = folder.join("mail");
    let (folder, mails) = (folder.display(), mails.display());
    let of_version = if is_new {
        format!(
            "dovecot_config_version = 2.4.0\n\
             dovecot_storage_version = 2.4.0\n\
             protocols {{\n  imap = yes\n  lmtp = yes\n}}\n\
             auth_allow_cleartext = yes\n\
             auth_username_format = %{{user | username | lower}}\n\
             mail_driver = maildir\n\
             mail_path = {mails}/Maildir\n\
             mail_home = {mails}\n\
             ssl_server_cert_file = {folder}/chain.pem\n\
             ssl_server_key_file = {folder}/key.pem\n\
             passdb passwd-file {{\n  passwd_file_path = {folder}/users\n}}\n\
             userdb static {{\n  allow_all_users = yes\n  fields {{\n    uid = {OWNER}\n    gid = {OWNER}\n    home = {mails}\n  }}\n}}\n"
        )
    } else {
        format!(
            "protocols = imap lmtp\n\
             disable_plaintext_auth = no\n\
             auth_username_format = %Ln\n\
             mail_location = maildir:{mails}/Maildir\n\
             ssl_cert = <{folder}/chain.pem\n\
             ssl_key = <{folder}/key.pem\n\
             passdb {{\n  driver = passwd-file\n  args = {folder}/users\n}}\n\
             userdb {{\n  driver = static\n  args = uid={OWNER} gid={OWNER} home={mails} allow_all_users=yes\n}}\n"
        )
    };
    let listener = |name: &str, port: u16, more: &str| {
        format!("  inet_listener {name} {{\n    port = {port}\n{more}  }}\n")
    };
    [
        of_version,
        format!(
            "base_dir = {folder}/run\n\
             state_dir = {folder}/state\n\
             instance_name = test\n\
             log_path = {folder}/log\n\
             listen = 127.0.0.1\n\
             hostname = mailbox.example\n\
             postmaster_address = postmaster@mailbox.example\n\
             ssl = yes\n\
             auth_mechanisms = plain login\n\
             auth_failure_delay = 0\n\
             first_valid_uid = 1\n\
             mail_fsync = never\n\
             default_client_limit = 200\n\
             default_process_limit = 20\n"
        ),
        "service imap-login {\n".to_owned(),
        listener("imap", ports.imap, ""),
        listener("imaps", ports.imaps, "    ssl = yes\n"),
        "}\nservice lmtp {\n".to_owned(),
        listener("lmtp", ports.lmtp, ""),
        // Else a failed login delays those that follow from its address by seconds.
        "}\nservice anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"
            .to_owned(),
    ]
    .concat()
}
