//! A canary that arrives in a mailbox of Dovecot.

use std::time::Duration;

use notifier_testkit::{dovecot::Dovecot, peer, postfix::Postfix, smtp::Certificates};
use smtp_probe::{Canary, Check, Imap, State, Target, Tls};
use tempfile::NamedTempFile;

use crate::rig::{assert_delivered, ca, canary, login, patient};

/// Dovecot, and a Postfix that delivers into it.
struct Mailbox {
    relay: Postfix,
    dovecot: Dovecot,
    certificates: Certificates,
    ca: NamedTempFile,
}

impl Mailbox {
    async fn start() -> Option<Self> {
        let certificates = Certificates::new();
        let dovecot = Dovecot::start_or_skip(&certificates.valid()).await?;
        let transport = format!(
            "virtual_transport = lmtp:inet:127.0.0.1:{}",
            dovecot.lmtp_port()
        );
        let relay = Postfix::builder("relay")
            .mailboxes(&["canary"])
            .service("lmtp unix - - n - - lmtp")
            .setting(&transport)
            .start_or_skip()
            .await?;
        Some(Self {
            relay,
            dovecot,
            ca: ca(&certificates),
            certificates,
        })
    }

    fn target(&self, tls: Tls) -> Target {
        let mut target = Target::new("127.0.0.1", self.relay.port());
        patient(&mut target);
        target.tls = Tls::None;
        target.rcpt = vec!["canary@relay.example".to_owned()];
        target.canary = Some(Canary::Imap(Imap {
            tls,
            host: "127.0.0.1".to_owned(),
            port: match tls {
                Tls::Implicit => self.dovecot.imaps_port(),
                _ => self.dovecot.imap_port(),
            },
            login: login(self.dovecot.login()),
            mailbox: "INBOX".to_owned(),
            ca: Some(self.ca.path().to_owned()),
        }));
        target
    }

