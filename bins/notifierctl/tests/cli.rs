//! The built program: what it prints, and its exit codes.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
};

use assert_cmd::Command;

const FAILURE: &str = r##"{"id":"web.1","name":"web <a&b>","slave":"h1","state":"TASK_FAILED",
"started":"2016-06-17T04:41:12Z","finished":"2016-06-17T04:41:19Z","labels":{"complainer_slack_channel":"#label"}}"##;

fn ctl() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_notifierctl"));
    c.env_clear();
    c
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let f = Self(tempfile::tempdir().unwrap());
        f.write("f.json", FAILURE);
        f
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
}

/// Code, standard output and standard error output.
fn run(folder: &Folder, args: &[&str]) -> (i32, String, String) {
    let out = ctl()
        .current_dir(folder.0.path())
        .args(args)
        .output()
        .unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (
        out.status.code().unwrap(),
        text(out.stdout),
        text(out.stderr),
    )
}

fn render(folder: &Folder, template: &str, more: &[&str]) -> (i32, String, String) {
    let args = [
        &["render", "--template", template, "--failure", "f.json"],
        more,
    ]
    .concat();
    run(folder, &args)
}

#[test]
fn render_prints_exactly_the_rendered_bytes() {
    let f = Folder::new();
    let quiet = |text: &str| (0, text.to_owned(), String::new());
    assert_eq!(render(&f, "{{ .failure.Name }}", &[]), quiet("web <a&b>"));
    assert_eq!(
        render(&f, "{{ .failure.Name }}", &["--markup=slack"]),
        quiet("web &lt;a&amp;b&gt;")
    );
    assert_eq!(render(&f, "", &[]), quiet(""));
    assert_eq!(render(&f, "a\n\n", &[]), quiet("a\n\n"));
    assert_eq!(render(&f, "-{{ .failure.ID }}", &[]), quiet("-web.1"));
    assert_eq!(render(&f, "--json", &[]), quiet("--json"));
    let more = [
        "--config",
        "mentions=-@devs=x",
        "--config=b=",
        "--stdout-url",
        "-u",
        "--stderr-url=http://e",
    ];
    assert_eq!(
        render(
            &f,
            "{{ config \"mentions\" }}|{{ config \"b\" }}|{{ config \"c\" }}|{{ .stdoutURL }}|{{ .stderrURL }}{{ .nl }}",
            &more
        ),
        quiet("-@devs=x|||-u|http://e\n")
    );
    f.write("t.txt", "{{ .failure.State }}\n");
    assert_eq!(
        run(&f, &["render", "--template-file=t.txt", "--failure=f.json"]),
        quiet("TASK_FAILED\n")
    );
    let out = ctl()
        .args(["render", "--template={{ .failure.ID }}", "--failure", "-"])
        .write_stdin(FAILURE)
        .output();
    assert_eq!(out.unwrap().stdout, b"web.1");
}

#[test]
fn a_template_that_fails_is_told_with_its_place() {
    let f = Folder::new();
    for (template, stage) in [
        ("a\n{{ .failure.Name", "parse"),
        ("a\n{{ .failure.Nope }}", "execute"),
    ] {
        let (code, out, err) = render(&f, template, &[]);
        assert_eq!((code, out.as_str()), (65, ""), "{err}");
        assert!(
            err.starts_with(&format!("notifierctl: template: {stage} error at 2:")),
            "{err}"
        );
        assert_eq!(err.lines().count(), 1, "{err}");
        let (code, out, err) = render(&f, template, &["--json"]);
        assert_eq!((code, err.as_str()), (65, ""));
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["error"]["stage"], stage);
        assert_eq!(json["error"]["line"], 2);
        assert!(
            json["error"]["column"].is_u64() && json["error"]["message"].is_string(),
            "{json}"
        );
    }
    let (code, out, _) = render(&f, "{{ .failure.ID }}\n", &["--json"]);
    assert_eq!((code, out.as_str()), (0, "{\"text\":\"web.1\\n\"}\n"));
}

