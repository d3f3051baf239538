//! The files, and the tools that check them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use notifier_testkit::peer;
use serde_json::Value;

/// The built program.
pub(crate) const CHECK: &str = env!("CARGO_BIN_EXE_smtp-relay-check");

pub(crate) fn deploy() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    path.canonicalize().unwrap()
}

pub(crate) fn file(name: &str) -> String {
    fs::read_to_string(deploy().join(name)).unwrap()
}

/// A program that pip installs, or a line that says why not.
pub(crate) fn pip(name: &str) -> Option<Command> {
    let folder = peer::path(name, "NOTIFIER_TEST_DEPLOY_TOOLS")?;
    Some(Command::new(folder.join(name)))
}

/// A program of the system, or a line that says that it is not there.
pub(crate) fn system(name: &str) -> Option<Command> {
    if !is_here(name) {
        peer::skipped(name, "it is not installed");
        return None;
    }
    let mut command = Command::new(name);
    command.stdin(Stdio::null());
    Some(command)
}

pub(crate) fn is_here(name: &str) -> bool {
    let mut look = Command::new("sh");
    look.args(["-c", "command -v \"$1\"", "sh", name]);
    look.output().is_ok_and(|o| o.status.success())
}

pub(crate) fn told(out: &Output) -> String {
    [&out.stdout, &out.stderr]
        .map(|b| String::from_utf8_lossy(b).into_owned())
        .concat()
}

/// Runs a tool over a file, and over the same file among its neighbours with a fault in it.
pub(crate) fn judge(mut run: impl FnMut(&Path) -> Output, name: &str, fault: (&str, &str)) {
    let good = run(&deploy().join(name));
    assert!(good.status.success(), "{name}: {}", told(&good));
    let text = file(name);
    assert!(text.contains(fault.0), "{name} has no {:?}", fault.0);
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join(Path::new(name).file_name().unwrap());
    copy(deploy().join(name).parent().unwrap(), folder.path());
    fs::write(&bad, text.replacen(fault.0, fault.1, 1)).unwrap();
    let found = run(&bad);
    assert!(
        !found.status.success(),
        "{name}: {fault:?} was not found: {}",
        told(&found)
    );
}

/// The files of a folder, and those of its folders.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// What a file of YAML says, each of its documents; `None` where there is nothing to read it with.
pub(crate) fn yaml(name: &str) -> Option<Vec<Value>> {
    const READ: &str = "import json, sys, yaml\n\
        print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let mut python = pip("python3")?;
    let out = python.args(["-c", READ]).arg(deploy().join(name)).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{name}: {}", told(&out));
    Some(serde_json::from_slice(&out.stdout).unwrap())
}

/// The words of a list in JSON.
pub(crate) fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|w| w.as_str().unwrap().to_owned())
        .collect()
}
