//! What is sent, and how links look.

use std::sync::Arc;

use crate::common::{ACCESS_KEY, Log, SECRET_KEY, failure, key, stdout, v2, v4};
use notifier_core::{Error, Uploader};
use notifier_testkit::{
    http::{Action, Reply, Request, ScriptedServer},
    s3::FakeS3,
};

/// More than one part.
pub(crate) const BIG: u64 = 6 * 1024 * 1024;

pub(crate) async fn put(uploader: &Arc<dyn Uploader>, size: u64) -> Result<String, Error> {
    let object = uploader
        .upload(&failure("web"), &stdout(), &Log::of(size))
        .await?;
    Ok(key(&object).to_owned())
}

pub(crate) fn xml(status: u16, code: &str) -> Reply {
    Reply::new(status).body(format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>so it is</Message><Region>eu-west-3</Region></Error>"
    ))
}

/// A store that takes all parts.
pub(crate) fn takes(request: &Request) -> Action {
    let query = request.query();
    match request.method.as_str() {
        "POST" if query == "uploads" => Reply::new(200)
            .body("<InitiateMultipartUploadResult><UploadId>id/+=&amp;</UploadId></InitiateMultipartUploadResult>")
            .into(),
        "POST" => Reply::new(200)
            .body("\n \n<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
            .into(),
        "DELETE" => Action::status(204),
        _ => Reply::new(200).header("ETag", "\"<a>\"").into(),
    }
}

pub(crate) async fn server() -> ScriptedServer {
    ScriptedServer::with_service(takes).await.unwrap()
}

pub(crate) fn both(url: &str) -> [Arc<dyn Uploader>; 2] {
    [v4(url, &[]), v2(url, &[])]
}

#[tokio::test]
async fn a_small_log_is_one_request() {
    let s = server().await;
    for (nth, uploader) in both(&s.url("")).into_iter().enumerate() {
        for size in [0, 1000, 300_000] {
            s.clear_requests();
            let key = put(&uploader, size).await.unwrap();
            assert_eq!(
                key,
                "complainer/2026-11-21/web/2026-11-21T10:20:30.456-web.1/stdout"
            );
            let requests = s.requests();
            assert_eq!(requests.len(), 1);
            let r = &requests[0];
            let time = if nth == 0 {
                "T10%3A20%3A30.456"
            } else {
                "T10:20:30.456"
            };
            assert_eq!(
                r.target,
                format!("/logs/complainer/2026-11-21/web/2026-11-21{time}-web.1/stdout")
            );
            assert_eq!(r.method, "PUT");
            assert_eq!(r.header("content-type"), Some("text/plain"));
            assert_eq!(r.header("x-amz-acl"), Some("private"));
            assert_eq!(r.header("content-length"), Some(size.to_string().as_str()));
            assert_eq!(r.header("content-encoding"), None);
            assert_eq!(r.body, Log::of(size).bytes());
            let signed = r.header("authorization").unwrap();
            if nth == 0 {
                assert!(
                    signed.starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/")),
                    "{signed}"
                );
                assert!(
                    signed.contains(
                        "SignedHeaders=content-type;host;x-amz-acl;x-amz-content-sha256;x-amz-date,"
                    ),
                    "{signed}"
                );
            } else {
                assert!(
                    signed.starts_with(&format!("AWS {ACCESS_KEY}:")),
                    "{signed}"
                );
                assert!(r.header("content-md5").is_some() && r.header("date").is_some());
            }
        }
    }
}

#[tokio::test]
async fn options_are_sent_along() {
    let s = server().await;
    let uploader = v4(
        &s.url(""),
        &[
            ("sse", "aws:kms"),
            ("sse_kms_key_id", "arn:aws:kms:x"),
            ("storage_class", "STANDARD_IA"),
            ("session_token", "t0ken"),
            ("gzip", "true"),
            ("prefix", "a//{{ .failure.Name }}/../b c"),
        ],
    );
    let key = put(&uploader, 100_000).await.unwrap();
    assert_eq!(key, "a/b c/stdout");
    let r = &s.requests()[0];
    assert_eq!(r.target, "/logs/a/b%20c/stdout");
    assert_eq!(r.header("content-encoding"), Some("gzip"));
    let mut plain = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(r.body.as_slice()),
        &mut plain,
    )
    .unwrap();
    assert_eq!(plain, Log::of(100_000).bytes());
    let signed = r.header("authorization").unwrap();
    for (name, value) in [
        ("x-amz-server-side-encryption", "aws:kms"),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            "arn:aws:kms:x",
        ),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-security-token", "t0ken"),
    ] {
        assert_eq!(r.header(name), Some(value));
        assert!(signed.contains(name), "{signed}");
    }
}

