//! blackbox_exporter, started on a loopback port, and a client of HTTP for it.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use notifier_testkit::program::{Program, command};

const PROGRAM: &str = "prometheus-blackbox-exporter";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running exporter.
pub(crate) struct Blackbox {
    program: Program,
    address: String,
}

impl Blackbox {
    /// Its version, if it is installed.
    pub(crate) fn version() -> Option<String> {
        let out = command(PROGRAM).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        let (_, after) = text.split_once("version ")?;
        after.split([',', ' ']).next().map(str::to_owned)
    }

    /// Starts it with these modules, YAML, in this folder.
    pub(crate) fn start(folder: &Path, modules: &str) -> Self {
        let config = folder.join("blackbox.yml");
        fs::write(&config, modules).expect("its configuration");
        let mut start = command(PROGRAM);
        start.arg(format!("--config.file={}", config.display()));
        start.arg("--web.listen-address=127.0.0.1:0");
        let program = Program::spawn(start);
        let address = listens(&program, "msg=\"Listening on\" address=");
        Self { program, address }
    }

    /// Its process, and where it listens.
    pub(crate) fn parts(&self) -> (&Program, &str) {
        (&self.program, &self.address)
    }
}

/// Where a program says that it listens: the word after `mark` in what it tells.
pub(crate) fn listens(program: &Program, mark: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = program.stderr();
        let word = told.split_once(mark).map(|(_, rest)| rest);
        if let Some(word) = word.and_then(|w| w.split_once(char::is_whitespace)) {
            return word.0.to_owned();
        }
        assert!(Instant::now() < until, "it does not listen: {told}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The body of an answer, whatever its status.
pub(crate) fn get(address: &str, path: &str) -> io::Result<String> {
    let mut link = TcpStream::connect(address)?;
    link.set_read_timeout(Some(PATIENCE))?;
    // Closed at the end of the answer.
    write!(link, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    link.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((_, body)) => Ok(body.to_owned()),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
