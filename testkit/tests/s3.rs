//! The fake S3 takes what S3 takes, and refuses what it refuses.

use std::time::Duration;

use notifier_testkit::s3::{FakeS3, MOST_KEPT};

const MIB: usize = 1024 * 1024;

struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    fn of(s3: &FakeS3) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::new(),
            base: s3.url(),
        }
    }

    /// Status, tag and body.
    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, String, String) {
        self.send_with(method, path, body, &[]).await
    }

    /// The same with more headers.
    async fn send_with(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> (u16, String, String) {
        let method = method.parse().unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header("authorization", "AWS a:b")
            .header("content-length", body.len());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let tag = answer.headers().get("etag");
        let tag = tag.map(|t| t.to_str().unwrap().to_owned());
        (
            status,
            tag.unwrap_or_default(),
            answer.text().await.unwrap(),
        )
    }

    async fn start(&self, path: &str) -> String {
        let (status, _, body) = self
            .send("POST", &format!("{path}?uploads"), Vec::new())
            .await;
        assert_eq!(status, 200);
        let (_, rest) = body.split_once("<UploadId>").unwrap();
        let id = rest.split('<').next().unwrap();
        id.replace('/', "%2F").replace('+', "%2B")
    }
}

/// The list of an upload's parts.
fn list(parts: &[(usize, &str)]) -> Vec<u8> {
    let parts: String = parts
        .iter()
        .map(|(number, tag)| {
            let tag = tag.replace('"', "&quot;");
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
        })
        .collect();
    format!("<CompleteMultipartUpload xmlns=\"x\">{parts}</CompleteMultipartUpload>").into_bytes()
}

#[tokio::test]
async fn objects_are_taken_whole_and_given_back() {
    let s3 = FakeS3::start().await.unwrap();
    let client = Client::of(&s3);
    let (status, tag, _) = client.send("PUT", "/b/a%20b+c", b"hello".to_vec()).await;
    assert_eq!((status, tag.len()), (200, 34));
    let object = s3.object("/b/a b+c").unwrap();
    assert_eq!((object.size, object.parts), (5, 0));
    assert_eq!(object.head, b"hello");
    assert_eq!(
        object.sha256,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    let (status, _, body) = client.send("GET", "/b/a%20b+c", Vec::new()).await;
    assert_eq!((status, body.as_str()), (200, "hello"));
    assert_eq!(client.send("GET", "/b/x", Vec::new()).await.0, 404);
    let head = client.http.head(format!("{}/b/a%20b+c", s3.url()));
    let head = head.header("authorization", "AWS a:b").send().await;
    let head = head.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], "5");
    assert_eq!(head.text().await.unwrap(), "");
    assert_eq!(s3.wait_for(1, Duration::from_secs(9)).await.len(), 1);
}