#[test]
fn wrong_usage_is_64_and_wrong_input_65() {
    let f = Folder::new();
    for args in [
        &[][..],
        &["nope"],
        &["render"],
        &["render", "--failure=f.json"],
        &[
            "render",
            "--template=x",
            "--failure=f.json",
            "--config=novalue",
        ],
        &["render", "--template=x", "--failure=f.json", "--markup=rtf"],
        &["send", "slack"],
        &["send", "nope", "--failure=f.json"],
        &["send", "slack", "--failure=f.json", "--nope"],
        &["send", "slack", "--failure=f.json"],
        &["options", "--format=xml"],
    ] {
        let (code, out, err) = run(&f, args);
        assert_eq!((code, out.as_str()), (64, ""), "{args:?} {err}");
        assert!(
            err.lines().all(|l| l.starts_with("notifierctl: ")) && !err.is_empty(),
            "{err}"
        );
    }
    f.write("bad.json", r#"{"id":"s3cret"#);
    f.write(
        "type.json",
        r#"{"id":"a","name":"n","state":"S","finished":"1970-01-01T00:00:00Z","labels":"s3cret"}"#,
    );
    for name in ["bad.json", "type.json"] {
        let (code, _, err) = run(&f, &["render", "--template=x", "--failure", name]);
        assert_eq!(code, 65);
        assert!(
            err.contains("is not a failure: ") && err.contains("line 1") && !err.contains("s3cret"),
            "{err}"
        );
    }
    let (code, _, err) = run(&f, &["render", "--template=x", "--failure=/no/such"]);
    assert_eq!(code, 74, "{err}");
    for args in [
        &["--help"][..],
        &["render", "--help"],
        &["send", "slack", "-help"],
        &["--version"],
    ] {
        let (code, out, err) = run(&f, args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        assert!(!out.is_empty());
    }
}

/// Answers each request with the next status, and gives back their bodies.
fn service(statuses: &'static [u16]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/slack/t0ken-in-the-path",
        listener.local_addr().unwrap()
    );
    let handle = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        for status in statuses {
            let (mut s, _) = listener.accept().unwrap();
            let mut all = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let n = s.read(&mut buffer).unwrap();
                all.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&all).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.to_ascii_lowercase();
                let length = length.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    bodies.push(body.to_owned());
                    break;
                }
            }
            let body = if *status == 200 {
                "ok"
            } else {
                "invalid_token"
            };
            write!(s, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nRetry-After: 7\r\nConnection: close\r\n\r\n{body}", body.len()).unwrap();
        }
        bodies
    });
    (url, handle)
}

#[test]
fn send_sends_once_and_says_who_has_it() {
    let f = Folder::new();
    let (url, handle) = service(&[200]);
    let (code, out, err) = run(
        &f,
        &[
            "send",
            "slack",
            "--failure",
            "f.json",
            "-slack.hook_url",
            &url,
            "-slack.username=bot",
            "--stdout-url=http://o",
        ],
    );
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains(": delivered") && !out.contains("t0ken"),
        "{out}"
    );
    let bodies = handle.join().unwrap();
    let sent: serde_json::Value = serde_json::from_str(&bodies[0]).unwrap();
    assert_eq!(
        (sent["channel"].as_str(), sent["username"].as_str()),
        (Some("#label"), Some("bot"))
    );
    assert!(
        sent["text"].as_str().unwrap().contains("http://o"),
        "{sent}"
    );
}

#[test]
fn send_tells_later_from_never() {
    let f = Folder::new();
    for (statuses, code, word) in [(&[429][..], 69, "rate-limited"), (&[403], 65, "")] {
        let (url, handle) = service(statuses);
        let hook = format!("-slack.hook_url={url}");
        let (got, out, err) = run(&f, &["send", "slack", "-failure=f.json", &hook, "-json"]);
        assert_eq!(got, code, "{out} {err}");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        let target = &json["targets"][0];
        assert_eq!(target["delivered"], false, "{json}");
        assert_eq!(target["error"]["retryable"], code == 69);
        assert!(target["error"]["kind"].as_str().unwrap().contains(word));
        assert!(
            !out.contains("t0ken") && !err.contains("t0ken"),
            "{out}{err}"
        );
        handle.join().unwrap();
    }
    // Nobody listens there.
    let args = [
        "send",
        "slack",
        "-failure=f.json",
        "-slack.hook_url=http://127.0.0.1:9/t0ken-in-the-path",
    ];
    let (code, out, _) = run(&f, &args);
    assert_eq!(code, 69, "{out}");
    assert!(
        out.contains("may be tried again") && !out.contains("t0ken"),
        "{out}"
    );
}

#[test]
fn send_reads_a_watchers_file() {
    let f = Folder::new();
    f.write(
        "w.toml",
        "name = \"dog\"\nmasters = \"http://m\"\n[reporters.file]\nname = \"out\"\nformat = \"{{ .failure.ID }}{{ .nl }}\"\n[reporters.file.instances.b]\nname = \"other\"\n",
    );
    let args = [
        "send",
        "file",
        "--config",
        "w.toml",
        "--failure",
        "f.json",
        "--instance",
        "b",
    ];
    let (code, out, err) = run(&f, &args);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(std::fs::read_to_string(f.path("other")).unwrap(), "web.1\n");
}

#[test]
fn options_are_listed() {
    let f = Folder::new();
    let (code, out, _) = run(&f, &["options"]);
    assert_eq!(code, 0);
    for part in [
        "## Reporter slack",
        "`-slack.hook_url` | `SLACK_HOOK_URL` | `reporters.slack.hook_url` | `complainer_slack_hook_url`",
        "COMPLAINER_MASTERS",
        "`-mesos.",
    ] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    // Bars inside a cell are escaped: every row has as many cells as the head.
    for row in out.lines().filter(|l| l.starts_with('|')) {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 8, "{row}");
    }
    for args in [&["options", "--json"][..], &["options", "--format=json"]] {
        let (code, out, _) = run(&f, args);
        assert_eq!(code, 0);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        let slack = json["groups"]
            .as_array()
            .unwrap()
            .iter()
            .find(|g| g["name"] == "slack")
            .unwrap();
        let hook = slack["options"]
            .as_array()
            .unwrap()
            .iter()
            .find(|o| o["key"] == "hook_url")
            .unwrap();
        assert_eq!(hook["secret"], true);
        assert_eq!(hook["env"], "SLACK_HOOK_URL");
        assert_eq!(hook["default"], serde_json::Value::Null);
    }
}

