//! What `systemctl show` says of a unit.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use notifier_core::{
    Error, ErrorKind, Result,
    jiff::{civil::DateTime, tz::TimeZone},
};
use tokio::{io::AsyncReadExt as _, process::Command};
use zbus::zvariant::{Array, Signature, Value};

use crate::{
    journal::is_id,
    record::Exit,
    unit::{Observation, Properties},
};

/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How much of its output is read.
const MAX_OUTPUT: u64 = 1 << 20;
/// The properties that are asked for.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,InvocationID,Result,NRestarts,ExecMainCode,ExecMainStatus,\
    ExecMainPID,ExecMainStartTimestamp,ExecMainExitTimestamp,InactiveExitTimestamp,StateChangeTimestamp,StatusText,\
    Description,FragmentPath,DropInPaths,Restart,StartLimitBurst";

/// A unit as systemd has it now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) now: Observation,
    pub(crate) description: String,
    pub(crate) fragment: Option<PathBuf>,
    pub(crate) drop_ins: Vec<PathBuf>,
    /// `no`, `always`, `on-failure`, …
    pub(crate) restart: String,
    /// How many starts it has in its interval; 0 where there is no limit.
    pub(crate) burst: u32,
}

/// Asks systemd, that of the user where `user` is set.
///
/// # Errors
/// [`ErrorKind::Unavailable`] or [`ErrorKind::Timeout`] with what it says.
pub(crate) async fn show(program: &Path, user: bool, unit: &str) -> Result<Shown> {
    let asked = async {
        let mut command = Command::new(program);
        if user {
            command.arg("--user");
        }
        let mut child = command
            .args(["--no-pager", "--timestamp=us+utc", "show"])
            .arg(format!("--property={PROPERTIES}"))
            .args(["--", unit])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| {
                let what = format!("cannot run {}", program.display());
                Error::new(ErrorKind::Unavailable, what).with_source(e)
            })?;
        let (mut said, mut errors) = (Vec::new(), Vec::new());
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            let (mut out, mut err) = (out.take(MAX_OUTPUT), err.take(MAX_OUTPUT));
            let _ = tokio::join!(out.read_to_end(&mut said), err.read_to_end(&mut errors));
        }
        let status = child.wait().await.map_err(|e| {
            Error::new(ErrorKind::Unavailable, "cannot wait for systemctl").with_source(e)
        })?;
        if status.success() {
            return Ok(parse(&String::from_utf8_lossy(&said)));
        }
        let errors = String::from_utf8_lossy(&errors);
        let why: String = errors
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(300)
            .collect();
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("systemctl does not know the unit: {why}"),
        ))
    };
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(shown) => shown,
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!("systemctl did not answer within {TIMEOUT:?}"),
        )),
    }
}

/// Reads `NAME=VALUE` lines.
fn parse(text: &str) -> Shown {
    let of: BTreeMap<&str, &str> = text.lines().filter_map(|l| l.split_once('=')).collect();
    let get = |name: &str| of.get(name).copied().unwrap_or_default();
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    // A unit that is not loaded, such as a transient one that is gone, has no state of its own.
    let now = if get("LoadState") == "not-found" && get("InvocationID").is_empty() {
        Observation::default()
    } else {
        let properties = properties(&of);
        Observation::new(&properties, Some(&properties))
    };
    Shown {
        now,
        description: get("Description").to_owned(),
        fragment: path(get("FragmentPath")),
        drop_ins: get("DropInPaths")
            .split_whitespace()
            .map(PathBuf::from)
            .collect(),
        restart: get("Restart").to_owned(),
        burst: get("StartLimitBurst").parse().unwrap_or(0),
    }
}

/// The same as the bus has them, so that they are read in one place.
fn properties<'a>(of: &BTreeMap<&str, &str>) -> Properties<'a> {
    let mut properties = Properties::new();
    for (name, text) in of {
        let value = match *name {
            "InvocationID" => bytes(text),
            "NRestarts" | "ExecMainPID" => text.parse().ok().map(Value::U32),
            "ExecMainCode" | "ExecMainStatus" => text.parse().ok().map(Value::I32),
            name if name.ends_with("Timestamp") => microseconds(text).map(Value::U64),
            _ => Some(Value::from((*text).to_owned())),
        };
        if let Some(value) = value {
            properties.insert(Cow::from((*name).to_owned()), value);
        }
    }
    properties
}

