//! The command line as a whole: the original's flags and variables, what beats what, files, mistakes.

use std::path::Path;

use notifier_runtime::{Cli, Env, Invocation, Parsed, Problems};
use notifiers::{OptionGroup, OptionKind, OptionSpec, Origin};
use proptest::prelude::*;

/// As the original's reporters, whatever the build holds.
const PAGER: OptionGroup = OptionGroup::new(
    "pager",
    &[
        OptionSpec::new("hook_url", "address")
            .kind(OptionKind::Url)
            .secret()
            .label(),
        OptionSpec::new("channel", "room").label(),
        OptionSpec::new("format", "text")
            .kind(OptionKind::Template)
            .default("{{ .failure.Name }}"),
        OptionSpec::new("wait", "time")
            .kind(OptionKind::Duration)
            .default("5s"),
    ],
);
const SOURCE: OptionGroup = OptionGroup::new(
    "cron",
    &[OptionSpec::new("interval", "time").kind(OptionKind::Duration)],
);
const MASTERS: &[OptionSpec] = &[OptionSpec::new("masters", "addresses")
    .kind(OptionKind::List)
    .env("COMPLAINER_MASTERS")];

fn cli() -> Cli {
    Cli::watcher("test-watcher", "1.2.3", "Tests.")
        .program("Masters", MASTERS)
        .section("Cron", SOURCE)
        .reporter(PAGER)
        .require(&["masters"])
}

const LEAST: &[&str] = &[
    "-masters=http://m:5050",
    "-uploader=noop",
    "-reporters=slack",
];

fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Parsed, Problems> {
    let env = Env::from_pairs(env.iter().copied());
    match cli().parse(args.iter().map(Into::into), &env)? {
        Invocation::Run(p) => Ok(p),
        Invocation::Print(text) => panic!("printed {text}"),
    }
}

/// With the least that is needed before the arguments.
fn with(args: &[&str], env: &[(&str, &str)]) -> Result<Parsed, Problems> {
    parse(&[LEAST, args].concat(), env)
}

