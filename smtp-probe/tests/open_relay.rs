//! The battery of relaying forms against real Postfix services, closed ones and ones that leak, each in
//! another way.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr, time::Duration};

use notifier_testkit::{
    peer,
    postfix::{Builder, Postfix},
};
use smtp_probe::{Battery, Check, Expect, Prober, State, Target, Tls};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that unwraps every recipient that names another one, and sends it on to NAME.leak.test.
const UNWRAPS: &str = r#"
/^RCPT TO: *<"?([^"@%!:]+)%([^"@%>]+)"?(@[^>]*)?>$/ RCPT TO:<$1@$2.leak.test>
/^RCPT TO: *<@[^:>]+:([^@!>]+)@([^@>]+)>$/ RCPT TO:<$1@$2.leak.test>
/^RCPT TO: *<(@[^:>]+:)?([^!@:>]+!)*([^!@:>]+)!([^!@>]+)(@[^>]*)?>$/ RCPT TO:<$4@$3.leak.test>
/^RCPT TO: *<"?([^"@%!:>]+)@([^"@>]+)"?@[^>]*>$/ RCPT TO:<$1@$2.leak.test>
"#;

/// A server that takes whatever is at its domain, however it begins, for its one mailbox.
const TAKES_ALL: &str = r#"
/^RCPT TO: *<.*@(closed\.)?rig\.test>$/ RCPT TO:<user@rig.test>
"#;

fn closed() -> Builder {
    Postfix::builder("closed")
        .domain("rig.test")
        .mailboxes(&["user", "postmaster"])
        .setting("myhostname = closed.rig.test")
        .setting("myorigin = rig.test")
        .setting("mydestination = rig.test, closed.rig.test")
        .setting("virtual_mailbox_domains =")
        .setting("local_transport = virtual:")
        .setting("local_recipient_maps = inline:{ user=1, postmaster=1 }")
        .setting("relay_domains = backup.rig.test")
        .setting("relay_recipient_maps =")
        .setting("relay_transport = elsewhere:")
        .file("unwraps", UNWRAPS)
        .file("takes-all", TAKES_ALL)
        .listener("open", &["mynetworks = 0.0.0.0/0", "smtpd_reject_unlisted_recipient = no"])
        .listener(
            "leak-forms",
            &[
                "smtpd_command_filter = regexp:{etc}/unwraps",
                "smtpd_relay_restrictions = check_recipient_access inline:{leak.test=OK}, reject_unauth_destination",
            ],
        )
        .listener(
            "leak-gmail",
            &["smtpd_relay_restrictions = check_recipient_access inline:{gmail.com=OK}, reject_unauth_destination"],
        )
        .listener(
            "leak-sender",
            &["smtpd_relay_restrictions = check_sender_access inline:{rig.test=OK}, reject_unauth_destination"],
        )
        .listener(
            "defers",
            &["smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination"],
        )
        .listener(
            "refuses-data",
            &[
                "smtpd_reject_unlisted_recipient = no",
                "smtpd_relay_restrictions = check_recipient_access static:OK, reject",
                "smtpd_data_restrictions = reject",
            ],
        )
        .listener("ingress", &["mynetworks = 127.0.10.0/24"])
        .listener("leak-percent", &["allow_untrusted_routing = yes"])
        .listener(
            "wide-networks",
            &[
                "mynetworks = 127.0.0.0/8, 172.0.0.0/8",
                "smtpd_authorized_xclient_hosts = 127.0.0.0/8",
            ],
        )
        .listener(
            "wide-elsewhere",
            &["mynetworks = 172.0.0.0/8", "smtpd_authorized_xclient_hosts = 127.0.0.0/8"],
        )
        .listener(
            "trusts-ingress",
            &["mynetworks = 10.255.0.0/16", "smtpd_authorized_xclient_hosts = 127.0.0.0/8"],
        )
        .listener(
            "catch-all",
            &["smtpd_command_filter = regexp:{etc}/takes-all"],
        )
        .listener(
            "leak-helo",
            &["smtpd_relay_restrictions = check_helo_access inline:{localhost=OK}, reject_unauth_destination"],
        )
        .listener(
            "hangs-up",
            &["smtpd_hard_error_limit = 4", "smtpd_soft_error_limit = 2"],
        )
}

fn target(port: u16) -> Target {
    let mut target = Target::new("127.0.0.1", port);
    let mut battery = Battery::default();
    battery.own_domain = Some("rig.test".to_owned());
    battery.relay_domains = vec!["backup.rig.test".to_owned()];
    target.open_relay = Some(battery);
    target.helo = Some("probe.example".to_owned());
    target.limits.total = PATIENCE;
    target.limits.connect = PATIENCE;
    target
}

async fn check(target: Target) -> Check {
    let report = Prober::new(target).run().await;
    let found: Vec<&Check> = report
        .checks
        .iter()
        .filter(|c| c.id == "open_relay")
        .collect();
    assert_eq!(found.len(), 1, "{report:#?}");
    found[0].clone()
}

fn forms(check: &Check) -> &Vec<serde_json::Value> {
    check.data.as_ref().unwrap()["forms"].as_array().unwrap()
}

/// The numbers of the forms that were taken, those as another address left out.
fn taken(check: &Check) -> BTreeSet<u64> {
    let forms = forms(check).iter().filter(|f| f["as"].is_null());
    let open = forms.filter(|f| f["verdict"].as_str().unwrap().starts_with("accepted"));
    open.map(|f| f["form"].as_u64().unwrap()).collect()
}

/// What came of the first form as another address.
fn as_other(check: &Check, address: &str) -> String {
    let form = forms(check).iter().find(|f| f["as"] == address);
    form.unwrap()["verdict"].as_str().unwrap().to_owned()
}

/// Who is asked, and what is to come of it.
struct Row {
    listener: &'static str,
    source: Option<&'static str>,
    send: bool,
    expect: Expect,
    state: State,
    taken: Vec<u64>,
    /// What the text must say.
    says: &'static [&'static str],
}

impl Row {
    fn new(listener: &'static str, state: State, taken: impl IntoIterator<Item = u64>) -> Self {
        Self {
            listener,
            source: None,
            send: false,
            expect: Expect::Closed,
            state,
            taken: taken.into_iter().collect(),
            says: &[],
        }
    }

    fn says(mut self, words: &'static [&'static str]) -> Self {
        self.says = words;
        self
    }

    fn from(mut self, source: &'static str) -> Self {
        self.source = Some(source);
        self
    }

    fn sending(mut self) -> Self {
        self.send = true;
        self
    }

    fn expecting(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    fn target(&self, server: &Postfix) -> Target {
        let port = match self.listener {
            "closed" => server.port(),
            name => server.listener(name),
        };
        let mut target = target(port);
        target.source = self.source.map(|ip| ip.parse::<IpAddr>().unwrap());
        target.send = self.send;
        target.expect = self.expect;
        target
    }

    fn label(&self) -> String {
        let source = self
            .source
            .map_or(String::new(), |ip| format!(" from {ip}"));
        let send = if self.send { " --send" } else { "" };
        let expect = match self.expect {
            Expect::Closed => "",
            Expect::Trusted => " --expect trusted",
            Expect::Auth => " --expect auth",
        };
        format!("{}{source}{send}{expect}", self.listener)
    }
}

fn rows() -> Vec<Row> {
    let all = 1..=37;
    let unwrapped = (9..=35).filter(|n| *n == 35 || (*n < 30 && *n != 16));
    vec![
        Row::new("closed", State::Ok, []).says(&[
            "closed: ",
            "554 5.7.1",
            "asked from 127.0.0.1 (loopback)",
        ]),
        Row::new("open", State::Crit, all.clone()).says(&[
            "open (unconfirmed): it takes <victim@example.net>",
            "asked from 127.0.0.1 (loopback): an outsider may be refused",
        ]),
        Row::new("leak-forms", State::Crit, unwrapped).says(&["percent hack", "source route"]),
        Row::new("leak-gmail", State::Crit, [36]).says(&["<victim@gmail.com>"]),
        Row::new("leak-sender", State::Crit, [3, 4, 7])
            .says(&["relay-test@rig.test", "unqualified sender"]),
        Row::new("leak-helo", State::Crit, [37]).says(&["greeted as localhost"]),
        Row::new("defers", State::Ok, []).says(&["454 4.7.1", "closed, deferred: 43 forms"]),
        Row::new(
            "refuses-data",
            State::Crit,
            all.clone().filter(|n| *n != 35),
        )
        .says(&["open (unconfirmed)"]),
        Row::new("refuses-data", State::Ok, [])
            .sending()
            .says(&["refused at DATA only", "554 5.7.1"]),
        Row::new("ingress", State::Ok, []).says(&["others may be trusted for their address"]),
        Row::new("ingress", State::Crit, all.clone())
            .from("127.0.10.5")
            .says(&["asked from 127.0.10.5 (loopback)"]),
        Row::new("ingress", State::Ok, [1])
            .from("127.0.10.5")
            .expecting(Expect::Trusted)
            .says(&["trusted, as expected"]),
        Row::new("ingress", State::Crit, [])
            .expecting(Expect::Trusted)
            .says(&["not trusted", "554 5.7.1"]),
        Row::new("leak-percent", State::Crit, [35]).says(&["<victim%example.net@backup.rig.test>"]),
        Row::new("wide-networks", State::Crit, all.clone())
            .says(&["as 172.217.0.1 by XCLIENT: relays"]),
        Row::new("wide-networks", State::Crit, [1])
            .expecting(Expect::Trusted)
            .says(&["as 172.217.0.1 by XCLIENT: relays"]),
        Row::new("wide-elsewhere", State::Crit, []).says(&["as 172.217.0.1"]),
        Row::new("trusts-ingress", State::Warn, [])
            .says(&["as 10.255.0.2 by XCLIENT: relays; closed from here"]),
        Row::new("catch-all", State::Warn, [9, 10, 13, 14, 17, 18, 25, 26])
            .says(&["suspicious", "any other user there"]),
        Row::new("hangs-up", State::Unknown, []).says(&["rate limited: 421"]),
    ]
}

#[expect(clippy::print_stderr, reason = "read by who runs the tests")]
#[tokio::test(flavor = "multi_thread")]
async fn the_battery_finds_each_leak_and_nothing_else_and_sends_nothing() {
    let Some(server) = closed().start_or_skip().await else {
        return;
    };
    let mut table = String::from("instance | state | forms taken | text\n");
    let mut wrong = Vec::new();
    for row in rows() {
        let found = check(row.target(&server)).await;
        let taken = taken(&found);
        let label = row.label();
        let _ = writeln!(
            table,
            "{label} | {} | {taken:?} | {}",
            found.state, found.text
        );
        let must_be: BTreeSet<u64> = row.taken.iter().copied().collect();
        if found.state != row.state || taken != must_be {
            wrong.push(format!(
                "{label}: {} {taken:?}, not {} {must_be:?}",
                found.state, row.state
            ));
        }
        for words in row.says {
            if !found.text.contains(words) {
                wrong.push(format!("{label}: no {words:?} in {:?}", found.text));
            }
        }
        // Every verdict names the vantage, and every one that is not well says what to do.
        let source = row.source.unwrap_or("127.0.0.1");
        assert!(
            found
                .text
                .contains(&format!("asked from {source} (loopback)")),
            "{found:#?}"
        );
        assert_eq!(found.data.as_ref().unwrap()["vantage"]["local"], source);
        assert_eq!(found.hint.is_some(), found.state != State::Ok, "{found:#?}");
        if row.listener.starts_with("wide") {
            assert_eq!(as_other(&found, "172.217.0.1"), "accepted-rcpt");
            assert_eq!(as_other(&found, "203.0.113.9"), "refused");
            assert_eq!(as_other(&found, "10.255.0.2"), "refused");
        }
    }
    eprintln!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // No message was sent to anyone: the first one that the server sees is ours.
    send(&server).await;
    assert_eq!(server.wait_for("user", 1, PATIENCE).await.len(), 1);
    assert!(server.mailbox("elsewhere").is_empty());
    assert!(server.mailbox("postmaster").is_empty());
    assert!(server.queue().await.unwrap().is_empty());
    let log = server.log();
    assert_eq!(log.matches(" message-id=").count(), 1, "{log}");
    peer::ran("Postfix");
}

/// One message to `user`.
async fn send(server: &Postfix) {
    let mut target = Target::new("127.0.0.1", server.port());
    target.helo = Some("probe.example".to_owned());
    target.from = vec!["probe@example.org".to_owned()];
    target.rcpt = vec!["user@rig.test".to_owned()];
    target.send = true;
    target.limits.total = PATIENCE;
    let report = Prober::new(target).run().await;
    let sent = report.check("data_end").map(|c| c.state);
    assert_eq!(sent, Some(State::Ok), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_leave_to_send_one_message_proves_that_it_is_open() {
    let Some(server) = closed().start_or_skip().await else {
        return;
    };
    let row = Row::new("open", State::Crit, []).sending();
    let found = check(row.target(&server)).await;
    assert_eq!(found.state, State::Crit);
    assert!(
        found
            .text
            .starts_with("open: it took a message <victim@example.net>"),
        "{found:#?}"
    );
    assert_eq!(found.phase.word(), "eod");
    let proofs = forms(&found)
        .iter()
        .filter(|f| f["verdict"] == "accepted-data");
    assert_eq!(proofs.count(), 1);
    let mails = server.wait_for("elsewhere", 1, PATIENCE).await;
    let mail = String::from_utf8(mails[0].clone()).unwrap();
    for line in [
        "X-Original-To: victim@example.net\n",
        "Subject: test: closed.rig.test relays for strangers (form 1)\n",
        "Auto-Submitted: auto-generated\n",
    ] {
        assert!(mail.contains(line), "{mail}");
    }

    // Nobody at a real provider gets anything, and no user of a catch-all.
    for (listener, state) in [("leak-gmail", State::Crit), ("catch-all", State::Warn)] {
        let found = check(Row::new(listener, state, []).sending().target(&server)).await;
        assert_eq!(found.state, state, "{found:#?}");
    }
    send(&server).await;
    assert_eq!(server.wait_for("user", 1, PATIENCE).await.len(), 1);
    assert_eq!(server.mailbox("elsewhere").len(), 1);
    assert_eq!(server.log().matches(" message-id=").count(), 2);
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_for_users_is_closed_without_the_login_and_open_with_it() {
    let certificates = notifier_testkit::smtp::Certificates::new();
    let server = Postfix::builder("users")
        .domain("rig.test")
        .mailboxes(&["user"])
        .identity(&certificates.valid())
        .login("relay", "relay-password")
        .submission();
    let Some(server) = server.start_or_skip().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificates.ca_pem()).unwrap();
    let with = |password: &str| {
        let mut target = target(server.submission_port().unwrap());
        target.expect = Expect::Auth;
        target.tls = Tls::Starttls;
        target.ca = Some(ca.clone());
        target.tls_name = Some("localhost".to_owned());
        let password = smtp_probe::Password::Value(password.to_owned().into());
        target.login = Some(smtp_probe::Login {
            user: format!("relay@{}", server.hostname()),
            password,
        });
        target
    };
    let found = check(with("relay-password")).await;
    assert_eq!(found.state, State::Ok, "{found:#?}");
    assert!(
        found.text.contains("a login opens it, as it must"),
        "{found:#?}"
    );
    // Without TLS it wants that first.
    let clear = forms(&found).iter().find(|f| f["form"] == 38).unwrap();
    assert_eq!(
        (clear["verdict"].as_str(), clear["tls"].as_bool()),
        (Some("auth-required"), Some(false))
    );

    // The same battery where nobody is to get through: without logging in.
    let mut target = with("relay-password");
    target.expect = Expect::Closed;
    let found = check(target).await;
    assert_eq!(found.state, State::Ok, "{found:#?}");
    assert!(!format!("{found:?}").contains("relay-password"));
    peer::ran("Postfix");
}