#[tokio::test]
async fn a_big_log_comes_in_parts() {
    let s = FakeS3::start().await.unwrap();
    for uploader in both(&s.url()) {
        let uploader = &uploader;
        let key = put(uploader, 2 * BIG).await.unwrap();
        let object = s.object(&format!("/logs/{key}")).unwrap();
        assert_eq!(object.parts, 3);
        assert_eq!(object.size, 2 * BIG);
        assert_eq!(object.header("content-type"), Some("text/plain"));
        assert_eq!(object.header("x-amz-acl"), Some("private"));
        let whole = sha256(&Log::of(2 * BIG).bytes());
        assert_eq!(object.sha256, whole);
    }
    assert_eq!((s.started_uploads(), s.open_uploads()), (2, 0));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[tokio::test]
async fn many_at_once_take_turns() {
    let s = FakeS3::start().await.unwrap();
    let uploader = v2(&s.url(), &[("prefix", "{{ .failure.Name }}")]);
    let uploads = (0..40).map(|n| {
        let uploader = Arc::clone(&uploader);
        tokio::spawn(async move {
            let size = if n % 2 == 0 { 6 * 1024 * 1024 } else { 300_000 };
            let log = Log::of(size);
            uploader
                .upload(&failure(&format!("t{n}")), &stdout(), &log)
                .await
                .map(drop)
        })
    });
    for upload in uploads.collect::<Vec<_>>() {
        upload.await.unwrap().unwrap();
    }
    assert_eq!(s.objects().len(), 40);
    assert_eq!(s.open_uploads(), 0);
}

#[tokio::test]
async fn links_are_signed_each_time_and_notes_hold_no_secret() {
    let s = server().await;
    for (uploader, other) in [
        (
            v4(&s.url(""), &[("session_token", "t0ken-value")]),
            v2(&s.url(""), &[]),
        ),
        (v2(&s.url(""), &[("timeout", "72h")]), v4(&s.url(""), &[])),
    ] {
        let object = uploader
            .upload(&failure("a b+ü%2f'"), &stdout(), &Log::of(1))
            .await
            .unwrap();
        let note = serde_json::to_string(&object).unwrap();
        for secret in [ACCESS_KEY, SECRET_KEY, "ignature", "t0ken"] {
            assert!(!note.contains(secret), "{note}");
        }
        let link = uploader.link(&object).await.unwrap();
        assert!(
            link.starts_with(&s.url("/logs/complainer/2026-11-21/a%20b%2B%C3%BC%252f%27/")),
            "{link}"
        );
        assert!(!link.contains(SECRET_KEY));
        assert!(link.contains("/stdout?"), "{link}");
        // Notes of the other uploader, and none at all.
        assert!(other.link(&object).await.is_err());
        let e = uploader
            .link(&notifier_core::ObjectRef("http://a/stdout".into()))
            .await
            .unwrap_err();
        assert!(e.to_string().contains("another uploader"), "{e}");
    }
    let v2 = v2(&s.url(""), &[("timeout", "72h")]);
    let object = v2
        .upload(&failure("web"), &stdout(), &Log::of(1))
        .await
        .unwrap();
    let link = v2.link(&object).await.unwrap();
    let (path, query) = link.split_once('?').unwrap();
    assert_eq!(
        path,
        s.url("/logs/complainer/2026-11-21/web/2026-11-21T10:20:30.456-web.1/stdout")
    );
    let names: Vec<_> = query
        .split('&')
        .filter_map(|p| p.split('=').next())
        .collect();
    assert_eq!(names, ["AWSAccessKeyId", "Expires", "Signature"]);
}

#[tokio::test]
async fn the_bucket_is_in_the_host_where_the_endpoint_has_it_there() {
    let uploader = v4("http://s3.example:9000", &[("path_style", "false")]);
    let object = notifier_core::ObjectRef(
        serde_json::json!({"uploader": "s3aws", "bucket": "logs", "key": "a/stdout"}),
    );
    let link = uploader.link(&object).await.unwrap();
    assert!(
        link.starts_with("http://logs.s3.example:9000/a/stdout?X-Amz-Algorithm="),
        "{link}"
    );
}

#[tokio::test]
async fn a_long_log_is_cut_and_says_so() {
    let s = server().await;
    let uploader = v4(&s.url(""), &[("max_size", "1000")]);
    put(&uploader, 5000).await.unwrap();
    let body = s.requests()[0].body.clone();
    let mark = b"\n[... 4000 bytes are left out here ...]\n";
    let expected = [&Log::slice(0, 500)[..], mark, &Log::slice(4500, 5000)].concat();
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_wrong_template_and_a_long_key_are_told() {
    let s = server().await;
    let uploader = v4(&s.url(""), &[("prefix", "{{ .failure.Nope }}")]);
    let e = put(&uploader, 1).await.unwrap_err();
    assert!(e.to_string().contains("s3aws.prefix"), "{e}");
    let uploader = v4(&s.url(""), &[("prefix", "{{ .failure.Name }}")]);
    let long = failure(&"x".repeat(2000));
    let e = uploader
        .upload(&long, &stdout(), &Log::of(1))
        .await
        .unwrap_err();
    assert!(e.to_string().contains("1024 are allowed"), "{e}");
    assert!(s.requests().is_empty());
}

#[tokio::test]
async fn check_asks_for_nothing_that_who_stores_need_not_have() {
    let s = server().await;
    for uploader in both(&s.url("")) {
        s.clear_requests();
        uploader.check().await.unwrap();
        assert_eq!(s.requests()[0].target, "/logs/?location");
        s.next(xml(403, "AccessDenied"));
        uploader.check().await.unwrap();
        s.next(xml(403, "SignatureDoesNotMatch"));
        uploader.check().await.unwrap_err();
        s.next(xml(404, "NoSuchBucket"));
        uploader.check().await.unwrap_err();
    }
}
