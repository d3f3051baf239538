//! Against `s3s-fs`, a store that checks both versions of signatures and is not ours.

use std::process::Command;

use notifier_http::Method;
use notifier_testkit::peer::{path, ran};

use crate::{
    common::{ACCESS_KEY, SECRET_KEY},
    peer::{Peer, Program, free_ports, holds, started, taken},
};

/// Its name in what a run of the tests says.
const NAME: &str = "s3s-fs";

#[tokio::test(flavor = "multi_thread")]
async fn holds_with_s3s() {
    let Some(program) = path(NAME, "NOTIFIER_TEST_S3S_FS") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("logs")).unwrap();
    let output = folder.path().join("output");
    let store = started(NAME, async |end| {
        let [port] = free_ports();
        let mut store = Program::start(
            Command::new(&program)
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
                .arg(&root)
                .env("RUST_LOG", "error"),
            output.clone(),
        )?;
        taken(&mut store, (Method::GET, "/logs/"), port, end).await?;
        Ok((port, store))
    });
    let Some((port, _store)) = store.await else {
        return;
    };
    let peer = Peer {
        says_its_time: true,
        unknown_key: "NotSignedUp",
        has_buckets: false,
    };
    holds(&format!("http://127.0.0.1:{port}"), peer).await;
    ran(NAME);
}
