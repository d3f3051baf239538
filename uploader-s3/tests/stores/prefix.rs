//! What keys are made of: times as messages show them, and no secret.

use std::sync::Arc;

use notifier_core::{
    BackendSettings, FailureRecord, Origin, Uploader, UploaderFactory,
    jiff::tz::{TimeZone, offset},
};
use notifier_http::HttpClient;
use notifier_testkit::s3::FakeS3;
use uploader_s3::{S3AwsFactory, S3GoamzFactory};

use crate::common::{ACCESS_KEY, Log, SECRET_KEY, failure, key, stdout};

fn built(factory: &dyn UploaderFactory, store: &FakeS3, prefix: Option<&str>) -> Arc<dyn Uploader> {
    let mut s = BackendSettings::new(factory.options());
    let endpoint = match factory.options().name {
        uploader_s3::S3AWS => store.url(),
        _ => format!("{}/${{bucket}}", store.url()),
    };
    for (key, value) in [
        ("access_key", ACCESS_KEY),
        ("secret_key", SECRET_KEY),
        ("bucket", "logs"),
        ("endpoint", &endpoint),
    ]
    .into_iter()
    .chain(prefix.map(|p| ("prefix", p)))
    {
        s.set(Origin::Flag, key, value).unwrap();
    }
    factory.build(&s).unwrap()
}

async fn stored(uploader: &dyn Uploader, failure: &FailureRecord) -> (String, String) {
    let object = uploader.upload(failure, &stdout(), &Log::of(10)).await;
    let object = object.unwrap();
    (
        key(&object).to_owned(),
        uploader.link(&object).await.unwrap(),
    )
}

#[tokio::test]
async fn a_secret_of_a_label_stands_in_no_key() {
    let store = FakeS3::start().await.unwrap();
    let failure = failure("job hunter22xyz").with_label("DB_PASSWORD", "hunter22xyz");
    let prefix = "{{ .failure.Name }}/{{ .failure.ID }}/{{ .failure.Labels }}";
    let http = HttpClient::new().unwrap();
    let (aws, goamz) = (S3AwsFactory::new(http.clone()), S3GoamzFactory::new(http));
    for factory in [&aws as &dyn UploaderFactory, &goamz] {
        let uploader = built(factory, &store, Some(prefix));
        let (key, link) = stored(&*uploader, &failure).await;
        assert_eq!(key, "job ***/job ***.1/map[DB_PASSWORD:***]/stdout");
        assert!(!link.contains("hunter22xyz"), "{link}");
        let (key, _) = stored(&*built(factory, &store, None), &failure).await;
        assert_eq!(
            key,
            "complainer/2026-11-21/job ***/2026-11-21T10:20:30.456-job ***.1/stdout"
        );
    }
}

#[tokio::test]
async fn times_are_those_of_messages() {
    let store = FakeS3::start().await.unwrap();
    let prefix = "{{ .failure.Finished.Format \"2006-01-02T15\" }}/{{ .failure.Finished.UTC.Format \"2006-01-02T15\" }}";
    let http = HttpClient::new().unwrap();
    let east = TimeZone::fixed(offset(14));
    let (aws, goamz) = (S3AwsFactory::new(http.clone()), S3GoamzFactory::new(http));
    let (aws_east, goamz_east) = (aws.clone().zone(east.clone()), goamz.clone().zone(east));
    for (factory, expected) in [
        (&aws as &dyn UploaderFactory, "2026-11-21T10"),
        (&goamz, "2026-11-21T10"),
        (&aws_east, "2026-11-22T00"),
        (&goamz_east, "2026-11-22T00"),
    ] {
        let uploader = built(factory, &store, Some(prefix));
        let (key, _) = stored(&*uploader, &failure("web")).await;
        assert_eq!(key, format!("{expected}/2026-11-21T10/stdout"));
    }
}
