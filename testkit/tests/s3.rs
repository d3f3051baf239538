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
        let method = method.parse().unwrap();
        let answer = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header("authorization", "AWS a:b")
            .header("content-length", body.len())
            .body(body)
            .send()
            .await
            .unwrap();
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
    assert_eq!(s3.wait_for(1, Duration::from_secs(9)).await.len(), 1);
}

#[tokio::test]
async fn parts_make_one_object() {
    let s3 = FakeS3::start().await.unwrap();
    let client = Client::of(&s3);
    let id = client.start("/b/k").await;
    let part = |n: usize| format!("/b/k?partNumber={n}&uploadId={id}");
    let (one, two) = (vec![b'1'; 5 * MIB], vec![b'2'; 10]);
    assert_eq!(client.send("PUT", &part(1), one.clone()).await.0, 200);
    // Sent twice, it counts once.
    assert_eq!(client.send("PUT", &part(2), two.clone()).await.0, 200);
    assert_eq!(client.send("PUT", &part(2), two.clone()).await.0, 200);
    assert_eq!(client.send("PUT", &part(4), two.clone()).await.0, 400);
    assert_eq!(s3.open_uploads(), 1);
    let whole = format!("/b/k?uploadId={id}");
    assert_eq!(client.send("POST", &whole, Vec::new()).await.0, 200);
    let object = s3.object("/b/k").unwrap();
    assert_eq!((object.size, object.parts), (5 * MIB as u64 + 10, 2));
    assert_eq!(object.head.len(), MOST_KEPT);
    client.send("PUT", "/b/whole", [one, two].concat()).await;
    assert_eq!(object.sha256, s3.object("/b/whole").unwrap().sha256);
    assert_eq!(client.send("POST", &whole, Vec::new()).await.0, 404);
    assert_eq!((s3.started_uploads(), s3.open_uploads()), (1, 0));
}

#[tokio::test]
async fn what_s3_refuses_is_refused() {
    let s3 = FakeS3::start().await.unwrap();
    let client = Client::of(&s3);
    let id = client.start("/b/k").await;
    for n in 1..=2 {
        let path = format!("/b/k?partNumber={n}&uploadId={id}");
        client.send("PUT", &path, vec![0; 10]).await;
    }
    let (status, _, body) = client
        .send("POST", &format!("/b/k?uploadId={id}"), Vec::new())
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
    assert!(s3.objects().is_empty());
}
