use notifier_testkit::{http::Request, mesos::TaskSpec};

use crate::stage::{Stage, Values, flags};

fn is_log(r: &Request) -> bool {
    r.method == "PUT"
}

fn is_slack(r: &Request) -> bool {
    r.path().contains("/services/")
}

fn slack(stage: &Stage) -> Vec<String> {
    let hook = format!("-slack.hook_url={}", stage.at("/services/x"));
    flags(&[
        "-reporters=slack",
        &hook,
        "-slack.format={{ .stdoutURL }} {{ .stderrURL }}",
    ])
}

fn values(uploader: &'static str, stage: &Stage) -> Values {
    match uploader {
        "s3aws" => Values::new([
            (
                "s3aws.access_key",
                "S3_ACCESS_KEY",
                "AKEYofTheWatcher".into(),
            ),
            (
                "s3aws.secret_key",
                "S3_SECRET_KEY",
                "s3cr3tOfTheWatcher".into(),
            ),
            ("s3aws.region", "S3_REGION", "eu-central-1".into()),
            ("s3aws.bucket", "S3_BUCKET", "logs".into()),
            ("s3aws.prefix", "S3_PREFIX", "x/{{ .failure.Name }}".into()),
            ("s3aws.timeout", "S3_TIMEOUT", "72h".into()),
        ]),
        _ => Values::new([
            (
                "s3goamz.access_key",
                "S3_ACCESS_KEY",
                "AKEYofTheWatcher".into(),
            ),
            (
                "s3goamz.secret_key",
                "S3_SECRET_KEY",
                "s3cr3tOfTheWatcher".into(),
            ),
            (
                "s3goamz.endpoint",
                "S3_ENDPOINT",
                stage.at("/${bucket}.store"),
            ),
            ("s3goamz.bucket", "S3_BUCKET", "logs".into()),
            (
                "s3goamz.prefix",
                "S3_PREFIX",
                "x/{{ .failure.Name }}".into(),
            ),
            ("s3goamz.timeout", "S3_TIMEOUT", "72h".into()),
        ]),
    }
}

/// Stores two logs and tells of links to them.
async fn stores(uploader: &'static str, more: &[String], path: &str, query: &[&str]) {
    let stage = Stage::new().await;
    let values = values(uploader, &stage);
    let more: Vec<String> = more
        .iter()
        .map(|m| m.replace("@SINK@", &stage.at("")))
        .collect();
    let mut by_flags = slack(&stage);
    by_flags.push(format!("-uploader={uploader}"));
    by_flags.extend(values.flags(&[]));
    by_flags.extend(more.clone());
    let mut by_environment = slack(&stage);
    by_environment.extend(more);
    let mut env = values.env();
    env.push(("COMPLAINER_UPLOADER", uploader.to_owned()));
    for (n, (flags, env)) in [(by_flags, vec![]), (by_environment, env)]
        .iter()
        .enumerate()
    {
        let id = format!("web.{n}");
        let task = TaskSpec::new(&id).name("web app");
        let told = stage.once(flags, env, task, 1, is_slack).await;
        let mut logs: Vec<Request> = stage.sink.requests().into_iter().filter(is_log).collect();
        logs.sort_by_key(|r| r.path().to_owned());
        let stored: Vec<(&str, String)> = logs.iter().map(|r| (r.path(), r.text())).collect();
        assert_eq!(
            stored,
            [
                (
                    format!("{path}/x/web%20app/stderr").as_str(),
                    format!("stderr of {id}\n")
                ),
                (
                    format!("{path}/x/web%20app/stdout").as_str(),
                    format!("stdout of {id}\n")
                ),
            ]
        );
        for r in &logs {
            assert_eq!(r.header("content-type"), Some("text/plain"));
        }
        let text = told[0].json().unwrap()["text"]
            .as_str()
            .unwrap()
            .replace("&amp;", "&");
        for (link, log) in text.split(' ').zip(["stdout", "stderr"]) {
            let (address, signed) = link.split_once('?').unwrap();
            assert_eq!(address, stage.at(&format!("{path}/x/web%20app/{log}")));
            for name in query {
                assert!(signed.contains(name), "{name}: {signed}");
            }
            assert!(!signed.contains("s3cr3t"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3aws_by_flags_and_by_environment() {
    let more = flags(&["-s3aws.endpoint=@SINK@", "-s3aws.path_style"]);
    let signed = [
        "X-Amz-Expires=259200",
        "AKEYofTheWatcher%2F",
        "%2Feu-central-1%2Fs3%2F",
    ];
    stores("s3aws", &more, "/logs", &signed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3goamz_by_flags_and_by_environment() {
    let signed = ["AWSAccessKeyId=AKEYofTheWatcher", "Expires=", "Signature="];
    stores("s3goamz", &[], "/logs.store", &signed).await;
}
