//! The relay's image, without Docker: its files and its entrypoint with Debian's own Postfix, as the
//! first process of a machine of its own, with the capabilities that the chart leaves it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use notifier_testkit::{peer, smtp::Certificates};
use serde_json::Value;

use crate::{
    chart,
    machine::{Machine, is_possible, unshare},
    support::{CHECK, deploy, told, words},
};

/// Puts the image's files where they are in it, and what is mounted.
const FURNISH: &str = r#"
image=$1 secrets=$2 check=$3
ip link set lo up
hostname relay
for folder in /run /var/spool/postfix /var/lib/postfix; do mount -t tmpfs -o mode=755 none $folder; done
chown postfix /var/lib/postfix
mkdir -p /run/etc /run/bin /run/secrets
cp -r /etc/postfix/dynamicmaps.cf* /etc/postfix/postfix-files* /etc/postfix/post-install /etc/postfix/postfix-script /run/etc/
cp "$image/main.cf" "$image/master.cf" /run/etc/
cp "$secrets"/* /run/secrets/ 2>/dev/null || true
mount --bind /run/etc /etc/postfix
cp "$check" /run/bin/smtp-relay-check
export PATH="/run/bin:$PATH"
"#;

/// Its entrypoint, with no more rights than these.
const BECOME: &str = r#"
exec setpriv --no-new-privs --inh-caps=-all --bounding-set="-all,$4" "$image/entrypoint.sh"
"#;

/// The image's entrypoint with these secrets, these capabilities and this environment.
fn entrypoint(secrets: &Path, capabilities: &str, env: &[(&str, &str)]) -> Command {
    let mut command = unshare(&format!("{FURNISH}{BECOME}"));
    command.arg("sh").arg(deploy().join("postfix-relay"));
    command.arg(secrets).arg(CHECK).arg(capabilities);
    command.envs(env.iter().copied());
    command
}

/// As `setpriv` wants them.
fn capabilities(container: &Value) -> String {
    let add = words(&container["securityContext"]["capabilities"]["add"]);
    assert!(!add.is_empty());
    let add: Vec<String> = add
        .iter()
        .map(|c| format!("+{}", c.to_lowercase()))
        .collect();
    add.join(",")
}

/// Who may log in, and with what.
const USER: (&str, &str) = ("app", "local: secret:");
const NEXT: &str = "[smtp.provider.test]:587";

fn secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new();
    let identity = certificates.named(&["relay.mail.test"]);
    for (name, text) in [
        ("sasl_passwd", format!("{NEXT} key:provider-secret\n")),
        // The last line of a file that was made by hand often has no end.
        ("users", format!("other:word:\n{}:{}", USER.0, USER.1)),
        ("tls.crt", identity.chain_pem()),
        ("tls.key", identity.key_pem()),
        ("ca.crt", certificates.ca_pem()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    }
    folder
}

/// What the chart tells the container.
fn env(container: &Value) -> Vec<(String, String)> {
    let list = container["env"].as_array().unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    list.iter()
        .map(|e| (text(&e["name"]), text(&e["value"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_runs_as_the_chart_runs_it() {
    if !is_possible("the relay's image") {
        return;
    }
    let Some(values) = chart::provider() else {
        return;
    };
    let container = chart::container(&values, "postfix").unwrap();
    let secrets = secrets();
    let env = env(&container);
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let machine = Machine::start(entrypoint(secrets.path(), &capabilities(&container), &env));

    // Its probes, as the kubelet runs them, until they pass.
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let command = words(&container[probe]["exec"]["command"]);
        let args: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        assert_eq!(command[0], "smtp-relay-check");
        machine.until("/run/bin/smtp-relay-check", &args, |o| o.status.success());
    }
    // And the one of the image.
    let health = crate::commands::healthcheck();
    let args: Vec<&str> = health[1..].iter().map(String::as_str).collect();
    machine.until("/run/bin/smtp-relay-check", &args, |o| o.status.success());

    // Nobody has a right that was not given.
    let status = machine.run("cat", &["/proc/1/status"]);
    let bounding = told(&status);
    assert!(bounding.contains("NoNewPrivs:\t1"), "{bounding}");

    // The configuration is the image's with what it was told, and has no fault.
    let postconf = |name: &str| {
        told(&machine.run("postconf", &["-h", name]))
            .trim()
            .to_owned()
    };
    assert_eq!(postconf("myhostname"), "relay.mail.test");
    assert_eq!(postconf("relayhost"), NEXT);
    let networks = "127.0.0.0/8, [::1]/128, 10.244.0.0/16, [fd00:10:244::]/56";
    assert_eq!(postconf("mynetworks"), networks);
    review(&machine);

    // The login at the provider is in a table that nobody else reads.
    let login = machine.run("postmap", &["-q", NEXT, "hash:/etc/postfix/sasl_passwd"]);
    assert_eq!(told(&login).trim(), "key:provider-secret");
    let modes = machine.run(
        "stat",
        &[
            "-c",
            "%a",
            "/etc/postfix/sasl_passwd",
            "/etc/postfix/sasl_passwd.db",
            "/etc/postfix/identity.pem",
        ],
    );
    assert_eq!(told(&modes), "600\n600\n600\n");

    // An application sends; it waits for the provider, of whom nobody can tell the address.
    let out = machine.run("sendmail", &["-f", "app@mail.test", "user@example.net"]);
    assert!(out.status.success(), "{}", told(&out));
    let queue = machine.until("postqueue", &["-j"], |o| told(o).contains("delay_reason"));
    assert!(
        told(&queue).contains("smtp.provider.test"),
        "{}",
        told(&queue)
    );
    // What is looked up in the chroot is what the container has, if it is not a link to what this
    // machine does not see.
    let same = ["/etc/resolv.conf", "/var/spool/postfix/etc/resolv.conf"];
    if machine.run("test", &["-e", same[0]]).status.success() {
        assert!(machine.run("cmp", &same).status.success());
    }

    users_log_in_on_587(&machine);
    secrets_are_followed(&machine);

    let ended = machine.stop().await;
    assert!(ended.stdout.contains("daemon started"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("provider-secret"));
    assert!(!ended.stdout.contains("fatal"), "{}", ended.stdout);
    peer::ran("the relay's image");
}

/// Our own review of what it made.
fn review(machine: &Machine) {
    let args = [
        "--format=json",
        "--tls=none",
        "--main-cf=/etc/postfix/main.cf",
        "127.0.0.1:2525",
    ];
    let out = machine.run("/run/bin/smtp-relay-check", &args);
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let found: Vec<&Value> = checks.iter().filter(|c| c["id"] == "main_cf").collect();
    assert!(!found.is_empty(), "{report:#}");
    assert!(found.iter().all(|c| c["state"] == "ok"), "{found:#?}");
}

/// The second port takes mail after STARTTLS and a login only.
fn users_log_in_on_587(machine: &Machine) {
    let word = format!("umask 077 && printf '%s' '{}' >/run/word", USER.1);
    assert!(machine.run("sh", &["-c", &word]).status.success());
    // Of each check how it came out, and all of it.
    let check = |args: &[&str]| {
        let mut all = vec![
            "--format=json",
            "--tls-name=relay.mail.test",
            "--timeout=60s",
            "--connect-timeout=30s",
            "--rcpt=user@example.net",
        ];
        all.extend(args);
        all.push("submission://127.0.0.1");
        let out = machine.run("/run/bin/smtp-relay-check", &all);
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        let state = |id: &str| {
            let checks = report["checks"].as_array().unwrap();
            let check = checks.iter().find(|c| c["id"] == id);
            check.map_or(String::new(), |c| c["state"].as_str().unwrap().to_owned())
        };
        let states = ["cert_chain", "auth", "rcpt_own"].map(state);
        (states, format!("{report:#}"))
    };
    let authority = ["--ca", "/run/secrets/ca.crt"];
    let login = ["--user", USER.0, "--password-file", "/run/word"];
    let (states, report) = check(&authority);
    assert_eq!((&*states[0], &*states[2]), ("ok", "crit"), "{report}");
    let (states, report) = check(&[authority, [login[0], login[1]], [login[2], login[3]]].concat());
    assert_eq!(states, ["ok", "ok", "ok"], "{report}");
    // Nobody trusts that authority who is not told to, and gets no login.
    let (states, report) = check(&login);
    assert_eq!(states[0], "crit", "{report}");
    assert_ne!(states[1], "ok", "{report}");
}

/// A login that is changed is used without a new start; a wrong one is not, with a line.
fn secrets_are_followed(machine: &Machine) {
    let write = |text: &str| {
        let script = "printf '%s\\n' \"$1\" >/run/secrets/next && mv /run/secrets/next /run/secrets/sasl_passwd";
        let out = machine.run("sh", &["-c", script, "sh", text]);
        assert!(out.status.success(), "{}", told(&out));
    };
    let ask = ["-q", NEXT, "hash:/etc/postfix/sasl_passwd"];
    write(&format!("{NEXT} key:newer-secret"));
    machine.until("postmap", &ask, |o| told(o).trim() == "key:newer-secret");
    write("[smtp.other.test]:587 key:third-secret");
    machine.until_told("has changed, and has no login for [smtp.provider.test]:587");
    assert_eq!(
        told(&machine.run("postmap", &ask)).trim(),
        "key:newer-secret"
    );
}

#[test]
fn wrong_settings_end_it_with_a_line_that_says_what() {
    if !is_possible("the relay's image") {
        return;
    }
    const NAME: (&str, &str) = ("RELAY_HOSTNAME", "relay.mail.test");
    let none = tempfile::tempdir().unwrap();
    let all = secrets();
    let without = |name: &str| {
        let folder = secrets();
        fs::remove_file(folder.path().join(name)).unwrap();
        folder
    };
    let (no_key, no_certificate) = (without("tls.key"), without("tls.crt"));
    for (secrets, env, says) in [
        (&none, vec![], "RELAY_HOSTNAME is not set"),
        (&none, vec![("RELAY_HOSTNAME", "relay")], "has no domain"),
        (
            &none,
            vec![("RELAY_HOSTNAME", "relay.mail.test; id")],
            "no host name",
        ),
        (
            &none,
            vec![NAME, ("RELAY_NETWORKS", "0.0.0.0/0")],
            "no network",
        ),
        (
            &none,
            vec![NAME, ("RELAY_NETWORKS", "10.1.0.0/16 10.1.2.3")],
            "10.1.2.3 is no network",
        ),
        (&none, vec![NAME, ("RELAY_NETWORKS", "::/0")], "no network"),
        (
            &none,
            vec![NAME, ("RELAY_NETWORKS", "172.0.0.0/8")],
            "172.0.0.0/8 is no network",
        ),
        (
            &none,
            vec![NAME, ("RELAY_NETWORKS", "10.1.2.3/16")],
            "10.1.2.3/16 is no network",
        ),
        (
            &none,
            vec![NAME, ("RELAY_NETWORKS", "300.1.0.0/16")],
            "300.1.0.0/16 is no network",
        ),
        (
            &none,
            vec![NAME, ("RELAY_HOST", "smtp.provider.test:587")],
            "not of the form [name]:port",
        ),
        (
            &none,
            vec![NAME, ("RELAY_HOST", NEXT), ("RELAY_TLS", "may")],
            "none of secure",
        ),
        (&none, vec![NAME, ("RELAY_TLS", "secure")], "no RELAY_HOST"),
        (&none, vec![NAME, ("RELAY_MAX_BYTES", "10M")], "no number"),
        (&all, vec![NAME], "RELAY_HOST is not set"),
        (
            &all,
            vec![NAME, ("RELAY_HOST", "[smtp.other.test]:587")],
            "no line that begins with [smtp.other.test]:587",
        ),
        (&no_key, vec![NAME, ("RELAY_HOST", NEXT)], "no tls.key"),
        (
            &no_certificate,
            vec![NAME, ("RELAY_HOST", NEXT)],
            "in clear",
        ),
    ] {
        let out = entrypoint(secrets.path(), "+all", &env).output().unwrap();
        let text = told(&out);
        assert_eq!(out.status.code(), Some(64), "{env:?}: {text}");
        assert!(text.contains(says), "{env:?}: {text}");
        assert!(!text.contains("provider-secret"), "{text}");
    }
}
