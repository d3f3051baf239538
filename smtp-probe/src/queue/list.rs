//! The list of what waits, from whoever gives it.

use std::{
    io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    net::UnixStream,
    process::Command,
    time::{Instant, timeout_at},
};

use crate::{
    connection::Stop,
    report::{Class, Phase},
    target::{Queue, Target},
};

use super::{
    files,
    record::{Record, Sink},
    showq::Records,
};

/// The longest line of `postqueue -j`: a message of many recipients is one line.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// Who gave the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Showq,
    Postqueue,
    Files,
}

impl Via {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Showq => "showq",
            Self::Postqueue => "postqueue",
            Self::Files => "files",
        }
    }
}

/// A list that was read.
#[derive(Debug)]
pub(super) struct Listed<S> {
    pub(super) sink: S,
    pub(super) via: Via,
    /// Why showq did not give it, if it did not.
    pub(super) showq: Option<Stop>,
}

/// Where the parts of a queue are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) showq: PathBuf,
    /// The queue's folder, if it is known.
    pub(super) folder: Option<PathBuf>,
}

impl Place {
    pub(super) fn of(queue: &Queue) -> Self {
        match queue {
            Queue::Folder(folder) => Self {
                showq: folder.join("public/showq"),
                folder: Some(folder.clone()),
            },
            Queue::Showq(socket) => Self {
                showq: socket.clone(),
                folder: socket
                    .ends_with("public/showq")
                    .then(|| socket.ancestors().nth(2).map(Path::to_path_buf))
                    .flatten(),
            },
        }
    }
}

/// Reads the list to a new sink: from showq, else from `postqueue -j`, else from the files.
pub(super) async fn list<S: Sink>(
    target: &Target,
    queue: &Queue,
    new: impl Fn() -> S,
) -> Result<Listed<S>, Stop> {
    let place = Place::of(queue);
    let within = target.limits.total;
    let listed = |sink, via, showq| Ok(Listed { sink, via, showq });
    let first = match from_showq(&place.showq, within, new()).await {
        Ok(sink) => return listed(sink, Via::Showq, None),
        Err(stop) => stop,
    };
    let Some(folder) = place.folder else {
        return Err(first);
    };
    // One that hangs would let postqueue hang too.
    if first.class != Class::Timeout {
        let configuration = configuration(target, &folder).await;
        if let Some(configuration) = configuration {
            match from_postqueue(configuration.as_deref(), within, new()).await {
                Ok(sink) => return listed(sink, Via::Postqueue, Some(first)),
                Err(e) => tracing::debug!(error = %e, "postqueue gives no list"),
            }
        }
    }
    let mut sink = new();
    let shown = folder.display().to_string();
    let until = Instant::now() + within;
    let reading = tokio::task::spawn_blocking(move || {
        files::read(&folder, &mut sink, until)?;
        Ok::<_, io::Error>(sink)
    });
    match timeout_at(until, reading).await {
        Ok(Ok(Ok(sink))) => listed(sink, Via::Files, Some(first)),
        Ok(Ok(Err(e))) => {
            tracing::debug!(folder = %shown, error = %e, "the queue's files cannot be read");
            Err(first)
        }
        Ok(Err(_)) | Err(_) => Err(Stop::new(
            Phase::Queue,
            Class::Timeout,
            format!("the files of {shown} could not be read in time"),
        )),
    }
}

/// Whether showq answers: its first words, and no list. Nothing is logged for it.
pub(super) async fn greet(showq: &Path, within: Duration) -> Result<(), Stop> {
    let until = Instant::now() + within;
    let mut stream = connect(showq, until).await?;
    match timeout_at(until, stream.read(&mut [0; 64])).await {
        Ok(Ok(0)) => Err(silent(showq, Class::Eof, "closed the connection")),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(failed(showq, &e)),
        Err(_) => Err(silent(showq, Class::Timeout, "did not answer in time")),
    }
}