fn bytes<'a>(id: &str) -> Option<Value<'a>> {
    if !is_id(id) {
        return None;
    }
    let mut array = Array::new(&Signature::U8);
    for at in (0..id.len()).step_by(2) {
        let byte = u8::from_str_radix(&id[at..at + 2], 16).ok()?;
        array.append(Value::U8(byte)).ok()?;
    }
    Some(Value::Array(array))
}

/// `Sun 2026-11-22 07:48:46.123456 UTC`.
fn microseconds(text: &str) -> Option<u64> {
    let text = text.strip_suffix(" UTC")?;
    let (_, time) = text.split_once(' ')?;
    let time: DateTime = time.parse().ok()?;
    let at = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    u64::try_from(at.as_microsecond()).ok()
}

impl Shown {
    /// Whether `Restart=` asks for another run after such an end (the table of systemd.service(5)), and
    /// none follows: the start limit is the likely reason.
    pub(crate) fn lacks_a_restart(&self, result: &str, exit: Option<Exit>) -> bool {
        let by_signal = matches!(result, "signal" | "core-dump")
            || matches!(exit, Some(Exit::Killed(_) | Exit::Dumped(_)));
        let asks = match self.restart.as_str() {
            "always" | "on-failure" => true,
            "on-abnormal" => by_signal || matches!(result, "timeout" | "watchdog" | "oom-kill"),
            "on-abort" => by_signal,
            "on-watchdog" => result == "watchdog",
            _ => false,
        };
        asks && self.now.active_state == "failed"
    }

    /// Whether there were as many runs as the start limit allows.
    pub(crate) fn used_up_its_starts(&self) -> bool {
        self.burst > 0 && self.now.restarts >= self.burst
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As systemctl 252 prints it for a unit over its start limit.
    const FLAP: &str = "Restart=always\nExecMainStartTimestamp=Sun 2026-11-22 07:48:26.395485 UTC\n\
        ExecMainExitTimestamp=Sun 2026-11-22 07:48:26.400001 UTC\nExecMainPID=92\nExecMainCode=2\nExecMainStatus=9\n\
        Result=signal\nNRestarts=3\nDescription=Flaps = often\nLoadState=loaded\nActiveState=failed\nSubState=failed\n\
        FragmentPath=/etc/systemd/system/flap.service\nDropInPaths=/etc/a.conf /etc/b.conf\n\
        InactiveExitTimestamp=Sun 2026-11-22 07:48:26.390000 UTC\nStateChangeTimestamp=Sun 2026-11-22 07:48:26.500000 UTC\n\
        StartLimitBurst=3\nInvocationID=b8b4c8a4f04243d99e04b6c348c08be8\n";

    #[test]
    fn a_unit_is_read_as_from_the_bus() {
        let shown = parse(FLAP);
        assert_eq!(shown.now.invocation_id, "b8b4c8a4f04243d99e04b6c348c08be8");
        assert_eq!(
            (shown.now.exit, shown.now.restarts),
            (Some(Exit::Killed(9)), 3)
        );
        assert_eq!(
            shown.now.ended().unwrap().to_string(),
            "2026-11-22T07:48:26.400001Z"
        );
        assert_eq!(shown.description, "Flaps = often");
        assert_eq!(shown.drop_ins.len(), 2);
        assert!(shown.now.is_failure());
        assert!(shown.lacks_a_restart("signal", None) && shown.used_up_its_starts());
    }

    #[test]
    fn one_that_is_gone_has_no_state() {
        let shown = parse(
            "LoadState=not-found\nActiveState=inactive\nResult=success\nInvocationID=\nDescription=x.service\n",
        );
        assert_eq!(shown.now, Observation::default());
        assert_eq!(shown.fragment, None);
    }

    #[test]
    fn times_without_a_value_are_none() {
        for text in ["", "n/a", "Sun 2026-11-22 07:48:26 CET", "Sun x UTC"] {
            assert_eq!(microseconds(text), None, "{text}");
        }
        assert_eq!(microseconds("Thu 1970-01-01 00:00:01 UTC"), Some(1_000_000));
    }

    proptest! {
        #[test]
        fn no_output_panics(text in "([A-Za-z]{1,20}=.{0,40}\n){0,10}", id in ".{0,40}") {
            parse(&text);
            parse(&format!("InvocationID={id}\nExecMainExitTimestamp=Sun {id} UTC\n"));
        }
    }
}
