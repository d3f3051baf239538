//! The options of the outbox and of delivery: where each can be set, what they come to, mistakes.

use std::time::Duration;

use notifier_runtime::{
    Cli, Env, Invocation, Parsed, Problems, WatcherSettings,
    outbox::{OutboxSettings, Place},
    table,
};
use notifiers::{
    FailureRecord, Origin, engine::OnUnknown, http::HttpSettings, jiff::Timestamp, policy::Rate,
};

fn cli() -> Cli {
    Cli::mesos_watcher("1.0.0")
}

fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Parsed, Problems> {
    let least = [
        "-masters=http://m:5050",
        "-uploader=noop",
        "-reporters=slack,file",
    ];
    let args = least.iter().chain(args).map(Into::into);
    match cli().parse(args, &Env::from_pairs(env.iter().copied()))? {
        Invocation::Run(p) => Ok(p),
        Invocation::Print(text) => panic!("printed {text}"),
    }
}

fn read(args: &[&str], env: &[(&str, &str)]) -> WatcherSettings {
    WatcherSettings::read(&parse(args, env).unwrap().program).unwrap()
}

fn place(args: &[&str], env: &[(&str, &str)]) -> String {
    read(args, env).outbox.place.to_string()
}

#[test]
fn defaults_are_those_of_the_drop_in() {
    let s = read(&[], &[]);
    assert_eq!(s.outbox.place, Place::Memory);
    assert!(s.outbox.unset);
    assert_eq!(s.outbox.capacity, 100_000);
    assert_eq!(s.max_age, Duration::from_secs(72 * 3600));
    assert_eq!(s.max_interval, Duration::from_secs(300));
    assert_eq!(s.on_unknown, OnUnknown::Retry);
    assert!(s.group_interval.is_zero());
    assert_eq!(s.shutdown_timeout, Duration::from_secs(8));
    let engine = s.engine().unwrap().build().unwrap();
    let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    assert_eq!(engine.explain(&failure).fingerprint, None);
}

#[test]
fn the_outbox_is_found_by_what_is_said_most_outright() {
    let systemd = ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
    let folder = ("NOTIFIER_STATE_DIR", "/env");
    let outbox = ("NOTIFIER_OUTBOX", "sqlite:/env/x");
    assert_eq!(place(&[], &[systemd]), "sqlite:/var/lib/a/outbox.sqlite");
    assert_eq!(place(&[], &[systemd, folder]), "sqlite:/env/outbox.sqlite");
    let flag = "-state-dir=/flag";
    assert_eq!(
        place(&[flag, "-name=dog"], &[systemd, folder]),
        "sqlite:/flag/outbox-dog.sqlite"
    );
    assert_eq!(place(&[flag], &[outbox]), "sqlite:/env/x");
    assert_eq!(
        place(&["-outbox=sqlite:y", flag], &[outbox, systemd]),
        "sqlite:y"
    );
    assert_eq!(place(&["-outbox=memory", flag], &[]), "memory");
    // systemd's is the weakest: a file beats it too.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w.toml");
    std::fs::write(&file, "state-dir = \"/file\"\n").unwrap();
    let config = format!("-config={}", file.display());
    assert_eq!(place(&[&config], &[systemd]), "sqlite:/file/outbox.sqlite");
    assert_eq!(place(&[], &[("STATE_DIRECTORY", "")]), "memory");
}

#[test]
fn a_file_and_the_environment_set_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w.toml");
    std::fs::write(
        &file,
        r##"
outbox = "sqlite:/srv/o.sqlite"
outbox-size = 5
on-unknown = "drop"
request-timeout = "3s"

[retry]
max-age = "2d"
max-interval = "90s"

[group]
interval = "5m"
by = "{{ .failure.Name }}"

[reporters.slack]
rate = "2/s:40"
max_age = "1h"

[reporters.file]
rate = "unlimited"
"##,
    )
    .unwrap();
    let config = format!("-config={}", file.display());
    let parsed = parse(&[&config], &[]).unwrap();
    let from_file = WatcherSettings::read(&parsed.program).unwrap();
    let slack = parsed.backends["slack"].instance("default");
    assert_eq!(
        Rate::read(slack.text("rate")).unwrap().unwrap().to_string(),
        "2/s:40"
    );
    assert_eq!(slack.duration("max_age"), Some(Duration::from_secs(3600)));

    let env = [
        ("NOTIFIER_OUTBOX", "sqlite:/srv/o.sqlite"),
        ("NOTIFIER_OUTBOX_SIZE", "5"),
        ("NOTIFIER_ON_UNKNOWN", "drop"),
        ("NOTIFIER_REQUEST_TIMEOUT", "3s"),
        ("NOTIFIER_RETRY_MAX_AGE", "48h"),
        ("NOTIFIER_RETRY_MAX_INTERVAL", "1m30s"),
        ("NOTIFIER_GROUP_INTERVAL", "300s"),
        ("NOTIFIER_GROUP_BY", "{{ .failure.Name }}"),
        ("SLACK_RATE", "2/s:40"),
        ("FILE_MAX_AGE", "10m"),
    ];
    let other = parse(&[], &env).unwrap();
    assert_eq!(
        other.backends["slack"].instance("default").text("rate"),
        "2/s:40"
    );
    assert_eq!(
        other.backends["file"].instance("x").duration("max_age"),
        Some(Duration::from_secs(600))
    );
    for s in [from_file, WatcherSettings::read(&other.program).unwrap()] {
        assert_eq!(
            s.outbox,
            OutboxSettings::new(Place::Sqlite("/srv/o.sqlite".into()), 5)
        );
        assert_eq!(s.on_unknown, OnUnknown::Drop);
        assert_eq!(s.max_age, Duration::from_secs(2 * 86_400));
        assert_eq!(s.max_interval, Duration::from_secs(90));
        assert_eq!(s.group_interval, Duration::from_secs(300));
        let engine = s.engine().unwrap().build().unwrap();
        let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
        assert_eq!(engine.explain(&failure).fingerprint.as_deref(), Some("web"));
    }
    for p in [parsed, other] {
        let http = p.backend(notifiers::http::OPTIONS).instance("");
        let timeout = HttpSettings::read(&http).unwrap().timeout;
        assert_eq!(timeout, Duration::from_secs(3));
    }
}

