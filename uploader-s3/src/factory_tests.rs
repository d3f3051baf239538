use notifier_core::{ErrorKind, Origin};

use super::*;

fn settings(group: OptionGroup, values: &[(&str, &str)]) -> BackendSettings {
    let mut s = BackendSettings::new(group);
    for (key, value) in values {
        s.set(Origin::Flag, key, value).unwrap();
    }
    s
}

fn http() -> HttpClient {
    HttpClient::new().unwrap()
}

fn aws(values: &[(&str, &str)]) -> Result<Arc<dyn Uploader>> {
    S3AwsFactory::new(http()).build(&settings(S3AWS_OPTIONS, values))
}

fn goamz(values: &[(&str, &str)]) -> Result<Arc<dyn Uploader>> {
    S3GoamzFactory::new(http()).build(&settings(S3GOAMZ_OPTIONS, values))
}

const KEYS: [(&str, &str); 2] = [("access_key", "AKIAPEER"), ("secret_key", "s3cretvalue")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&KEYS[..], more].concat()
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let full = [("region", "eu-west-1"), ("bucket", "logs")];
    for (more, told) in [
        (
            vec![("region", "eu-west-1")],
            "bucket is missing (set -s3aws.bucket or S3_BUCKET)",
        ),
        (
            vec![("bucket", "logs")],
            "region is missing (set -s3aws.region or S3_REGION)",
        ),
        (
            vec![("bucket", "lo/gs"), full[0]],
            "s3aws.bucket: \"lo/gs\" is not a bucket's name",
        ),
        (vec![full[1], ("region", "eu west")], "s3aws.region"),
        (
            vec![full[0], full[1], ("timeout", "169h")],
            "s3aws.timeout: 169h is too long: a link signed with version 4 works for at most 168h (7 days)",
        ),
        (vec![full[0], full[1], ("timeout", "0")], "at least 1s"),
        (
            vec![full[0], full[1], ("prefix", "{{ .failure")],
            "s3aws.prefix",
        ),
        (
            vec![full[0], full[1], ("sse_kms_key_id", "k")],
            "needs -s3aws.sse=aws:kms",
        ),
        (
            vec![full[0], full[1], ("storage_class", "A B")],
            "x-amz-storage-class",
        ),
        (
            vec![full[0], full[1], ("endpoint", "http://u:p4ss@h")],
            "must not hold a user or password",
        ),
        (
            vec![full[0], full[1], ("endpoint", "http://h/?q=1")],
            "must end with its path",
        ),
        (
            vec![
                full[0],
                full[1],
                ("endpoint", "http://1.2.3.4"),
                ("path_style", "false"),
            ],
            "set -s3aws.path_style",
        ),
    ] {
        let e = aws(&with(&more)).unwrap_err();
        assert!(
            matches!(e.kind(), ErrorKind::Config | ErrorKind::Template),
            "{e}"
        );
        let shown = format!("{e:?} {}", e.report());
        assert!(shown.contains(told), "{told}: {shown}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("p4ss"),
            "{shown}"
        );
    }
    let e = aws(&[("access_key", "A"), full[0], full[1]]).unwrap_err();
    assert!(e.to_string().contains("secret_key is missing"), "{e}");
    let e = aws(&[("session_token", "t"), full[0], full[1]]).unwrap_err();
    assert!(e.to_string().contains("access_key is missing"), "{e}");
    for (without, told) in [
        ("access_key", "S3_ACCESS_KEY"),
        ("secret_key", "S3_SECRET_KEY"),
        ("endpoint", "S3_ENDPOINT"),
        ("bucket", "S3_BUCKET"),
    ] {
        let all = with(&[("endpoint", "http://h"), ("bucket", "b")]);
        let some: Vec<_> = all.into_iter().filter(|(k, _)| *k != without).collect();
        let e = goamz(&some).unwrap_err();
        assert!(e.to_string().contains(told), "{e}");
    }
    let e = goamz(&with(&[("endpoint", "h.example"), ("bucket", "b")])).unwrap_err();
    assert!(e.to_string().contains("s3goamz.endpoint"), "{e}");
}

#[test]
fn buckets_have_their_addresses() {
    let at = |values: &[(&str, &str)]| {
        let s = settings(S3AWS_OPTIONS, values).instance("default");
        address(&s, s.text("bucket"), s.text("region")).unwrap()
    };
    let (eu, logs) = (("region", "eu-west-1"), ("bucket", "logs"));
    for (values, address) in [
        (
            vec![eu, logs],
            "https://${bucket}.s3.eu-west-1.amazonaws.com",
        ),
        (
            vec![eu, ("bucket", "my.logs")],
            "https://s3.eu-west-1.amazonaws.com/${bucket}",
        ),
        (
            vec![("region", "cn-north-1"), logs],
            "https://${bucket}.s3.cn-north-1.amazonaws.com.cn",
        ),
        (
            vec![eu, logs, ("path_style", "true")],
            "https://s3.eu-west-1.amazonaws.com/${bucket}",
        ),
        (
            vec![eu, logs, ("endpoint", "http://h:9000/")],
            "http://h:9000/${bucket}",
        ),
        (
            vec![
                eu,
                logs,
                ("endpoint", "http://h:9000/s3"),
                ("path_style", "false"),
            ],
            "http://${bucket}.h:9000/s3",
        ),
    ] {
        assert_eq!(at(&values), address);
    }
}

#[test]
fn debug_shows_no_secret() {
    let a = aws(&with(&[
        ("bucket", "logs"),
        ("region", "eu-west-1"),
        ("session_token", "t0ken-value"),
    ]))
    .unwrap();
    let b = goamz(&with(&[
        ("bucket", "logs"),
        ("endpoint", "http://${bucket}.h.example"),
    ]))
    .unwrap();
    let shown = format!("{a:?} {b:?}");
    for secret in ["s3cret", "t0ken", "AKIAPEER"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("logs"), "{shown}");
}

#[test]
fn the_most_that_is_kept_is_a_size() {
    let most = |value: Option<&str>| {
        let all = with(&[("endpoint", "http://h"), ("bucket", "b")]);
        let size = value.map(|v| ("max_size", v));
        let all: Vec<_> = all.into_iter().chain(size).collect();
        format!("{:?}", goamz(&all).unwrap())
    };
    for (value, bytes) in [
        (None, 64 << 20),
        (Some("1MiB"), 1 << 20),
        (Some("1000"), 1000),
        (Some("0"), u64::MAX),
    ] {
        let shown = most(value);
        assert!(shown.contains(&format!("most: {bytes},")), "{shown}");
    }
}

#[test]
fn links_of_version_2_have_no_limit_of_a_week() {
    let ok = goamz(&with(&[
        ("bucket", "b"),
        ("endpoint", "http://h"),
        ("timeout", "9000h"),
    ]));
    assert!(ok.is_ok());
}

#[test]
fn region_comes_from_the_environment_too() {
    let values = with(&[("bucket", "logs")]);
    let s = settings(S3AWS_OPTIONS, &values);
    let factory = S3AwsFactory::new(http()).environment(Environment::new(|n| {
        (n == "AWS_REGION").then(|| "eu-north-1".to_owned())
    }));
    let shown = format!("{:?}", factory.build(&s).unwrap());
    assert!(shown.contains("eu-north-1"), "{shown}");
}
