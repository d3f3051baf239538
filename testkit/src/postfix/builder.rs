//! What a Postfix is to be like.

use std::{io, sync::Arc};

use super::{Postfix, blocking, config, instance::Instance};
use crate::{peer, smtp::Identity};

/// Tries to start, each on other ports.
const TRIES: usize = 3;

/// The next server on the way of what is not for the own mailboxes.
#[derive(Clone, Debug)]
pub(super) struct NextHop {
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    /// The authority that its certificate must come from, PEM.
    pub(super) ca_pem: String,
    /// The name that its certificate must have.
    pub(super) name: String,
}

/// Makes a [`Postfix`]. What is not said keeps the default of [`Postfix::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing runs before it is started"]
pub struct Builder {
    pub(super) name: String,
    pub(super) domain: Option<String>,
    pub(super) mailboxes: Vec<String>,
    /// Key and certificate in the order that Postfix wants.
    pub(super) identity: Option<String>,
    pub(super) logins: Vec<(String, String)>,
    pub(super) trusted: Vec<String>,
    pub(super) submission: bool,
    pub(super) implicit_tls: bool,
    pub(super) demands_tls: bool,
    pub(super) demands_login: bool,
    pub(super) demands_fqdn_helo: bool,
    pub(super) most_recipients: Option<u32>,
    pub(super) most_bytes: Option<u64>,
    pub(super) next_hop: Option<NextHop>,
    pub(super) settings: Vec<String>,
    pub(super) listeners: Vec<Listener>,
    pub(super) services: Vec<String>,
    /// Files of the configuration's folder: name, text, mode.
    pub(super) files: Vec<(String, String, u32)>,
}