    async fn count(&self) -> usize {
        self.dovecot.messages().await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imap_is_read_over_each_kind_of_tls_and_cleared_up() {
    let Some(mailbox) = Mailbox::start().await else {
        return;
    };
    let old = format!(
        "X-Canary: {} 1700000000000 {}\nSubject: an old one\n\nx\n",
        "a1".repeat(12),
        "b2".repeat(16)
    );
    mailbox.dovecot.fill(10_000).await.unwrap();
    for mail in [
        b"\0X-Canary: \0\r\n\r\n\0".to_vec(),
        [b"X-Canary: ".to_vec(), vec![b'x'; 2_000_000]].concat(),
        old.clone().into_bytes(),
    ] {
        mailbox.dovecot.deposit(&mail).await.unwrap();
    }
    for tls in [Tls::None, Tls::Starttls, Tls::Implicit] {
        // In clear too: it does not leave this machine.
        let check = canary(&mailbox.target(tls)).await;
        assert_delivered(&check, &["relay.example", "mailbox.example"]);
        // Ours is gone. The old canary came today, and another program may still wait for it.
        assert_eq!(mailbox.count().await, 10_003, "{tls:?}");
    }
    // One that came days ago is nobody's.
    let entries = std::fs::read_dir(mailbox.dovecot.maildir().join("cur")).unwrap();
    let find = |e: &std::fs::DirEntry| std::fs::read(e.path()).unwrap() == old.as_bytes();
    let found = entries.flatten().find(find).unwrap();
    let days_ago = found.metadata().unwrap().modified().unwrap() - Duration::from_secs(7 * 86_400);
    let file = std::fs::File::options()
        .write(true)
        .open(found.path())
        .unwrap();
    file.set_modified(days_ago).unwrap();
    // Dovecot keeps the date that it saw first: it sees this file anew.
    let renamed = found
        .path()
        .with_file_name("1690000000.M1P1.mailbox.example:2,");
    std::fs::rename(found.path(), renamed).unwrap();
    assert_delivered(
        &canary(&mailbox.target(Tls::Implicit)).await,
        &["relay.example", "mailbox.example"],
    );
    assert_eq!(mailbox.count().await, 10_002);

    // The same mailbox, where its files are seen.
    let mut target = mailbox.target(Tls::Implicit);
    target.canary = Some(Canary::Maildir(mailbox.dovecot.maildir()));
    assert_delivered(
        &canary(&target).await,
        &["relay.example", "mailbox.example"],
    );
    assert_eq!(mailbox.count().await, 10_002);
    peer::ran("Postfix");
    peer::ran("Dovecot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_cannot_be_seen_is_no_lost_mail() {
    let Some(mailbox) = Mailbox::start().await else {
        return;
    };
    let good = mailbox.target(Tls::Implicit);
    let with = |change: &dyn Fn(&mut Imap)| {
        let mut target = good.clone();
        if let Some(Canary::Imap(imap)) = &mut target.canary {
            change(imap);
        }
        target
    };
    let other = ca(&Certificates::new());
    for (target, class, says) in [
        (
            with(&|i| i.login.user = "nobody".to_owned()),
            "reply5",
            "uthenticat",
        ),
        (
            with(&|i| i.mailbox = "nosuch".to_owned()),
            "reply5",
            "nosuch",
        ),
        (
            with(&|i| i.ca = Some(other.path().to_owned())),
            "cert",
            "certificate",
        ),
        (
            with(&|i| i.ca = Some("/nowhere".into())),
            "local",
            "/nowhere",
        ),
    ] {
        assert_unseen(&mailbox, &target, class, says).await;
    }
    let expired = mailbox.certificates.expired();
    mailbox.dovecot.change_identity(&expired).await.unwrap();
    assert_unseen(&mailbox, &good, "cert", "expired").await;
    mailbox.dovecot.stop().await.unwrap();
    assert_unseen(&mailbox, &good, "refused", "refused").await;
    mailbox
        .dovecot
        .change_identity(&mailbox.certificates.valid())
        .await
        .unwrap();
    assert_delivered(&canary(&good).await, &["relay.example", "mailbox.example"]);
    peer::ran("Dovecot");
}

async fn assert_unseen(mailbox: &Mailbox, target: &Target, class: &str, says: &str) {
    let check = canary(target).await;
    assert_eq!(check.state, State::Unknown, "{check:#?}");
    assert_eq!(check.class.unwrap().word(), class, "{check:#?}");
    assert!(check.text.contains(says), "{says}: {}", check.text);
    assert!(check.text.contains("nothing was sent"), "{}", check.text);
    assert!(!format!("{check:?}").contains("mailbox-password"));
    assert!(
        !mailbox.relay.log().contains("from=<"),
        "{}",
        mailbox.relay.log()
    );
}

/// Dovecot ends while the canary waits in the relay for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_goes_away_meanwhile_is_unknown_too() {
    let Some(mailbox) = Mailbox::start().await else {
        return;
    };
    mailbox.relay.freeze("qmgr").await.unwrap();
    // On a slow machine the wait may be over before the server is.
    for seconds in [5, 30, 120] {
        let mut target = mailbox.target(Tls::Starttls);
        target.limits.canary = Duration::from_secs(seconds);
        let waiting = mailbox.relay.queue().await.unwrap().len();
        let running = tokio::spawn(async move { canary(&target).await });
        while mailbox.relay.queue().await.unwrap().len() == waiting {
            assert!(!running.is_finished(), "{:#?}", running.await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        mailbox.dovecot.stop().await.unwrap();
        let check = running.await.unwrap();
        if check.state == State::Unknown || seconds == 120 {
            assert_gone(&check);
            break;
        }
        mailbox.dovecot.start_again().await.unwrap();
    }
    peer::ran("Dovecot");
}

fn assert_gone(check: &Check) {
    assert_eq!(check.state, State::Unknown, "{check:#?}");
    assert!(check.text.contains("took it as "), "{}", check.text);
}
