//! The servers, and what is to be found out of each.

use std::{fs, os::unix::fs::chown, path::PathBuf, time::Duration};

use notifier_testkit::{peer, postfix::Postfix, smtp::Certificates};
use tokio::net::TcpSocket;

/// The name in the good certificate.
pub(crate) const NAME: &str = "relay.example";
/// A mailbox of the servers.
pub(crate) const OWN: &str = "user@relay.example";
/// Who has nothing to do with them.
pub(crate) const FOREIGN: &str = "victim@example.net";
pub(crate) const USER: &str = "app";
pub(crate) const PASSWORD: &str = "right-password";

/// Who owns the mailboxes.
const NOBODY: u32 = 65_534;

/// What is asked, as each tool can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether it speaks SMTP.
    Plain,
    /// Whether it greets a client with a bare name, as a container's.
    ShortName,
    /// Whether STARTTLS works, with a certificate to trust.
    Starttls,
    /// Whether it takes a sender, without TLS.
    Sender,
    /// Whether it takes mail for this recipient.
    Recipient,
    /// Whether it refuses to relay for strangers.
    Stranger,
    /// Whether this user may log in.
    Login { is_right: bool },
    /// Whether a message is delivered.
    Delivery,
}

/// One server in one state.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) question: Question,
    pub(crate) port: u16,
    /// Whether it is as it should be.
    pub(crate) is_well: bool,
    /// Whether nothing is amiss in the dialogue itself, so that all who ask go through to its end.
    pub(crate) is_smooth: bool,
    /// The checks of ours of which one must decide; empty text if all is well.
    pub(crate) checks: &'static [&'static str],
    /// Further arguments of ours.
    pub(crate) args: Vec<String>,
}

/// All servers.
pub(crate) struct Scene {
    relay: Postfix,
    /// The queue manager stands still.
    stuck: Postfix,
    /// What looks up recipients stands still.
    silent: Postfix,
    /// Its next server is away.
    lonely: Postfix,
    /// A port that nobody listens on, and that nobody else gets.
    closed: TcpSocket,
    pub(crate) folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::new();
        fs::write(folder.path().join("ca.pem"), certificates.ca_pem()).unwrap();
        fs::write(folder.path().join("right"), PASSWORD).unwrap();
        fs::write(folder.path().join("wrong"), "wrong-password").unwrap();
        let good = certificates.named(&[NAME]);
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let nobody = closed.local_addr().unwrap().port();