/// One more port, and what is different there.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) program: &'static str,
    /// `name = value`, each an option of this port only.
    pub(super) options: Vec<String>,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            domain: None,
            mailboxes: Vec::new(),
            identity: None,
            logins: Vec::new(),
            trusted: Vec::new(),
            submission: false,
            implicit_tls: false,
            demands_tls: false,
            demands_login: false,
            demands_fqdn_helo: false,
            most_recipients: None,
            most_bytes: None,
            next_hop: None,
            settings: Vec::new(),
            listeners: Vec::new(),
            services: Vec::new(),
            files: Vec::new(),
        }
    }

    pub(super) fn hostname(&self) -> String {
        format!("{}.example", self.name)
    }

    pub(super) fn mail_domain(&self) -> String {
        self.domain.clone().unwrap_or_else(|| self.hostname())
    }

    /// The domain of its mailboxes; its own name unless said.
    pub fn domain(mut self, domain: &str) -> Self {
        self.domain = Some(domain.to_owned());
        self
    }

    /// Delivers to these local parts at its domain; others there are unknown users (550 5.1.1).
    pub fn mailboxes(mut self, names: &[&str]) -> Self {
        self.mailboxes.extend(names.iter().map(|n| (*n).to_owned()));
        self
    }

    /// Its certificate. It then offers STARTTLS.
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(config::identity(identity));
        self
    }

    /// A user, who may send to anywhere. With an identity the login is offered under TLS only.
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.logins.push((user.to_owned(), password.to_owned()));
        self
    }

    /// A network that may send to anywhere without a login, such as `127.0.0.0/8`.
    pub fn trusts(mut self, network: &str) -> Self {
        self.trusted.push(network.to_owned());
        self
    }

    /// An open relay: whoever asks may send to anywhere.
    pub fn open(self) -> Self {
        self.trusts("0.0.0.0/0")
    }

    /// A second port for users, where TLS by STARTTLS and a login come first.
    pub fn submission(mut self) -> Self {
        self.submission = true;
        self
    }

    /// Another port for users, which speaks TLS from the first byte on.
    pub fn implicit_tls(mut self) -> Self {
        self.implicit_tls = true;
        self
    }

    /// Takes no mail before STARTTLS (530 5.7.0).
    pub fn demands_tls(mut self) -> Self {
        self.demands_tls = true;
        self
    }

    /// Takes no mail from who did not log in, not even for its mailboxes (554 5.7.1).
    pub fn demands_login(mut self) -> Self {
        self.demands_login = true;
        self
    }

    /// Takes no mail from clients whose EHLO is no fully qualified name (504 5.5.2, at RCPT).
    pub fn demands_fqdn_helo(mut self) -> Self {
        self.demands_fqdn_helo = true;
        self
    }

    /// The most recipients of one transaction (452 4.5.3 after them).
    pub fn most_recipients(mut self, count: u32) -> Self {
        self.most_recipients = Some(count);
        self
    }

    /// The most bytes of one message (552 5.3.4); 10,240,000 unless said.
    pub fn most_bytes(mut self, bytes: u64) -> Self {
        self.most_bytes = Some(bytes);
        self
    }

    /// Hands on what is for other domains, over STARTTLS, after a login, and only to a server whose
    /// certificate comes from this authority (PEM) and has the server's name.
    pub fn hands_on_to(mut self, next: &Postfix, user: &str, password: &str, ca_pem: &str) -> Self {
        self.next_hop = Some(NextHop {
            port: next.port(),
            user: user.to_owned(),
            password: password.to_owned(),
            ca_pem: ca_pem.to_owned(),
            name: next.hostname(),
        });
        self
    }

    /// One more line of `main.cf`, `name = value`. The last one of a name counts. `{etc}` stands for the folder
    /// that has it.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// One more port, where these lines of `main.cf` are different. [`Postfix::listener`] has its number.
    pub fn listener(self, name: &str, settings: &[&str]) -> Self {
        self.listens(name, "smtpd", settings)
    }

    /// One more port, guarded by postscreen(8).
    pub fn postscreen(self, name: &str, settings: &[&str]) -> Self {
        let services = [
            "smtpd pass - - n - - smtpd",
            "dnsblog unix - - n - 0 dnsblog",
            "tlsproxy unix - - n - 0 tlsproxy",
        ];
        let is_first = !self.listeners.iter().any(|l| l.program == "postscreen");
        let mut builder = self.listens(name, "postscreen", settings);
        if is_first {
            builder.services.extend(services.map(str::to_owned));
        }
        builder
    }

    fn listens(mut self, name: &str, program: &'static str, settings: &[&str]) -> Self {
        self.listeners.push(Listener {
            name: name.to_owned(),
            program,
            options: settings.iter().map(|s| (*s).to_owned()).collect(),
        });
        self
    }

    /// More lines of `master.cf`.
    pub fn service(mut self, lines: &str) -> Self {
        self.services.push(lines.to_owned());
        self
    }

    /// A file beside `main.cf`, such as a table. Settings, options and services name it as `{etc}/NAME`.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned(), 0o644));
        self
    }

    /// Another certificate with its key, for `smtpd_tls_chain_files = {etc}/NAME.pem`.
    pub fn other_identity(mut self, name: &str, identity: &Identity) -> Self {
        let pem = config::identity(identity);
        self.files.push((format!("{name}.pem"), pem, 0o600));
        self
    }

    /// Starts it: three tries, each on other ports, until it greets.
    ///
    /// # Errors
    ///
    /// Postfix is not installed, this process is not root, or none of the tries came to a greeting; then with
    /// the end of the server's log.
    pub async fn start(self) -> io::Result<Postfix> {
        if let Some(why) = super::instance::missing() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let settings = self.clone();
            let instance = tokio::task::spawn_blocking(|| Instance::make(settings))
                .await
                .map_err(io::Error::other)??;
            let instance = Arc::new(instance);
            match blocking(&instance, Instance::start).await {
                Ok(()) => return Ok(Postfix { instance }),
                Err(e) if tries == TRIES => return Err(e),
                Err(_) => {}
            }
        }
    }

    /// The same for a test: `None`, said aloud by [`peer::skipped`], where it does not start.
    pub async fn start_or_skip(self) -> Option<Postfix> {
        self.start().await.map_err(|e| skip(&e)).ok()
    }
}

pub(super) fn skip(why: &io::Error) {
    peer::skipped("Postfix", &why.to_string().replace('\n', " | "));
}
