//! Tables and services.

use super::*;

#[test]
fn tables_that_are_not_there() {
    let main = "\
virtual_alias_maps = hash:/etc/postfix/virtual
transport_maps = hash:/etc/postfix/transport, hsah:/x
header_checks = pcre:/srv/elsewhere/header_checks
mime_header_checks = regexp:/etc/postfix/body_checks
smtp_sasl_password_maps = hash:/etc/postfix/passwords
";
    let files = Fake::default()
        .file("/etc/postfix/main.cf", main, 1)
        .file(
            "/etc/postfix/virtual",
            "info@corp.example info\\@copr.example\nlonely\n",
            5,
        )
        .file("/etc/postfix/virtual.db", "", 4)
        .file("/etc/postfix/body_checks", "/^X: (.*)/ DISCARD\nplain\n", 4)
        .file("/etc/postfix/passwords", "[relay]:587 hunter2", 4)
        .file("/etc/postfix/dynamicmaps.cf", "# types\nldap x y\n", 4);
    let checks = checks_of(files);
    let all = found(&checks);
    let has = |rule: &str, state: State, line: u64| {
        assert!(
            all.iter()
                .any(|(r, s, _, l)| (r.as_str(), *s, *l) == (rule, state, line)),
            "{rule} {state} {line}: {checks:#?}"
        );
    };
    has("table-index", State::Warn, 1);
    has("table-syntax", State::Warn, 1);
    has("table-missing", State::Crit, 2);
    has("table-type", State::Crit, 2);
    has("table-type", State::Crit, 3);
    has("table-missing", State::Warn, 3);
    has("table-misnamed", State::Warn, 4);
    has("table-syntax", State::Warn, 4);
    has("table-index", State::Crit, 5);
    let all = format!("{checks:?}");
    assert!(!all.contains("hunter2"));
    assert!(all.contains("backslash") && all.contains("lonely has no value"));
}

#[test]
fn lists_in_files_that_are_not_there() {
    let rule = "table-missing";
    for (list, state) in [
        ("/etc/postfix/nets", State::Crit),
        ("/srv/elsewhere/nets", State::Warn),
    ] {
        let at = [(state, "mynetworks", 1)];
        expect(&format!("mynetworks = 127.0.0.1 {list}\n"), rule, &at);
    }
}

/// Packages put examples beside main.cf, which are not what it names.
#[test]
fn a_file_of_the_same_name_is_another() {
    let main = "transport_maps = texthash:/etc/postfix/maps/transport\n";
    let files = Fake::default().file("/etc/postfix/main.cf", main, 1).file(
        "/etc/postfix/transport",
        "# an example\n",
        1,
    );
    let all = found(&checks_of(files));
    assert!(
        all.iter()
            .any(|(rule, state, ..)| rule == "table-missing" && *state == State::Crit),
        "{all:?}"
    );
}

#[test]
fn what_is_wrong_very_often_is_told_some_times() {
    let nets: String = (0..6_000)
        .map(|n| {
            format!(
                "!10.{}.{}.1 9.{}.{}.1\n",
                n / 250,
                n % 250,
                n / 250,
                n % 250
            )
        })
        .collect();
    let files = Fake::default()
        .file(
            "/etc/postfix/main.cf",
            "mynetworks = /etc/postfix/nets\n",
            1,
        )
        .file("/etc/postfix/nets", &nets, 1);
    let checks = checks_of(files);
    let public: Vec<&Check> = checks
        .iter()
        .filter(|c| {
            c.data
                .as_ref()
                .is_some_and(|d| d["rule"] == "mynetworks-public")
        })
        .collect();
    assert_eq!(public.len(), 20);
    assert!(
        public[19].text.ends_with("(and 2480 more of the kind)"),
        "{}",
        public[19].text
    );
    // One that names itself.
    let itself = "/etc/postfix/nets ".repeat(300);
    let files = Fake::default()
        .file(
            "/etc/postfix/main.cf",
            "mynetworks = /etc/postfix/nets\n",
            1,
        )
        .file("/etc/postfix/nets", &itself, 1);
    assert!(!checks_of(files).is_empty());
}

#[test]
fn caches_are_no_tables_of_people() {
    let main = "smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache\n";
    expect(main, "table-missing", &[]);
    expect(main, "table-index", &[]);
}

#[test]
fn a_folder_of_sources_is_read_beside() {
    let files = Fake::default()
        .file(
            "/src/main.cf",
            "virtual_alias_maps = hash:/etc/postfix/virtual\n",
            1,
        )
        .file("/src/virtual", "info@corp.example info\\@corp.example\n", 5);
    let all = found(&review(Path::new("/src"), &files, 0));
    let rules: Vec<&str> = all.iter().map(|(r, ..)| r.as_str()).collect();
    assert!(
        rules.contains(&"table-syntax") && !rules.contains(&"table-missing"),
        "{rules:?}"
    );
}

#[test]
fn services_of_their_own() {
    let master = "\
smtp inet n - y - - smtpd
2525 inet n - y - - smtpd
  -o mynetworks=0.0.0.0/0
  -o smtpd_sasl_auth_enable=yes
  -o smptd_tls_security_level=encrypt
127.0.0.1:10025 inet n - n - - smtpd
  -o mynetworks=0.0.0.0/0
25 inet n - n - - smtpd
short line
";
    let files = Fake::default()
        .file(
            "/etc/postfix/main.cf",
            &format!("{CLEAN}maillog_file = /dev/stdout\n"),
            1,
        )
        .file("/etc/postfix/master.cf", master, 1)
        .file("/var/spool/postfix/pid/master.pid", "", 1);
    let checks = checks_of(files);
    let all = found(&checks);
    let rules: Vec<(&str, State, u64)> = all
        .iter()
        .map(|(r, s, _, l)| (r.as_str(), *s, *l))
        .collect();
    assert_eq!(
        rules,
        [
            ("postlog", State::Warn, 13),
            ("chroot-resolv", State::Warn, 1),
            ("mynetworks-everyone", State::Crit, 3),
            ("sasl-without-tls", State::Warn, 4),
            ("unknown-parameter", State::Warn, 5),
            ("port-conflict", State::Warn, 8),
            ("syntax", State::Crit, 9),
        ],
        "{checks:#?}"
    );
    let text = &checks[2].text;
    assert!(
        text.starts_with("master.cf line 3 (2525 smtpd): mynetworks = 0.0.0.0/0: "),
        "{text}"
    );
}