fn refused(args: &[&str], env: &[(&str, &str)]) -> String {
    with(args, env).unwrap_err().to_string()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

fn file(text: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Parsed, Problems> {
    let folder = Folder::new();
    let path = folder.write("w.toml", text);
    with(&[&["-config", path.as_str()], args].concat(), env)
}

/// What is wrong with a file, without its folder.
fn wrong_file(text: &str) -> String {
    let folder = Folder::new();
    let path = folder.write("w.toml", text);
    let all = with(&["-config", &path], &[]).unwrap_err().to_string();
    all.replace(&path, "w.toml")
}

/// Every flag and variable of the original 1.7.0 for the program itself.
#[test]
fn the_originals_flags_and_variables() {
    for (flag, env, value) in [
        ("name", Some("COMPLAINER_NAME"), "dogfood"),
        ("default", Some("COMPLAINER_DEFAULT"), "false"),
        (
            "masters",
            Some("COMPLAINER_MASTERS"),
            "http://a:1,http://b:2",
        ),
        ("listen", Some("COMPLAINER_LISTEN"), "127.0.0.1:8888"),
        ("uploader", Some("COMPLAINER_UPLOADER"), "noop"),
        ("reporters", Some("COMPLAINER_REPORTERS"), "slack"),
        ("framework-whitelist", None, "^marathon"),
        ("framework-blacklist", None, "test$"),
    ] {
        let key = match flag {
            "framework-whitelist" => "framework-allow",
            "framework-blacklist" => "framework-deny",
            f => f,
        };
        for args in [
            vec![format!("-{flag}={value}")],
            vec![format!("--{flag}={value}")],
            vec![format!("-{flag}"), value.to_owned()],
            vec![format!("--{flag}"), value.to_owned()],
        ] {
            if flag == "default" && args.len() == 2 {
                continue;
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let p = with(&args, &[]).unwrap();
            assert_eq!(p.program.text(key), value, "{args:?}");
            assert_eq!(p.program.origin(key), Some(Origin::Flag));
        }
        if let Some(env) = env {
            let rest: Vec<&str> = LEAST
                .iter()
                .copied()
                .filter(|a| !a.starts_with(&format!("-{flag}=")))
                .collect();
            let p = parse(&rest, &[(env, value)]).unwrap();
            assert_eq!(
                (p.program.text(key), p.program.origin(key)),
                (value, Some(Origin::Env))
            );
            // An empty variable is no variable.
            let p = with(&[], &[(env, "")]).unwrap();
            assert_ne!(p.program.origin(key), Some(Origin::Env));
        }
    }
    let p = with(&["-default"], &[("COMPLAINER_DEFAULT", "false")]).unwrap();
    assert!(p.program.bool("default"));
    for word in ["1", "t", "T", "TRUE", "true", "True"] {
        let p = with(&[&format!("-default={word}")], &[]).unwrap();
        assert!(p.program.bool("default"), "{word}");
    }
}

/// Every flag and variable of the original 1.7.0 for its backends.
#[test]
fn flags_and_variables_of_the_originals_backends() {
    for (group, key, env, value) in [
        ("slack", "hook_url", "SLACK_HOOK_URL", "https://h.example/x"),
        ("slack", "channel", "SLACK_CHANNEL", "#mesos"),
        ("slack", "username", "SLACK_USERNAME", "Mesos Cluster"),
        ("slack", "icon_emoji", "SLACK_ICON_EMOJI", ":mesos:"),
        (
            "slack",
            "icon_url",
            "SLACK_ICON_URL",
            "http://my.com/pic.png",
        ),
        ("slack", "format", "SLACK_FORMAT", "-{{ .failure.Name }}"),
        ("file", "name", "FILE_NAME", "/dev/stdout"),
        ("file", "format", "FILE_FORMAT", "{{ .nl }}"),
        (
            "sentry",
            "dsn",
            "SENTRY_DSN",
            "https://foo:bar@sentry.example/8",
        ),
        (
            "hipchat",
            "base_url",
            "HIPCHAT_BASE_URL",
            "https://chat.example/v2/",
        ),
        ("hipchat", "room", "HIPCHAT_ROOM", "ops room"),
        ("hipchat", "token", "HIPCHAT_TOKEN", "T0KEN"),
        (
            "hipchat",
            "format",
            "HIPCHAT_FORMAT",
            "<b>{{ .failure.Name }}</b>",
        ),
        ("jira", "url", "JIRA_URL", "https://jira.example/"),
        ("jira", "username", "JIRA_USERNAME", "mesos"),
        ("jira", "password", "JIRA_PASSWORD", "p4ssword"),
        (
            "jira",
            "issue_closed_status",
            "JIRA_ISSUE_CLOSED_STATUS",
            "Done",
        ),
        (
            "jira",
            "fields",
            "JIRA_FIELDS",
            "Project:OPS;Issue Type:Bug;Summary:{{ .failure.Name }}",
        ),
        ("s3aws", "access_key", "S3_ACCESS_KEY", "AKEY"),
        ("s3aws", "secret_key", "S3_SECRET_KEY", "SKEY"),
        ("s3aws", "region", "S3_REGION", "eu-central-1"),
        ("s3aws", "bucket", "S3_BUCKET", "logs"),
        ("s3aws", "prefix", "S3_PREFIX", "x/{{ .failure.ID }}"),
        ("s3aws", "timeout", "S3_TIMEOUT", "72h"),
        ("s3goamz", "access_key", "S3_ACCESS_KEY", "AKEY"),
        ("s3goamz", "secret_key", "S3_SECRET_KEY", "SKEY"),
        (
            "s3goamz",
            "endpoint",
            "S3_ENDPOINT",
            "https://${bucket}.s3.example.com",
        ),
        ("s3goamz", "bucket", "S3_BUCKET", "logs"),
        ("s3goamz", "prefix", "S3_PREFIX", "x/{{ .failure.ID }}"),
        ("s3goamz", "timeout", "S3_TIMEOUT", "72h"),
    ] {
        let flag = format!("{group}.{key}");
        for (args, env, origin) in [
            (vec![format!("-{flag}={value}")], vec![], Origin::Flag),
            (vec![format!("--{flag}={value}")], vec![], Origin::Flag),
            (
                vec![format!("-{flag}"), value.to_owned()],
                vec![],
                Origin::Flag,
            ),
            (vec![], vec![(env, value)], Origin::Env),
            // A flag beats the environment.
            (
                vec![format!("-{flag}={value}")],
                vec![(env, value)],
                Origin::Flag,
            ),
        ] {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let p = with(&args, &env).unwrap();
            let s = p.backends[group].instance("default");
            let is = (s.get(key), s.origin(key));
            assert_eq!(is, (Some(value), Some(origin)), "{args:?} {env:?}");
        }
    }
}

/// Whole command lines as the original is started with.
#[test]
fn command_lines_of_the_original() {
    for args in [
        &[
            "-name=dogfood",
            "-default=false",
            "-masters=http://127.0.0.1:5050",
            "-uploader=noop",
            "-reporters=slack,file",
            "-slack.hook_url=http://127.0.0.1:1/slack/dog",
            "-file.name=/tmp/f.out",
        ][..],
        &[
            "--masters",
            "http://127.0.0.1:5050",
            "--uploader",
            "noop",
            "--reporters",
            "file",
            "-file.format=>> {{ .failure.Framework }}/{{ .failure.ID }}{{ .nl }}",
            "-framework-whitelist=^marathon",
            "-framework-whitelist=spark",
            "-framework-blacklist=test$",
            "-framework-blacklist=-dev",
            "--sentry.dsn=http://pub:sec@127.0.0.1/8",
        ],
    ] {
        let cli = Cli::mesos_watcher("1.0.0");
        let parsed = cli.parse(args.iter().map(Into::into), &Env::default());
        assert!(matches!(parsed, Ok(Invocation::Run(_))), "{parsed:?}");
    }
}

#[test]
fn frameworks_collect_over_both_names() {
    let p = with(
        &[
            "-framework-whitelist=^a",
            "-framework-allow",
            "b,c",
            "-framework-whitelist=d",
        ],
        &[("NOTIFIER_FRAMEWORK_ALLOW", "e")],
    )
    .unwrap();
    assert_eq!(p.program.all("framework-allow"), ["^a", "b,c", "d"]);
    let p = with(&[], &[("NOTIFIER_FRAMEWORK_ALLOW", "e")]).unwrap();
    assert_eq!(p.program.all("framework-allow"), ["e"]);
    assert!(p.program.all("framework-deny").is_empty());
    assert!(
        refused(&["-framework-whitelist=("], &[]).starts_with("-framework-whitelist: cannot use"),
    );
}

#[test]
fn of_a_flag_given_twice_the_last_counts() {
    let p = with(&["-name=a", "-name=b"], &[]).unwrap();
    assert_eq!(p.program.text("name"), "b");
    // An empty flag is unset, and the variable counts.
    let p = with(&["-name=a", "-name="], &[("COMPLAINER_NAME", "env")]).unwrap();
    assert_eq!(p.program.text("name"), "env");
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let text = "name = \"file\"\n[reporters.pager]\nchannel = \"#file\"\n[reporters.pager.instances.team]\nchannel = \"#team\"\n";
    let env: &[(&str, &str)] = &[("COMPLAINER_NAME", "env"), ("PAGER_CHANNEL", "#env")];
    for (args, env, name, channel) in [
        (
            &["-name=flag", "-pager.channel=#flag"][..],
            env,
            "flag",
            "#flag",
        ),
        (&[], env, "env", "#env"),
        (&[], &[], "file", "#file"),
    ] {
        let p = file(text, args, env).unwrap();
        assert_eq!(p.program.text("name"), name);
        assert_eq!(
            p.backends["pager"].instance("default").get("channel"),
            Some(channel)
        );
        // What the file says of one instance is more specific than a flag.
        assert_eq!(
            p.backends["pager"].instance("team").get("channel"),
            Some("#team")
        );
    }
    assert_eq!(with(&[], &[]).unwrap().program.text("name"), "default");
}

#[test]
fn a_file_says_all_that_flags_say() {
    let folder = Folder::new();
    folder.write("hook", "https://h.example/from-file\n");
    let path = folder.write(
        "w.toml",
        r##"
name = "x"
masters = ["http://a:1", "http://b:2"]
uploader = "noop"
default = false
outbox-size = 1_000
framework_whitelist = ["^a", "b,c"]
shutdown-timeout = "3s"
label-urls = "public"
"label-urls.allow" = ["127.0.0.0/8", "10.0.0.0/8"]

[log]
level = "debug"
format = "json"

[cron]
interval = "9s"

[reporters.pager]
hook_url = { file = "hook" }
format = """
{{ .failure.Name }}
"""

[reporters.pager.instances.team]
hook_url = { env = "TEAM_HOOK" }
"##,
    );
    let env = [
        ("NOTIFIER_CONFIG", path.as_str()),
        ("TEAM_HOOK", "https://h.example/from-env"),
    ];
    let p = parse(&[], &env).unwrap();
    assert_eq!(p.program.text("name"), "x");
    assert_eq!(p.program.list("masters"), ["http://a:1", "http://b:2"]);
    assert!(!p.program.bool("default"));
    assert_eq!(p.program.integer("outbox-size"), Some(1000));
    assert_eq!(p.program.all("framework-allow"), ["^a", "b,c"]);
    assert_eq!(p.program.text("log.level"), "debug");
    assert_eq!(p.program.text("log.format"), "json");
    assert_eq!(
        p.backends["cron"].instance("default").text("interval"),
        "9s"
    );
    // The tables say which reporters there are.
    assert_eq!(p.program.list("reporters"), ["pager"]);
    let pager = &p.backends["pager"];
    assert_eq!(
        pager.instance("default").text("hook_url"),
        "https://h.example/from-file"
    );
    assert_eq!(
        pager.instance("team").text("hook_url"),
        "https://h.example/from-env"
    );
    assert_eq!(
        pager.instance("default").text("format"),
        "{{ .failure.Name }}\n"
    );
    let http =
        notifiers::http::HttpSettings::read(&p.backend(notifiers::http::OPTIONS).instance(""));
    assert!(http.as_ref().unwrap().guests.public_only);
    assert_eq!(http.unwrap().guests.allow.len(), 2);
    let shown = format!("{p:?}");
    assert!(
        !shown.contains("from-file") && !shown.contains("from-env"),
        "{shown}"
    );
}

#[test]
fn what_a_program_reads_by_itself_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.toml");
    let text = "probe_targets = \"a\"\n[[job]]\nanything = { at = \"all\" }\n";
    std::fs::write(&file, text).unwrap();
    let env = Env::default();
    let cli = cli().own_keys(&["job", "probe-targets"]);
    assert!(cli.check_file(&file, &env).is_ok());
    std::fs::write(&file, "[[jbo]]\nx = 1\n").unwrap();
    let why = cli.check_file(&file, &env).unwrap_err().to_string();
    assert!(
        why.ends_with("unknown key \"jbo\"; did you mean \"job\"?"),
        "{why}"
    );
}

#[test]
fn mistakes_in_a_file_are_told_with_line_and_column() {
    for (text, expected) in [
        (
            "nmae = 1",
            "w.toml:1:1: unknown key \"nmae\"; did you mean \"name\"?",
        ),
        (
            "a = 1\nb = 2",
            "w.toml:1:1: unknown key \"a\"\nw.toml:2:1: unknown key \"b\"",
        ),
        (
            "[reporters.pager]\nchanel = \"x\"",
            "w.toml:2:1: unknown key \"chanel\" in [reporters.pager]; did you mean \"channel\"?",
        ),
        (
            "[reporters.pagr]",
            "w.toml:1:12: unknown key \"pagr\" in [reporters]; did you mean \"pager\"?",
        ),
        (
            "[repoters.pager]",
            "w.toml:1:2: unknown key \"repoters\"; did you mean \"reporters\"?",
        ),
        (
            "\n  default = 5",
            "w.toml:2:3: default: \"5\" is neither true nor false",
        ),
        (
            "[log]\nlevle = 1",
            "w.toml:2:1: unknown key \"log-levle\"; did you mean \"log-level\"?",
        ),
        (
            "name = [\"a\"]",
            "w.toml:1:8: name takes one value, not a list",
        ),
        (
            "masters = [[\"a\"]]",
            "w.toml:1:12: masters: a list inside a list",
        ),
        (
            "name = 1979-05-27",
            "w.toml:1:8: name: a date is not a value of any option; put it in quotes",
        ),
        (
            "name = {}",
            "w.toml:1:8: name: a value is a text, or { file = \"PATH\" }, or { env = \"NAME\" }",
        ),
        (
            "[reporters.pager]\nhook_url = { env = \"NOPE\" }",
            "w.toml:2:12: reporters.pager.hook_url: environment variable \"NOPE\" is not set",
        ),
        (
            "config = \"other\"",
            "w.toml:1:1: a file cannot name another one",
        ),
        (
            "framework-allow = \"a\"\nframework_whitelist = \"b\"",
            "w.toml:2:1: framework-allow is set twice",
        ),
        (
            "[reporters.pager]\ninstances = 1",
            "w.toml:2:1: instances is a table: [reporters.pager.instances.NAME]",
        ),
        (
            "[reporters.slack.instances.x]\nhook_url = \"s3cr3t-value\"",
            "w.toml:2:1: reporters.slack.instances.x.hook_url: *** is not a URL, such as https://host/path",
        ),
        (
            "[cron]\ninterval = \"5\"",
            "w.toml:2:1: cron.interval: \"5\" is not a duration (such as 5s, 1m30s or 250ms)",
        ),
    ] {
        assert_eq!(wrong_file(text), expected, "{text}");
    }
    let missing = refused(&["-config=/no/such/file.toml"], &[]);
    assert!(
        missing.starts_with("cannot read /no/such/file.toml: "),
        "{missing}"
    );
    assert!(refused(&["-config=/"], &[]).contains("it is a folder"));
}

#[test]
fn a_file_that_is_no_toml_shows_no_secret() {
    for text in [
        "hook_url = https://h.example/s3cret",
        "[reporters.slack\nhook_url = \"s3cret\"",
        "[reporters.slack]\nhook_url = \"s3cret",
        "[reporters.slack]\nhook_url = 's3cret\n",
        "token = s3cret\npassword = 's3cret' x",
        "a = \"s3cret\\q\"",
        "s = 12s3cret",
        "s = 1979-13-45s3cret",
        "s3cret",
    ] {
        let all = wrong_file(text);
        assert!(!all.contains("s3cret"), "{all}");
        assert!(all.lines().all(|l| l.starts_with("w.toml:")), "{all}");
    }
    let folder = Folder::new();
    let path = folder.write("w.toml", b"name = \"\xff\"");
    assert!(refused(&["-config", &path], &[]).ends_with("byte 9 is not UTF-8"));
}

#[test]
fn mistakes_are_collected_each_with_the_name_it_was_set_by() {
    let all = refused(
        &[
            "-defualt",
            "-slack.hook_url=s3cr3t-value",
            "-default=maybe",
            "s3cr3t-value",
        ],
        &[
            ("NOTIFIER_LOG_FORMAT", "xml"),
            ("COMPLAINER_DEFAULT", "s3cr3t-value"),
            ("NOTIFIER_LOG_LEVEL", "loud"),
        ],
    );
    let lines: Vec<&str> = all.lines().collect();
    for expected in [
        "unknown flag -defualt; did you mean -default?",
        "-slack.hook_url: *** is not a URL, such as https://host/path",
        "-default: \"maybe\" is neither true nor false",
        "argument 7 is not a flag",
        "NOTIFIER_LOG_FORMAT: \"xml\" is not one of text, json",
        "COMPLAINER_DEFAULT: \"***\" is neither true nor false",
    ] {
        assert!(lines.contains(&expected), "{expected:?} in\n{all}");
    }
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("log.level: \"loud\" is neither a level")),
        "{all}"
    );
    assert!(!all.contains("s3cr3t"), "{all}");
}