async fn from_showq<S: Sink>(showq: &Path, within: Duration, mut sink: S) -> Result<S, Stop> {
    let until = Instant::now() + within;
    let stream = connect(showq, until).await?;
    let mut records = Records::new(BufReader::new(stream));
    loop {
        match timeout_at(until, records.next()).await {
            Ok(Ok(Some(record))) => {
                if !sink.take(record) {
                    return Ok(sink);
                }
            }
            Ok(Ok(None)) => return Ok(sink),
            Ok(Err(e)) => return Err(failed(showq, &e)),
            Err(_) => return Err(silent(showq, Class::Timeout, "did not answer in time")),
        }
    }
}

async fn connect(showq: &Path, until: Instant) -> Result<UnixStream, Stop> {
    match timeout_at(until, UnixStream::connect(showq)).await {
        Ok(stream) => stream.map_err(|e| failed(showq, &e)),
        Err(_) => Err(silent(showq, Class::Timeout, "takes no connection")),
    }
}

fn silent(showq: &Path, class: Class, what: &str) -> Stop {
    let text = format!("{} {what}", showq.display());
    Stop {
        hint: Some("look whether Postfix' master and showq run, and at the relay's log".to_owned()),
        ..Stop::new(Phase::Queue, class, text)
    }
}

fn failed(showq: &Path, e: &io::Error) -> Stop {
    let shown = showq.display();
    let (class, what, hint) = match e.kind() {
        io::ErrorKind::PermissionDenied => (
            Class::Local,
            format!("no permission for {shown}"),
            "run as root or in the group postdrop",
        ),
        io::ErrorKind::NotFound if is_queue_s(showq) => (
            Class::Refused,
            format!("there is no {shown}"),
            "start Postfix: its queue is there, and its socket is not",
        ),
        io::ErrorKind::NotFound => (
            Class::Local,
            format!("there is no {shown}"),
            "name the relay's queue_directory, or its socket public/showq",
        ),
        // A file that is none refuses too.
        io::ErrorKind::ConnectionRefused if !is_socket(showq) => (
            Class::Local,
            format!("{shown} is no socket"),
            "name the relay's queue_directory, or its socket public/showq, with --queue",
        ),
        io::ErrorKind::ConnectionRefused => (
            Class::Refused,
            format!("nobody listens at {shown}"),
            "start Postfix: its socket is there, and its master is not",
        ),
        io::ErrorKind::InvalidData => (
            Class::Proto,
            format!("{shown} does not speak showq's protocol ({e})"),
            "name the socket public/showq of Postfix 3.1 or later",
        ),
        io::ErrorKind::UnexpectedEof => (
            Class::Eof,
            format!("{shown} ended in the middle of the list"),
            "look at the relay's log",
        ),
        _ => (
            Class::Local,
            format!("{shown}: {e}"),
            "look whether Postfix runs",
        ),
    };
    Stop {
        hint: Some(hint.to_owned()),
        ..Stop::new(Phase::Queue, class, what)
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// Whether a socket that is not there has its place in a queue's folder.
fn is_queue_s(showq: &Path) -> bool {
    let public = showq.parent().filter(|p| p.ends_with("public"));
    public.is_some_and(|p| p.is_dir() && p.with_file_name("deferred").is_dir())
}

/// The configuration of the Postfix whose queue is in this folder: the one that the target names,
/// or the system's, which has no name here. Nothing if it is neither's.
async fn configuration(target: &Target, folder: &Path) -> Option<Option<PathBuf>> {
    let named = target.main_cf.as_deref().and_then(Path::parent);
    for candidate in [named, None] {
        let mut postconf = command("postconf");
        if let Some(named) = candidate {
            postconf.arg("-c").arg(named);
        }
        postconf.args(["-h", "queue_directory"]);
        let said = timeout_at(Instant::now() + target.limits.total, postconf.output()).await;
        if let Ok(Ok(output)) = said
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()) == folder
        {
            return Some(candidate.map(Path::to_path_buf));
        }
    }
    None
}

async fn from_postqueue<S: Sink>(
    configuration: Option<&Path>,
    within: Duration,
    sink: S,
) -> io::Result<S> {
    let mut postqueue = command("postqueue");
    if let Some(folder) = configuration {
        postqueue.arg("-c").arg(folder);
    }
    let mut child = postqueue.arg("-j").stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let reading = async {
        let (sink, is_whole) = from_json(output, sink).await?;
        if is_whole && !child.wait().await?.success() {
            return Err(io::Error::other("it failed"));
        }
        Ok(sink)
    };
    let read = timeout_at(Instant::now() + within, reading).await;
    read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// One of Postfix' programs, where distributions put them, else on the path.
fn command(name: &str) -> Command {
    let known = Path::new("/usr/sbin").join(name);
    let mut command = match known.exists() {
        true => Command::new(known),
        false => Command::new(name),
    };
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true);
    command
}

/// Lines of JSON, postqueue(1). Whether all were read.
async fn from_json<S: Sink>(
    output: impl AsyncRead + Unpin + Send,
    mut sink: S,
) -> io::Result<(S, bool)> {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut output)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await?;
        if read == 0 {
            return Ok((sink, true));
        }
        if !sink.take(from_line(&line)?) {
            return Ok((sink, false));
        }
    }
}

