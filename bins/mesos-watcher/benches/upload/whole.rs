//! A program that reads a log into memory, all of it, and then sends it in one request.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, ExitCode, Stdio},
};

use crate::{
    process::Process,
    support::{self, Result},
};

/// What makes a program of the bench this one.
pub(crate) const ARGUMENT: &str = "--whole";

/// Runs it as a child; the most memory it held beyond what it began with.
pub(crate) fn run(from: &str, to: &str) -> Result<Option<u64>> {
    let out = Command::new(std::env::current_exe()?)
        .args([ARGUMENT, from, to])
        .stderr(Stdio::inherit())
        .output()?;
    if !out.status.success() {
        return Err("the program that reads all of it fails".into());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().parse().ok())
}

pub(crate) fn main(args: &[String]) -> ExitCode {
    let done = match args {
        [from, to] => carry(from, to),
        _ => Err("two addresses are needed".into()),
    };
    match done {
        Ok(Some(over)) => {
            say(over);
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(e) => {
            support::tell(&e.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "what the bench reads")]
fn say(over: u64) {
    println!("{over}");
}

fn carry(from: &str, to: &str) -> Result<Option<u64>> {
    let own = Process(std::process::id());
    let rest = own.memory();
    let (host, path) = parts(from)?;
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut log = Vec::new();
    stream.read_to_end(&mut log)?;
    let head = log.windows(4).position(|w| w == b"\r\n\r\n");
    let begin = head.ok_or("not an answer of HTTP")? + 4;

    let (host, path) = parts(to)?;
    let mut stream = TcpStream::connect(host)?;
    let length = log.len() - begin;
    write!(
        stream,
        "PUT {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: AWS x:y\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(&log[begin..])?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if !status.ends_with(b"200") {
        return Err("the store refuses it".into());
    }
    Ok(own
        .peak()
        .zip(rest)
        .map(|(peak, rest)| peak.saturating_sub(rest)))
}

fn parts(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").ok_or("not an address")?;
    let at = rest.find('/').ok_or("an address without a path")?;
    Ok(rest.split_at(at))
}