#[test]
fn what_must_be_set_is_told_at_once() {
    assert_eq!(
        parse(&[], &[]).unwrap_err().to_string(),
        "uploader is missing: set -uploader or COMPLAINER_UPLOADER\n\
         reporters is missing: set -reporters or COMPLAINER_REPORTERS\n\
         masters is missing: set -masters or COMPLAINER_MASTERS"
    );
}

#[test]
fn unknown_backends_are_told_with_those_there_are() {
    let all = parse(
        &["-masters=m", "-uploader=s3", "-reporters=slack,sentry,slak"],
        &[],
    )
    .unwrap_err()
    .to_string();
    let reporters = "sentry, hipchat, slack, jira, smtp, file, webhook, sns, pager";
    for line in [
        format!("reporters: there is no \"slak\"; there is {reporters}"),
        "uploader: there is no \"s3\"; there is noop, s3aws, s3goamz".to_owned(),
    ] {
        assert!(all.contains(&line), "{all}");
    }
    assert!(!all.contains("no \"sentry\""), "{all}");
}

#[test]
fn values_of_a_reporter_that_is_not_asked_for_do_not_matter() {
    with(&["-pager.wait=nonsense"], &[("PAGER_HOOK_URL", "nonsense")]).unwrap();
    // But its flags must exist.
    assert!(refused(&["-pager.nope=1"], &[]).starts_with("unknown flag -pager.nope"));
}