fn from_line(line: &[u8]) -> io::Result<Record> {
    #[derive(serde::Deserialize)]
    struct Message {
        queue_name: String,
        queue_id: String,
        arrival_time: i64,
        #[serde(default)]
        recipients: Vec<Recipient>,
    }
    #[derive(serde::Deserialize)]
    struct Recipient {
        #[serde(default)]
        delay_reason: String,
    }
    let message: Message = serde_json::from_slice(line)?;
    let mut record = Record {
        queue: message.queue_name,
        id: message.queue_id,
        ..Record::default()
    };
    record.set("arrival_time", &message.arrival_time.to_string());
    for recipient in &message.recipients {
        record.add_reason(&recipient.delay_reason);
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct All(Vec<Record>, usize);

    impl Sink for All {
        fn take(&mut self, record: Record) -> bool {
            self.0.push(record);
            self.0.len() < self.1
        }
    }

    const LINES: &[u8] = br#"{"queue_name": "deferred", "queue_id": "4jWKZS0gRfz2x", "arrival_time": 1795189888, "message_size": 312, "forced_expire": false, "sender": "a@b.example", "recipients": [{"address": "c@d.example", "delay_reason": "connect to d.example: Connection refused"}, {"address": "e@d.example"}]}
{"queue_name": "active", "queue_id": "A1B2", "arrival_time": 5, "new": [1], "recipients": [{"address": "x", "new": {}}]}
"#;

    #[tokio::test]
    async fn lines_of_json_are_messages_and_what_is_unknown_is_left() {
        let (all, is_whole) = from_json(LINES, All(Vec::new(), 10)).await.unwrap();
        assert!(is_whole);
        let [first, second] = &all.0[..] else {
            panic!("{:?}", all.0)
        };
        assert_eq!(
            (first.queue.as_str(), first.id.as_str()),
            ("deferred", "4jWKZS0gRfz2x")
        );
        assert_eq!(first.arrival.unwrap().as_second(), 1_795_189_888);
        assert_eq!(first.reasons, ["connect to d.example: Connection refused"]);
        assert_eq!((second.queue.as_str(), second.reasons.len()), ("active", 0));
        let (one, is_whole) = from_json(LINES, All(Vec::new(), 1)).await.unwrap();
        assert_eq!((one.0.len(), is_whole), (1, false));
        assert!(
            from_json(&b"Mail queue is empty\n"[..], All(Vec::new(), 1))
                .await
                .is_err()
        );
    }

    #[test]
    fn a_socket_in_its_place_says_where_the_folder_is() {
        let folder = |path: &str| Place::of(&Queue::Showq(path.into())).folder;
        assert_eq!(
            folder("/var/spool/postfix/public/showq"),
            Some("/var/spool/postfix".into())
        );
        assert_eq!(folder("/run/showq"), None);
        let place = Place::of(&Queue::Folder("/q".into()));
        assert_eq!(place.showq, Path::new("/q/public/showq"));
    }
}
