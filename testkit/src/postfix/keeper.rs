//! Ends a Postfix whose test can no longer do so.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Waits for the end of its input, which comes with the test's process, however that ends. Then stops the
/// master whose working directory is the queue, with its group, and removes the folder.
const SCRIPT: &str = r#"
cat >/dev/null
pid=$(tr -dc 0-9 <"$1/queue/pid/master.pid")
ours() { [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/queue" ]; }
tries=0
while ours "$1" && [ $tries -lt 100 ]; do
  kill -s CONT -- "-$pid"
  if [ $tries -lt 50 ]; then kill -s TERM "$pid"; else kill -s KILL -- "-$pid"; fi
  tries=$((tries + 1))
  sleep 0.1
done
ours "$1" || rm -rf -- "$1"
"#;

/// A shell that ends the instance if nobody else did.
#[derive(Debug)]
pub(super) struct Keeper(Child);

impl Keeper {
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(folder);
        shell.stdin(Stdio::piped());
        shell.stdout(Stdio::null()).stderr(Stdio::null());
        // What is typed at a terminal to end the test must not end this.
        shell.process_group(0);
        shell.spawn().map(Self)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