#[test]
fn port_stands_for_an_address_where_there_is_none() {
    let listen = |args: &[&str], env: &[(&str, &str)]| {
        with(args, env).map(|p| p.program.get("listen").map(str::to_owned))
    };
    assert_eq!(listen(&[], &[]).unwrap(), None);
    assert_eq!(
        listen(&[], &[("PORT", "31337")]).unwrap().as_deref(),
        Some(":31337")
    );
    assert_eq!(
        listen(&["-listen=:1"], &[("PORT", "31337")])
            .unwrap()
            .as_deref(),
        Some(":1")
    );
    let env = [("COMPLAINER_LISTEN", "127.0.0.1:2"), ("PORT", "31337")];
    assert_eq!(listen(&[], &env).unwrap().as_deref(), Some("127.0.0.1:2"));
    assert_eq!(
        listen(&[], &[("PORT", "http")]).unwrap_err().to_string(),
        "PORT: \"http\" is not a port"
    );
    assert!(refused(&["-listen=8080"], &[]).starts_with("listen: \"8080\" has no port"));
    assert!(refused(&["-listen=::1:80"], &[]).contains("in brackets"));
}

#[test]
fn help_shows_everything_and_no_secret_and_fits() {
    let env = Env::from_pairs([("SLACK_HOOK_URL", "https://h.example/s3cret")]);
    for flag in ["-h", "-help", "--help", "-help=x"] {
        let args = ["-slack.hook_url=https://h.example/s3cret", flag].map(Into::into);
        let Invocation::Print(help) = cli().parse(args, &env).unwrap() else {
            panic!()
        };
        assert!(!help.contains("s3cret"));
        for part in [
            "-slack.hook_url URL",
            "env SLACK_HOOK_URL",
            "-framework-allow, -framework-whitelist regex",
            "COMPLAINER_MASTERS",
            "default \"Task {{ .failure.Name }}",
            "required",
        ] {
            assert!(help.contains(part), "{part:?} in\n{help}");
        }
        assert!(help.lines().all(|l| l.chars().count() <= 100), "{help}");
    }
    // A value may look like help.
    with(&["-slack.format", "-help"], &[]).unwrap();
    let Invocation::Print(v) = cli().parse(["-version".into()], &env).unwrap() else {
        panic!()
    };
    assert_eq!(v, "test-watcher v1.2.3\n");
}