#[test]
fn the_old_name_of_the_request_timeout_still_holds() {
    let p = parse(&["-http.timeout=4s"], &[]).unwrap();
    let http = p.backend(notifiers::http::OPTIONS).instance("");
    assert_eq!(
        HttpSettings::read(&http).unwrap().timeout,
        Duration::from_secs(4)
    );
    assert_eq!(p.program.origin("request-timeout"), Some(Origin::Flag));
}

#[test]
fn wrong_values_are_told_before_anything_is_started() {
    for (flag, why) in [
        (
            "-outbox=nats",
            "outbox: \"nats\" is neither memory nor sqlite:PATH",
        ),
        ("-outbox=sqlite:", "outbox: sqlite needs a file"),
        ("-outbox-size=0", "outbox-size: at least 1"),
        (
            "-retry.max-age=3",
            "-retry.max-age: \"3\" is not a duration",
        ),
        (
            "-retry.max-interval=0",
            "retry.max-interval: it must be longer than 0",
        ),
        (
            "-on-unknown=maybe",
            "-on-unknown: \"maybe\" is not one of retry, drop",
        ),
        (
            "-group.interval=often",
            "-group.interval: \"often\" is not a duration",
        ),
        ("-group.by={{ .failure.Name", "group.by"),
        (
            "-request-timeout=x",
            "-request-timeout: \"x\" is not a duration",
        ),
        ("-slack.rate=fast", "-slack.rate: \"fast\" is not a rate"),
        ("-file.rate=0/s", "-file.rate: \"0/s\" is not a rate"),
        (
            "-slack.max_age=x",
            "-slack.max_age: \"x\" is not a duration",
        ),
    ] {
        let problems = parse(&[flag], &[]).unwrap_err();
        let lines: Vec<&str> = problems.iter().collect();
        assert!(
            matches!(lines.as_slice(), [one] if one.contains(why)),
            "{flag}: {lines:?}"
        );
    }
}

#[test]
fn rates_are_in_help_tables_and_json() {
    let help = cli().help();
    assert!(help.contains("-slack.rate rate\n"), "{help}");
    assert!(
        help.contains("env FILE_RATE, default \"unlimited\""),
        "{help}"
    );
    let tables = table::tables(&cli());
    let slack = tables.iter().find(|t| t.group.name == "slack").unwrap();
    assert!(
        slack.markdown().contains(
            "| `-slack.rate` | `SLACK_RATE` | `reporters.slack.rate` |  | rate | `1/s` |"
        )
    );
    let json = slack.json();
    let rate = json["options"]
        .as_array()
        .unwrap()
        .iter()
        .find(|o| o["key"] == "rate")
        .unwrap();
    assert_eq!(
        (&rate["kind"], &rate["default"]),
        (&"rate".into(), &"1/s".into())
    );
    let file = tables.iter().find(|t| t.group.name == "file").unwrap();
    assert!(
        file.markdown()
            .contains("`reporters.file.max_age` |  | duration |")
    );
}

#[cfg(feature = "sqlite")]
mod file {
    use std::os::unix::fs::PermissionsExt;

    use notifier_runtime::outbox::open_existing;
    use notifiers::ErrorKind;

    use super::*;

    fn in_folder(folder: &std::path::Path) -> OutboxSettings {
        OutboxSettings::choose(None, Some(folder), "default", 10).unwrap()
    }

    #[tokio::test]
    async fn the_state_folder_is_made_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let outbox = in_folder(&folder).open().unwrap();
        assert!(outbox.is_durable());
        assert_eq!(outbox.stats().await.unwrap().capacity, 10);
        let mode =
            |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("outbox.sqlite")), 0o600);
        // One that is there is left as it is.
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        drop(outbox);
        in_folder(&folder).open().unwrap();
        assert_eq!(mode(&folder), 0o755);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_told_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let e = in_folder(&dir.path().join("file/state"))
            .open()
            .unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Io);
        assert!(e.to_string().contains("file/state"), "{e}");
        assert!(e.to_string().contains("-state-dir"), "{e}");
    }

    #[tokio::test]
    async fn administration_creates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.sqlite");
        assert!(open_existing(&path, 10).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn memory_does_not_outlive_the_process() {
        let outbox = OutboxSettings::new(Place::Memory, 3).open().unwrap();
        assert!(!outbox.is_durable());
        assert_eq!(outbox.stats().await.unwrap().capacity, 3);
    }
}