        let relay = Postfix::builder("relay")
            .mailboxes(&["user"])
            .identity(&good)
            .login(USER, PASSWORD)
            .trusts("127.0.0.0/8")
            .setting("smtpd_banner = $myhostname ESMTP")
            .other_identity("expired", &certificates.expired())
            .other_identity("elsewhere", &certificates.wrong_name())
            .other_identity("own", &certificates.self_signed())
            .listener("expired", &["smtpd_tls_chain_files = {etc}/expired.pem"])
            .listener(
                "elsewhere",
                &["smtpd_tls_chain_files = {etc}/elsewhere.pem"],
            )
            .listener("own", &["smtpd_tls_chain_files = {etc}/own.pem"])
            .other_identity("missing", &certificates.missing_another())
            .listener("missing", &["smtpd_tls_chain_files = {etc}/missing.pem"])
            .listener("plain", &["smtpd_tls_security_level = none"])
            .listener("tls-first", &["smtpd_tls_security_level = encrypt"])
            .listener("in-clear", &["smtpd_tls_auth_only = no"])
            .listener("closed", &["mynetworks ="])
            .listener("open", &["mynetworks = 0.0.0.0/0"])
            .listener(
                "refuses",
                &[
                    "smtpd_client_restrictions = reject",
                    "smtpd_delay_reject = no",
                ],
            )
            .listener(
                "full-names",
                &[
                    "smtpd_helo_required = yes",
                    "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname",
                    "smtpd_delay_reject = no",
                ],
            )
            .start_or_skip()
            .await?;
        let small = |name: &str| {
            Postfix::builder(name)
                .domain(NAME)
                .mailboxes(&["user"])
                .trusts("127.0.0.0/8")
        };
        let stuck = small("stuck").start_or_skip().await?;
        let silent = small("silent").start_or_skip().await?;
        let lonely = small("lonely")
            .setting("default_transport = smtp")
            .setting(&format!("relayhost = [127.0.0.1]:{nobody}"))
            .start_or_skip()
            .await?;
        // Made by the first mail, which does not come.
        for name in ["", "new", "cur", "tmp"] {
            let path = stuck.folder().join("mail/user").join(name);
            fs::create_dir(&path).unwrap();
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        for (postfix, daemon) in [(&stuck, "qmgr"), (&silent, "trivial-rewrite")] {
            if let Err(e) = postfix.freeze(daemon).await {
                peer::skipped("the comparison with other checks", &e.to_string());
                return None;
            }
        }
        Some(Self {
            relay,
            stuck,
            silent,
            lonely,
            closed,
            folder,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// All cases.
    pub(crate) fn cases(&self) -> Vec<Case> {
        use Question::{Delivery, Login, Plain, Recipient, Sender, ShortName, Starttls, Stranger};
        let relay = self.relay.port();
        let on = |name: &str| self.relay.listener(name);
        let well = |name, question, port| Case {
            name,
            question,
            port,
            is_well: true,
            is_smooth: true,
            checks: &[""],
            args: Vec::new(),
        };
        let sly = |name, question, port, checks| Case {
            is_well: false,
            checks,
            ..well(name, question, port)
        };
        let bad = |name, question, port, checks| Case {
            is_smooth: false,
            ..sly(name, question, port, checks)
        };
        let canary = |postfix: &Postfix| {
            let inbox = postfix.folder().join("mail/user");
            vec![
                format!("--canary=maildir:{}", inbox.display()),
                "--canary-timeout=5s".to_owned(),
                format!("--queue={}", postfix.queue_folder().display()),
            ]
        };
        let gone = vec![
            "--canary=queue-gone".to_owned(),
            "--canary-timeout=5s".to_owned(),
            format!("--rcpt={FOREIGN}"),
            format!("--queue={}", self.lonely.queue_folder().display()),
        ];
        let nobody = self.closed.local_addr().unwrap().port();
        vec![
            well("healthy, STARTTLS", Starttls, relay),
            well("healthy, mail for a mailbox", Recipient, relay),
            well("healthy, login", Login { is_right: true }, relay),
            well("closed to strangers", Stranger, on("closed")),
            bad("nobody listens", Plain, nobody, &["connect"]),
            bad(
                "refuses with 554 at once",
                Plain,
                on("refuses"),
                &["banner"],
            ),
            bad(
                "refuses a container's short name, 504",
                ShortName,
                on("full-names"),
                &["helo"],
            ),
            bad(
                "STARTTLS is not offered",
                Starttls,
                on("plain"),
                &["starttls"],
            ),
            bad(
                "certificate expired",
                Starttls,
                on("expired"),
                &["cert_expiry", "cert_chain"],
            ),
            bad(
                "certificate of another name",
                Starttls,
                on("elsewhere"),
                &["cert_name"],
            ),
            bad(
                "certificate signed by itself",
                Starttls,
                on("own"),
                &["cert_chain"],
            ),
            bad(
                "certificate without its intermediate",
                Starttls,
                on("missing"),
                &["cert_chain"],
            ),
            bad(
                "asks for TLS first, 530",
                Sender,
                on("tls-first"),
                &["mail_from"],
            ),
            bad(
                "offers a login in clear",
                Plain,
                on("in-clear"),
                &["capabilities", "auth_mechs"],
            ),
            bad(
                "the password is wrong, 535",
                Login { is_right: false },
                relay,
                &["auth"],
            ),
            bad("open to strangers", Stranger, on("open"), &["open_relay"]),
            bad(
                "hangs at the first address",
                Recipient,
                self.silent.port(),
                &["mail_from"],
            ),
            Case {
                args: canary(&self.stuck),
                ..bad(
                    "takes mail, delivers none",
                    Delivery,
                    self.stuck.port(),
                    &["canary"],
                )
            },
            Case {
                args: gone,
                ..bad(
                    "its next server is away",
                    Delivery,
                    self.lonely.port(),
                    &["canary"],
                )
            },
        ]
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The file of the right password, or of a wrong one.
    pub(crate) fn password(&self, is_right: bool) -> PathBuf {
        self.path(if is_right { "right" } else { "wrong" })
    }
}

/// What answers at once has a long time for it: a busy machine is no finding.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// What waits for its time to be over waits so long.
pub(crate) const SHORT: Duration = Duration::from_secs(20);
