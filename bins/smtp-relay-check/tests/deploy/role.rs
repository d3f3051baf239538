//! The Ansible role: linted, and run on a machine of its own.

use std::{fs, path::Path};

use notifier_testkit::peer;

use crate::{
    machine::{is_possible, unshare_below},
    support::{CHECK, copy, deploy, judge, system, told},
};

const TASKS: &str = "roles/postfix_relay/tasks/main.yml";

#[test]
fn ansible_finds_no_fault() {
    if system("ansible-lint").is_none() {
        return;
    }
    let lint = |folder: &Path| {
        let mut lint = system("ansible-lint").unwrap();
        lint.args(["--offline", "--nocolor", "-p", "--profile", "production"]);
        let home = tempfile::tempdir().unwrap();
        lint.env("HOME", home.path()).current_dir(folder);
        lint.output().unwrap()
    };
    let good = lint(&deploy().join("ansible"));
    assert!(good.status.success(), "{}", told(&good));
    // It lints what it finds, and it must have found it.
    assert!(!told(&good).contains(" on 0 files"), "{}", told(&good));
    for (name, fault) in [
        (TASKS, ("    mode: \"0644\"\n", "")),
        ("playbook.yml", ("become: true", "becomes: true")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        copy(&deploy().join("ansible"), folder.path());
        let bad = folder.path().join(name);
        let text = fs::read_to_string(&bad).unwrap();
        assert!(text.contains(fault.0), "{name} has no {:?}", fault.0);
        fs::write(&bad, text.replacen(fault.0, fault.1, 1)).unwrap();
        let found = lint(folder.path());
        assert!(
            !found.status.success(),
            "{name}: {fault:?}: {}",
            told(&found)
        );
    }
    let syntax = |path: &Path| {
        let mut playbook = system("ansible-playbook").unwrap();
        playbook.arg("--syntax-check");
        playbook
            .arg("-i")
            .arg(deploy().join("ansible/inventory.example.yml"));
        playbook.current_dir(deploy().join("ansible"));
        playbook.arg(path).output().unwrap()
    };
    judge(
        syntax,
        "ansible/playbook.yml",
        ("role: postfix_relay", "role: another"),
    );
    peer::ran("ansible-lint");
}

/// All that is changed stays on this machine, over the files of the real one.
const FURNISH: &str = r#"
folder=$1 playbook=$2
ip link set lo up
hostname node-1
mount -t tmpfs none "$folder/changes"
for name in etc var root; do
    mkdir -p "$folder/changes/$name" "$folder/changes/$name-work"
    mount -t overlay -o "lowerdir=/$name,upperdir=$folder/changes/$name,workdir=$folder/changes/$name-work" none "/$name" || exit 77
done
# Nothing of the real one's: who starts services there must not be found here.
mount -t tmpfs -o mode=755 none /run
mkdir -p /run/lock
# Where services may not be started, on the real one.
if [ -e /usr/sbin/policy-rc.d ]; then mount --bind /bin/true /usr/sbin/policy-rc.d; fi
rm -f /etc/postfix/sasl_passwd* /etc/postfix/virtual*
export HOME=/root ANSIBLE_NOCOLOR=1 ANSIBLE_PIPELINING=1
cd "$playbook"
for run in first second; do
    ansible-playbook -i "$folder/inventory.yml" playbook.yml || { echo "FAILED $run"; exit 1; }
done
postconf -n
postmap -q info@mail.test hash:/etc/postfix/virtual
stat -c '%a %n' /etc/postfix/sasl_passwd /etc/postfix/sasl_passwd.db
"#;

const SETTINGS: &str = r#"mail_relays:
  hosts:
    localhost:
      ansible_connection: local
      postfix_relay_hostname: node-1.mail.test
      postfix_relay_networks: [172.17.0.0/16, "fd00:1::/64"]
      postfix_relay_next_host: "[smtp.provider.test]:587"
      postfix_relay_next_login: "key:provider-secret"
      postfix_relay_aliases: {info@mail.test: [ops@example.com, dev@example.com]}
      postfix_relay_check_program: PROGRAM
      # A busy machine is no finding.
      postfix_relay_check_options: [--timeout=60s, --connect-timeout=30s, "--connect-time=60,60", "--greeting-time=60,60"]
"#;

#[test]
fn the_role_makes_a_relay_that_our_own_check_finds_well() {
    if system("ansible-playbook").is_none() || !is_possible("the Ansible role") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("changes")).unwrap();
    let settings = SETTINGS.replace("PROGRAM", CHECK);
    fs::write(folder.path().join("inventory.yml"), settings).unwrap();
    // Ansible asks the first process what starts services; a shell would let it think of systemd.
    let mut machine = unshare_below(&["timeout", "1800"], FURNISH);
    machine.arg("sh").arg(folder.path());
    let out = machine.arg(deploy().join("ansible")).output().unwrap();
    let text = told(&out);
    if out.status.code() == Some(77) {
        peer::skipped("the Ansible role", &format!("no overlay: {}", text.trim()));
        return;
    }
    assert!(out.status.success(), "{text}");
    // The last task is our check; and what is as it should be is not done again.
    let mut recaps = text.lines().filter(|l| l.contains("unreachable=0"));
    let (first, second) = (recaps.next().unwrap(), recaps.next().unwrap());
    assert!(
        first.contains("failed=0") && !first.contains("changed=0"),
        "{text}"
    );
    assert!(
        second.contains("failed=0") && second.contains("changed=0"),
        "{text}"
    );
    assert!(
        text.contains("TASK [postfix_relay : Check the relay"),
        "{text}"
    );
    for line in [
        "mynetworks = 127.0.0.0/8, [::1]/128, 172.17.0.0/16, [fd00:1::]/64",
        "relay_domains =",
        "relayhost = [smtp.provider.test]:587",
        "smtp_tls_security_level = secure",
        "ops@example.com, dev@example.com",
        "600 /etc/postfix/sasl_passwd",
        "600 /etc/postfix/sasl_passwd.db",
    ] {
        assert!(text.lines().any(|l| l.trim_end() == line), "{line}: {text}");
    }
    assert!(!text.contains("provider-secret"), "{text}");
    peer::ran("the Ansible role");
}

/// What the situation's own configuration had, the role refuses.
#[test]
fn too_wide_networks_are_refused() {
    if system("ansible-playbook").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("inventory.yml");
    for networks in ["172.0.0.0/8", "0.0.0.0/0", "172.17.0.1"] {
        let settings = SETTINGS.replace("172.17.0.0/16", networks);
        fs::write(&inventory, settings.replace("PROGRAM", CHECK)).unwrap();
        let mut playbook = system("ansible-playbook").unwrap();
        playbook
            .arg("-i")
            .arg(&inventory)
            .args(["--check", "playbook.yml"]);
        playbook.env("ANSIBLE_NOCOLOR", "1");
        let out = playbook.current_dir(deploy().join("ansible")).output();
        let out = out.unwrap();
        assert!(!out.status.success(), "{networks}: {}", told(&out));
        assert!(
            told(&out).contains("networks are such as"),
            "{}",
            told(&out)
        );
    }
}
