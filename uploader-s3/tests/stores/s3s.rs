//! Against `s3s-fs`, a store that checks both versions of signatures and is not ours.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    common::{ACCESS_KEY, SECRET_KEY},
    peer::{Peer, Program, free_port, holds, wait_for_port},
};

#[expect(clippy::print_stdout, reason = "a skipped test is said aloud")]
fn program() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the test run says where it is"
    )]
    let path = std::env::var_os("NOTIFIER_TEST_S3S_FS").map(PathBuf::from);
    let path = path.filter(|p| p.exists());
    if path.is_none() {
        println!("SKIPPED s3s-fs: NOTIFIER_TEST_S3S_FS does not name it");
    }
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_with_s3s() {
    let Some(program) = program() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("logs")).unwrap();
    let port = free_port();
    let _store = Program::start(
        Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .arg(folder.path())
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    wait_for_port(port);
    let peer = Peer {
        says_its_time: true,
        unknown_key: "NotSignedUp",
        has_buckets: false,
    };
    holds(&format!("http://127.0.0.1:{port}"), peer).await;
}