#[tokio::test]
async fn parts_make_one_object() {
    let s3 = FakeS3::start().await.unwrap();
    let client = Client::of(&s3);
    let id = client.start("/b/k").await;
    let part = |n: usize| format!("/b/k?partNumber={n}&uploadId={id}");
    let (one, two) = (vec![b'1'; 5 * MIB], vec![b'2'; 10]);
    let (status, first, _) = client.send("PUT", &part(1), one.clone()).await;
    assert_eq!(status, 200);
    // Sent twice, it counts once.
    assert_eq!(client.send("PUT", &part(2), two.clone()).await.0, 200);
    let (status, second, _) = client.send("PUT", &part(2), two.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(client.send("PUT", &part(4), two.clone()).await.0, 400);
    assert_eq!(s3.open_uploads(), 1);
    let whole = format!("/b/k?uploadId={id}");
    for (wrong, status, code) in [
        (Vec::new(), 400, "MalformedXML"),
        (list(&[]), 400, "MalformedXML"),
        (list(&[(2, &second), (1, &first)]), 400, "InvalidPartOrder"),
        (list(&[(1, &first), (1, &first)]), 400, "InvalidPartOrder"),
        (list(&[(1, &second), (2, &second)]), 400, "InvalidPart"),
        (list(&[(0, &first)]), 400, "InvalidPart"),
        (
            list(&[(1, &first), (2, &second), (3, &second)]),
            400,
            "InvalidPart",
        ),
        (list(&[(2, &second)]), 501, "NotImplemented"),
    ] {
        let (had, _, body) = client.send("POST", &whole, wrong).await;
        assert_eq!(had, status, "{body}");
        assert!(body.contains(code), "{code}: {body}");
    }
    assert_eq!(s3.open_uploads(), 1);
    let all = list(&[(1, &first), (2, &second)]);
    assert_eq!(client.send("POST", &whole, all.clone()).await.0, 200);
    let object = s3.object("/b/k").unwrap();
    assert_eq!((object.size, object.parts), (5 * MIB as u64 + 10, 2));
    assert_eq!(object.head.len(), MOST_KEPT);
    client.send("PUT", "/b/whole", [one, two].concat()).await;
    assert_eq!(object.sha256, s3.object("/b/whole").unwrap().sha256);
    assert_eq!(client.send("POST", &whole, all).await.0, 404);
    assert_eq!((s3.started_uploads(), s3.open_uploads()), (1, 0));
}

#[tokio::test]
async fn what_s3_refuses_is_refused() {
    let s3 = FakeS3::start().await.unwrap();
    let client = Client::of(&s3);
    let id = client.start("/b/k").await;
    let mut tags = Vec::new();
    for n in 1..=2 {
        let path = format!("/b/k?partNumber={n}&uploadId={id}");
        tags.push(client.send("PUT", &path, vec![0; 10]).await.1);
    }
    let both = list(&[(1, &tags[0]), (2, &tags[1])]);
    let (status, _, body) = client
        .send("POST", &format!("/b/k?uploadId={id}"), both)
        .await;
    assert_eq!(status, 400);
    assert!(body.contains("EntityTooSmall"), "{body}");
    let (status, ..) = client
        .send("DELETE", &format!("/b/k?uploadId={id}"), Vec::new())
        .await;
    assert_eq!((status, s3.open_uploads()), (204, 0));

    let put = client.http.put(format!("{}/b/k", s3.url()));
    let answer = put.body("x").send().await.unwrap();
    assert_eq!(answer.status(), 403, "without a signature");
    let put = client.http.put(format!("{}/b/k", s3.url()));
    let answer = put
        .header("authorization", "AWS4-HMAC-SHA256 x")
        .header("x-amz-content-sha256", "00")
        .body("x");
    assert_eq!(answer.send().await.unwrap().status(), 400, "not its hash");
    for (md5, code) in [
        ("XUFAKrxLKna5cZ2REBfFkg==", "BadDigest"),
        ("XUFAKrxLKna5", "InvalidDigest"),
        ("no", "InvalidDigest"),
    ] {
        let headers = [("content-md5", md5)];
        let (status, _, body) = client
            .send_with("PUT", "/b/k", b"hullo".to_vec(), &headers)
            .await;
        assert_eq!(status, 400, "{md5}");
        assert!(body.contains(code), "{code}: {body}");
    }
    // The bucket's name is no part of the key.
    let bucket = "b".repeat(200);
    let long = format!("/{bucket}/{}", "k".repeat(1025));
    let (status, _, body) = client.send("PUT", &long, Vec::new()).await;
    assert_eq!(status, 400);
    assert!(body.contains("KeyTooLongError"), "{body}");
    assert!(s3.objects().is_empty());
    let fits = format!("/{bucket}/{}", "k".repeat(1024));
    assert_eq!(client.send("PUT", &fits, Vec::new()).await.0, 200);
    let headers = [("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")];
    let (status, ..) = client
        .send_with("PUT", "/b/k", b"hello".to_vec(), &headers)
        .await;
    assert_eq!(status, 200);
}
