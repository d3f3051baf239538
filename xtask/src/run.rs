//! Running commands.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
};

/// An error is one line for people.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_path_buf()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut c = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    c.current_dir(root());
    c
}

/// What a whole run asks of cargo: nothing on disk that only a second build or a debugger
/// would use. It is more than half of what is written otherwise.
const LEAN: [(&str, &str); 3] = [
    ("CARGO_INCREMENTAL", "0"),
    ("CARGO_PROFILE_DEV_DEBUG", "false"),
    ("CARGO_PROFILE_DEV_STRIP", "debuginfo"),
];

/// Makes what cargo builds in `c` lean, but for what the caller's environment says itself.
pub(crate) fn lean(c: &mut Command) {
    #[expect(clippy::disallowed_methods, reason = "what cargo itself would read")]
    let is_set = |name: &str| std::env::var_os(name).is_some();
    for (name, value) in LEAN {
        if !is_set(name) {
            c.env(name, value);
        }
    }
}

/// A command in the project's folder.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut c = Command::new(program);
    c.current_dir(root());
    c
}

fn shown(c: &Command) -> String {
    let name = Path::new(c.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    std::iter::once(name)
        .chain(c.get_args().map(|a| a.to_string_lossy().into_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a command; its output goes to the terminal.
pub(crate) fn loud(mut c: Command) -> Result {
    println!("\n--- {}", shown(&c));
    let status = c
        .status()
        .map_err(|e| format!("cannot run {}: {e}", shown(&c)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", shown(&c)))
    }
}

/// Runs a command; what it prints on stdout.
pub(crate) fn output(mut c: Command) -> Result<String> {
    let out = c
        .output()
        .map_err(|e| format!("cannot run {}: {e}", shown(&c)))?;
    if !out.status.success() {
        let err = String::from_utf8_lossy(&out.stderr);
        return Err(format!("{} ended with {}\n{err}", shown(&c), out.status));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs a command; every line of its output goes to `line`, which says whether the terminal gets it too.
pub(crate) fn filtered(mut c: Command, mut line: impl FnMut(&str) -> bool) -> Result {
    println!("\n--- {}", shown(&c));
    let mut child = c
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run {}: {e}", shown(&c)))?;
    let (send, receive) = mpsc::channel::<String>();
    let mut readers = Vec::new();
    let pipes: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        child.stdout.take().map(|p| Box::new(p) as _),
        child.stderr.take().map(|p| Box::new(p) as _),
    ];
    for pipe in pipes.into_iter().flatten() {
        let send = send.clone();
        readers.push(std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while pipe.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                if send.send(text).is_err() {
                    break;
                }
            }
        }));
    }
    drop(send);
    for text in receive {
        if line(&text) {
            println!("{text}");
            let _ = std::io::stdout().flush();
        }
    }
    for r in readers {
        let _ = r.join();
    }
    let status = child
        .wait()
        .map_err(|e| format!("cannot wait for {}: {e}", shown(&c)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", shown(&c)))
    }
}

/// Whether a program is on the PATH.
pub(crate) fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$1\" >/dev/null 2>&1", "sh", program])
        .status()
        .is_ok_and(|s| s.success())
}