#[test]
fn check_config_says_all_that_is_wrong_and_starts_nothing() {
    let f = Folder::new();
    f.write(
        "good.toml",
        "name = \"x\"\n[reporters.file]\nname = \"must-not-be-made\"\n",
    );
    let (code, out, err) = run(&f, &["check-config", "good.toml"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "good.toml is fine: name x, reporters file, uploader none here\n"
    );
    assert!(!f.path("must-not-be-made").exists());
    let (_, out, _) = run(&f, &["check-config", "--json", "good.toml"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&json["ok"], &json["reporters"][0]),
        (&true.into(), &"file".into())
    );

    f.write(
        "bad.toml",
        "nmae = 1\n[reporters.slack]\nhook_url = \"s3cret\"\nchanel = 1\n",
    );
    let (code, out, err) = run(&f, &["check-config", "bad.toml"]);
    assert_eq!((code, out.as_str()), (64, ""));
    assert_eq!(
        err,
        "notifierctl: bad.toml:1:1: unknown key \"nmae\"; did you mean \"name\"?\n\
         notifierctl: bad.toml:4:1: unknown key \"chanel\" in [reporters.slack]; did you mean \"channel\"?\n\
         notifierctl: bad.toml:3:1: reporters.slack.hook_url: *** is not a URL, such as https://host/path\n"
    );
    let (code, out, _) = run(&f, &["check-config", "bad.toml", "--json"]);
    assert_eq!(code, 64);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&json["ok"], json["errors"].as_array().unwrap().len()),
        (&false.into(), 3)
    );

    f.write(
        "template.toml",
        "masters = \"ftp://x\"\n[reporters.slack]\nformat = \"{{ .x\"\n",
    );
    let (code, _, err) = run(&f, &["check-config", "template.toml"]);
    assert_eq!(code, 64);
    assert!(
        err.contains("slack.format: ") && err.contains("parse") && err.lines().count() == 2,
        "{err}"
    );
    assert_eq!(run(&f, &["check-config", "/no/such.toml"]).0, 64);
}

#[test]
fn the_readmes_file_is_a_good_one() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (toml, _) = rest.split_once("```").unwrap();
    let f = Folder::new();
    let secret = f.write("slack", "https://hooks.slack.com/services/T0/B0/x\n");
    assert!(toml.contains("/run/secrets/slack"), "{toml}");
    f.write(
        "readme.toml",
        &toml.replace("/run/secrets/slack", secret.to_str().unwrap()),
    );
    let (code, out, err) = run(&f, &["check-config", "readme.toml"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn a_file_with_a_list_and_tables_of_reporters_is_told_apart() {
    let f = Folder::new();
    f.write(
        "both.toml",
        "reporters = \"file\"\n[reporters.file]\nname = \"/dev/stderr\"\n",
    );
    let (code, _, err) = run(&f, &["check-config", "both.toml"]);
    assert_eq!(code, 64);
    assert!(err.contains("leave out `reporters = …`"), "{err}");
    assert!(!err.contains("missing"), "{err}");
}

/// What only a backend knows is found as well, without asking anybody.
#[test]
fn what_a_backend_would_refuse_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let out = ctl()
            .args(["check-config", path.to_str().unwrap()])
            .output()
            .unwrap();
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    };
    for (text, says) in [
        (
            "[reporters.sentry]\ndsn = \"https://h.example/8\"\n",
            "sentry.dsn",
        ),
        (
            "[reporters.sentry]\ndsn = \"https://k@h.example/8\"\nlog_tail = \"2GiB\"\n",
            "sentry.log_tail",
        ),
        (
            "[reporters.jira]\nurl = \"https://j.example\"\nusername = \"u\"\npassword = \"p\"\nfields = \"Summary:x\"\n",
            "jira.fields",
        ),
        (
            "[reporters.jira]\nurl = \"https://j.example\"\nusername = \"u\"\n",
            "password is missing",
        ),
        (
            "uploader = \"s3goamz\"\n[reporters.file]\nname = \"/nowhere/x\"\n",
            "s3goamz",
        ),
        (
            "uploader = \"s3aws\"\n[uploaders.s3aws]\nbucket = \"b\"\nregion = \"eu-west-1\"\ntimeout = \"500h\"\n",
            "s3aws.timeout",
        ),
    ] {
        let (code, stderr) = check(text);
        assert_eq!(code, Some(64), "{text}: {stderr}");
        assert!(stderr.contains(says), "{text}: {stderr}");
    }
    let (code, stderr) = check("[reporters.sentry]\ndsn = \"https://k@h.example/8\"\n");
    assert_eq!(code, Some(0), "{stderr}");
}
