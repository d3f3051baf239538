//! The records that complainer 1.7.0 writes for the same failures.

use notifier_core::{FailureRecord, Links, Next, Report, jiff::Timestamp};
use notifier_file::FileReporter;

#[tokio::test]
async fn the_default_record_is_that_of_the_original() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.out");
    let file = FileReporter::builder()
        .name(path.to_str().unwrap())
        .build()
        .unwrap();
    let base = "http://127.0.0.1:5051/files/download?path=/var/lib/mesos/slaves/S1/frameworks/F/executors/uni.app.日本/runs/R";
    let failure = FailureRecord::new(
        "uni.app.日本",
        "uni \"q\" 's' 日本",
        "TASK_FAILED",
        Timestamp::UNIX_EPOCH,
    );
    let links = Links::new(format!("{base}/stdout"), format!("{base}/stderr"));
    for _ in 0..2 {
        let receipt = file
            .send(&Report::failure(failure.clone()).with_links(links.clone()))
            .await
            .unwrap();
        assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
    }
    let record = format!(
        "Task uni \"q\" 's' 日本 (uni.app.日本) died with status TASK_FAILED:\n  * {base}/stdout\n  * {base}/stderr\n"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), record.repeat(2));
}

#[test]
fn a_broken_template_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.out");
    let e = FileReporter::builder()
        .name(path.to_str().unwrap())
        .format("{{ .failure.Name ")
        .build()
        .unwrap_err();
    assert!(e.report().to_string().contains("format"), "{e}");
}