#[test]
fn secrets_are_known_for_masking() {
    let p = with(
        &[
            "-slack.hook_url",
            "https://h.example/s3cret-one-long",
            "-masters=http://admin:s3cret-two@m:5050,http://b",
        ],
        &[("SLACK_HOOK_URL", "https://h.example/s3cret-three")],
    )
    .unwrap();
    assert!(!format!("{p:?}").contains("s3cret"), "{p:?}");
    let line = p.command_line().join(" ");
    assert!(!line.contains("s3cret"), "{line}");
    assert!(
        line.contains("-slack.hook_url *** -masters=http://***@m:5050"),
        "{line}"
    );
    let text = p.redactor().redact(
        "s3cret-one-long s3cret-two YWRtaW46czNjcmV0LXR3bw== https://h.example/s3cret-three",
    );
    assert!(
        !text.contains("s3cret") && !text.contains("YWRtaW4"),
        "{text}"
    );
}

#[test]
fn names_are_declared_once() {
    let mut seen = std::collections::BTreeSet::new();
    for t in notifier_runtime::table::tables(&cli()) {
        for o in t.group.options {
            assert!(seen.insert(t.group.flag(o)), "{}", t.group.flag(o));
            for a in o.aliases {
                assert!(seen.insert((*a).to_owned()), "{a}");
            }
            // The original's uploaders share their variables; only one of them is in use.
            if let Some(env) = t.group.env(o).filter(|e| !e.starts_with("S3_")) {
                assert!(seen.insert(format!("${env}")), "{env}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_command_line_panics_or_shows_a_secret(
        args in prop::collection::vec(
            prop_oneof![
                "-{0,3}[a-z.=_-]{0,12}",
                Just("-slack.hook_url".to_owned()),
                Just("-slack.hook_url=S3CRET-VALUE".to_owned()),
                Just("S3CRET-VALUE".to_owned()),
                Just("-name".to_owned()),
                any::<String>(),
            ],
            0..8,
        ),
        env in any::<String>(),
    ) {
        let env = Env::from_pairs([("SLACK_FORMAT", env.as_str()), ("NOTIFIER_LOG_LEVEL", &env), ("PORT", &env)]);
        let shown = match cli().parse(args.iter().map(Into::into), &env) {
            Ok(Invocation::Run(p)) => p.command_line().join(" "),
            Ok(Invocation::Print(text)) => text,
            Err(problems) => problems.to_string(),
        };
        prop_assert!(!shown.contains("S3CRET-VALUE") || !args.iter().any(|a| a.contains("hook_url")), "{}", shown);
    }

    #[test]
    fn no_file_panics_or_shows_a_secret(text in "([a-z.\\[\\]={}\"'# \n0-9_-]|S3CRET-VALUE|reporters|slack|hook_url = |\\\\u00|\"\"\"){0,60}") {
        let folder = Folder::new();
        let path = folder.write("w.toml", &text);
        if let Err(problems) = cli().check_file(Path::new(&path), &Env::default()) {
            // A key that looks like a secret is still a key.
            for line in problems.iter().filter(|l| !l.contains("unknown key") && !l.contains("S3CRET-VALUE.")) {
                let secret_value = line.contains("S3CRET-VALUE") && line.contains("slack");
                prop_assert!(!secret_value, "{}\n{}", text, line);
            }
        }
    }
}

/// A program that takes the place of another one, with that one's flags.
mod stand_in {
    use super::*;

    const MAIL: OptionGroup = OptionGroup::new(
        "mail",
        &[
            OptionSpec::new("server", "where to"),
            OptionSpec::new("tls", "how").kind(OptionKind::Choice(&["none", "implicit"])),
            OptionSpec::new("password", "to log in with").secret(),
            OptionSpec::new("text", "what").default("plain"),
            OptionSpec::new("headers", "more").repeated(),
        ],
    );

    fn cli() -> Cli {
        Cli::watcher("stand-in", "1.0.0", "Tests.")
            .reporter(MAIL)
            .also_called(&[
                ("mail_server", "mail.server"),
                ("mail_password", "mail.password"),
            ])
            .switch("mail_ssl", "mail.tls", "implicit")
            .preset("reporters", "mail")
            .preset("uploader", "noop")
            .preset("mail.text", "fancy")
    }

    fn read(args: &[&str], env: &[(&str, &str)]) -> Result<Parsed, Problems> {
        let env = Env::from_pairs(env.iter().copied());
        match cli().parse(args.iter().map(Into::into), &env)? {
            Invocation::Run(parsed) => Ok(parsed),
            Invocation::Print(text) => panic!("{text}"),
        }
    }

    #[test]
    fn the_other_programs_flags_are_ours() {
        let p = read(
            &[
                "--mail_server",
                "relay:25",
                "--mail_ssl",
                "--mail_password",
                "s3cret-word",
            ],
            &[],
        )
        .unwrap();
        let mail = p.backend(MAIL).instance("default");
        assert_eq!(mail.get("server"), Some("relay:25"));
        assert_eq!(mail.get("tls"), Some("implicit"));
        assert_eq!(mail.origin("tls"), Some(Origin::Flag));
        assert!(!p.command_line().join(" ").contains("s3cret"));
        assert_eq!(p.redactor().redact("s3cret-word"), "***");
        let p = read(&["--mail_ssl=false"], &[]).unwrap();
        assert_eq!(p.backend(MAIL).instance("default").get("tls"), None);
        let p = read(&["--mail_ssl=perhaps"], &[]).unwrap_err();
        assert_eq!(
            p.to_string(),
            "-mail_ssl: \"perhaps\" is neither true nor false"
        );
        let p = read(&["--mail_sever=x"], &[]).unwrap_err();
        assert!(p.to_string().contains("did you mean -mail_server?"), "{p}");
    }

    #[test]
    fn presets_are_beaten_by_whatever_is_said() {
        let p = read(&[], &[]).unwrap();
        assert_eq!(p.program.list("reporters"), ["mail"]);
        assert_eq!(
            p.backend(MAIL).instance("default").get("text"),
            Some("fancy")
        );
        assert_eq!(
            p.backend(MAIL).instance("default").origin("text"),
            Some(Origin::Default)
        );
        let p = read(&[], &[("MAIL_TEXT", "own")]).unwrap();
        assert_eq!(p.backend(MAIL).instance("default").get("text"), Some("own"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.toml");
        std::fs::write(
            &path,
            "[reporters.mail]\ntext = \"filed\"\n[reporters.file]\nname = \"-\"\n",
        )
        .unwrap();
        let config = format!("-config={}", path.display());
        let p = read(&[&config], &[]).unwrap();
        assert_eq!(p.program.list("reporters"), ["mail", "file"]);
        assert_eq!(
            p.backend(MAIL).instance("default").get("text"),
            Some("filed")
        );
    }

    #[test]
    fn values_of_a_repeated_option_are_lines() {
        let p = read(&["-mail.headers=A: b, c", "-mail.headers=D: e"], &[]).unwrap();
        let mail = p.backend(MAIL).instance("default");
        assert_eq!(mail.get("headers"), Some("A: b, c\nD: e"));
    }

    #[test]
    fn help_names_them() {
        let help = cli().help();
        assert!(help.contains("-mail.server, -mail_server text"), "{help}");
        assert!(
            help.contains("  -mail_ssl\n        the same as -mail.tls=implicit"),
            "{help}"
        );
        assert!(help.contains("default \"fancy\""), "{help}");
    }
}
