use notifier_testkit::mesos::TaskSpec;

use crate::stage::{Stage, Values, flags};

#[tokio::test(flavor = "multi_thread")]
async fn by_flags_and_by_environment() {
    let stage = Stage::new().await;
    let path = stage.folder.path().join("failures.log");
    let values = Values::new([
        ("file.name", "FILE_NAME", path.display().to_string()),
        (
            "file.format",
            "FILE_FORMAT",
            ">> {{ .failure.ID }} {{ config \"mark\" }}{{ .nl }}".into(),
        ),
    ]);
    let by_flags = (values.flags(&["-reporters=file"]), vec![]);
    let by_environment = (flags(&["-reporters=file"]), values.env());
    let mut written = String::new();
    for (n, (flags, env)) in [by_flags, by_environment].iter().enumerate() {
        let id = format!("web.{n}");
        let watcher = stage.watch(flags, env).await;
        stage.die(TaskSpec::new(&id).label("complainer_file_mark", "M"));
        written += &format!(">> {id} M\n");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while std::fs::read_to_string(&path).unwrap_or_default() != written {
            assert!(std::time::Instant::now() < until, "{}", watcher.stderr());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(watcher.stop().await.status.success());
    }
}
