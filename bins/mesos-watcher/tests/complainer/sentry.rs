use std::io::Read as _;

use notifier_testkit::{http::Request, mesos::TaskSpec};
use serde_json::Value;

use crate::stage::{Stage, flags};

fn is_sentry(r: &Request) -> bool {
    r.path().starts_with("/api/")
}

/// The event of an envelope.
fn event(r: &Request) -> Value {
    let mut text = String::new();
    match r.header("content-encoding") {
        Some("gzip") => {
            let mut body = flate2::read::GzDecoder::new(r.body.as_slice());
            body.read_to_string(&mut text).unwrap();
        }
        _ => text = r.text(),
    }
    serde_json::from_str(text.lines().nth(2).unwrap()).unwrap()
}

fn dsn(stage: &Stage, key: &str, project: u32) -> String {
    stage
        .at(&format!("/{project}"))
        .replace("http://", &format!("http://{key}:s3cr3tOf{key}@"))
}

fn check(r: &Request, key: &str, project: u32) {
    assert_eq!(r.path(), format!("/api/{project}/envelope/"));
    let auth = r.header("x-sentry-auth").unwrap();
    assert!(auth.contains(&format!("sentry_key={key}")), "{auth}");
    let event = event(r);
    let message = event["logentry"]["formatted"].as_str().unwrap();
    assert_eq!(message, "Task web died with status TASK_FAILED");
    assert_eq!(event["tags"]["task_state"], "TASK_FAILED");
    assert_eq!(event["server_name"], "127.0.0.1");
    let extra = event["extra"].as_object().unwrap();
    for key in [
        "task.id",
        "timings.lifetime",
        "timings.started",
        "timings.finished",
        "logs.stdout",
        "logs.stderr",
        "framework.name",
        "container.image",
        "labels.team",
    ] {
        assert!(extra.contains_key(key), "{key}: {extra:?}");
    }
    assert_eq!(extra["labels.team"], "core");
    let all = event.to_string();
    assert!(!all.contains("s3cr3tOf"), "{all}");
}

fn task(n: usize) -> TaskSpec {
    TaskSpec::new(format!("web.{n}"))
        .name("web")
        .image("shop/web:4.2")
        .label("team", "core")
}

#[tokio::test(flavor = "multi_thread")]
async fn by_flag_and_by_environment() {
    let stage = Stage::new().await;
    let dsn = dsn(&stage, "publickey", 8);
    let flag = format!("-sentry.dsn={dsn}");
    let by_flag = (flags(&["-reporters=sentry", &flag]), vec![]);
    let by_environment = (flags(&["-reporters=sentry"]), vec![("SENTRY_DSN", dsn)]);
    for (n, (flags, env)) in [by_flag, by_environment].iter().enumerate() {
        let told = stage.once(flags, env, task(n), 1, is_sentry).await;
        check(&told[0], "publickey", 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_label() {
    let stage = Stage::new().await;
    let flag = format!("-sentry.dsn={}", dsn(&stage, "publickey", 8));
    let task = task(1)
        .label("complainer_sentry_instances", "default,ext")
        .label(
            "complainer_sentry_instance_ext_dsn",
            dsn(&stage, "otherkey", 77),
        );
    let flags = flags(&["-reporters=sentry", &flag]);
    let mut told = stage.once(&flags, &[], task, 2, is_sentry).await;
    told.sort_by_key(|r| r.path().to_owned());
    check(&told[0], "otherkey", 77);
    check(&told[1], "publickey", 8);
}
