//! One file and the thread that writes to it.
//!
//! Writing blocks: on a slow disk, a network file system that is away, a pipe that
//! nobody empties. Each file has a thread of its own, started with its first record,
//! and a short queue, so that one that hangs holds up neither the runtime nor
//! another file, nor the program's end.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use notifier_core::{Delivery, Error, ErrorKind, Result};
use rustix::fs::{CWD, Mode, OFlags};
use tokio::sync::oneshot;

use crate::{error::at_run, place::End};

/// Records that may wait for one file.
const QUEUE: usize = 64;

/// Between tries of a stream that takes nothing now.
const PAUSE: Duration = Duration::from_millis(10);

/// How many such tries; 5 s.
const PATIENCE: u32 = 500;

enum Work {
    Write {
        record: String,
        fsync: bool,
    },
    Check,
    /// Where the next record will be, in a regular file.
    End,
}

struct Job {
    work: Work,
    done: oneshot::Sender<Result<Option<End>>>,
}

/// The way to one file.
pub(crate) struct Lane {
    path: PathBuf,
    /// What was opened at the start, until the thread takes it over.
    start: Mutex<Start>,
}

enum Start {
    Waiting(Target),
    Running(mpsc::SyncSender<Job>),
    /// Only while the thread is being started.
    Between,
}

impl Lane {
    /// Opens the file, so that a wrong name stops the start.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut target = Target::new(path);
        if let Err(e) = target.open() {
            if let Some(e) = crate::error::at_start(path, clone(&e)) {
                return Err(e);
            }
            tracing::warn!(path = %path.display(), error = %e, "the file cannot be opened yet");
        }
        Ok(Self {
            path: path.to_owned(),
            start: Mutex::new(Start::Waiting(target)),
        })
    }

    /// The way to a file that is opened with its first record.
    pub(crate) fn closed(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            start: Mutex::new(Start::Waiting(Target::new(path))),
        }
    }

    pub(crate) async fn write(&self, record: String, fsync: bool) -> Result<()> {
        self.work(Work::Write { record, fsync }).await.map(drop)
    }

    /// The end of the file, if it is a regular one.
    pub(crate) async fn end(&self) -> Result<Option<End>> {
        self.work(Work::End).await
    }

    /// Its name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn check(&self) -> Result<()> {
        self.work(Work::Check).await.map(drop)
    }

    async fn work(&self, work: Work) -> Result<Option<End>> {
        let (done, answer) = oneshot::channel();
        let shown = self.path.display();
        self.queue()?
            .try_send(Job { work, done })
            .map_err(|e| match e {
                mpsc::TrySendError::Full(_) => Error::new(
                    ErrorKind::Full,
                    format!("{QUEUE} records are waiting for {shown}"),
                ),
                mpsc::TrySendError::Disconnected(_) => {
                    Error::internal(format!("the thread that writes {shown} is gone"))
                }
            })?;
        answer.await.unwrap_or_else(|_| {
            Err(
                Error::internal(format!("the thread that writes {shown} is gone"))
                    .with_delivery(Delivery::Unknown),
            )
        })
    }

    fn queue(&self) -> Result<mpsc::SyncSender<Job>> {
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *start, Start::Between) {
            Start::Running(queue) => {
                *start = Start::Running(queue.clone());
                Ok(queue)
            }
            Start::Waiting(mut target) => {
                let (queue, jobs) = mpsc::sync_channel::<Job>(QUEUE);
                thread::Builder::new()
                    .name("notifier-file".to_owned())
                    .spawn(move || {
                        for job in jobs {
                            // Who asked has given up: written now, it would be told twice.
                            if !job.done.is_closed() {
                                let _ = job.done.send(target.work(&job.work));
                            }
                        }
                    })
                    .map_err(|e| {
                        *start = Start::Waiting(Target::new(&self.path));
                        Error::new(ErrorKind::Io, "no thread can be started").with_source(e)
                    })?;
                *start = Start::Running(queue.clone());
                Ok(queue)
            }
            Start::Between => Err(Error::internal("a panic while a thread was being started")),
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lane").field(&self.path).finish()
    }
}

fn clone(e: &io::Error) -> io::Error {
    e.raw_os_error()
        .map_or_else(|| io::Error::from(e.kind()), io::Error::from_raw_os_error)
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// Standard output or error: the descriptor that the program has, since the
    /// name cannot be opened if it is a socket, and has a position of its own if a file.
    Stdout,
    Stderr,
    /// Another open descriptor, `/proc/self/fd/3`: a link that must be followed.
    Descriptor,
    Path,
}

fn name(path: &Path) -> Name {
    let Some(last) = path.file_name() else {
        return Name::Path;
    };
    let stream = |last: &OsStr| match last.to_str() {
        Some("1") => Name::Stdout,
        Some("2") => Name::Stderr,
        _ => Name::Descriptor,
    };
    match (path.parent().and_then(Path::to_str), last.to_str()) {
        (Some("/dev"), Some("stdout")) => return Name::Stdout,
        (Some("/dev"), Some("stderr")) => return Name::Stderr,
        (Some("/dev/fd" | "/proc/self/fd"), _) => return stream(last),
        _ => {}
    }
    // The same by another way: `/dev/../dev/stdout`, `/proc/thread-self/fd/1`, one's own number.
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let Ok(dir) = std::fs::canonicalize(dir) else {
        return Name::Path;
    };
    if dir == Path::new("/dev") {
        return match last.to_str() {
            Some("stdout") => Name::Stdout,
            Some("stderr") => Name::Stderr,
            _ => Name::Path,
        };
    }
    let own = std::fs::canonicalize("/proc/self").is_ok_and(|own| {
        // All threads have the same descriptors.
        dir == own.join("fd") || (dir.starts_with(own.join("task")) && dir.ends_with("fd"))
    });
    if own { stream(last) } else { Name::Path }
}

struct Target {
    path: PathBuf,
    name: Name,
    open: Option<Open>,
    /// What was written last, by us or by who wrote to the file before, ends inside a line.
    torn: bool,
    /// Some of the record whose writing failed is out, and cannot be made good.
    begun: bool,
    /// How often a stream that takes nothing is tried again.
    patience: u32,
    /// It may have been made just now, and its name not be on the disk.
    fresh: bool,
}

struct Open {
    file: File,
    /// Device and inode of a regular file; everything else is only written to.
    regular: Option<(u64, u64)>,
}

impl Target {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            name: name(path),
            open: None,
            torn: false,
            begun: false,
            patience: PATIENCE,
            fresh: true,
        }
    }

    fn work(&mut self, work: &Work) -> Result<Option<End>> {
        match work {
            Work::Check => self
                .check()
                .map(|()| None)
                .map_err(|e| at_run(&self.path, e)),
            Work::End => self.end().map_err(|e| at_run(&self.path, e)),
            Work::Write { record, fsync } => {
                self.begun = false;
                self.write(record).map_err(|e| {
                    let e = at_run(&self.path, e);
                    match self.begun {
                        true => e.with_delivery(Delivery::Unknown),
                        false => e,
                    }
                })?;
                if *fsync {
                    // Written it is; whether it is there after a crash, nobody knows.
                    self.sync()
                        .map_err(|e| at_run(&self.path, e).with_delivery(Delivery::Unknown))?;
                }
                Ok(None)
            }
        }
    }

    /// Opens it, unless it is open and still what the name stands for.
    fn open(&mut self) -> io::Result<&mut Open> {
        if let Some(Open {
            regular: Some(id), ..
        }) = &self.open
        {
            // After a rotation the name is gone or stands for another file.
            let now = std::fs::symlink_metadata(&self.path)
                .ok()
                .map(|m| (m.dev(), m.ino()));
            if now != Some(*id) {
                self.open = None;
            }
        }
        match self.open {
            Some(ref mut open) => Ok(open),
            None => {
                let opened = self.open_anew()?;
                Ok(self.open.insert(opened))
            }
        }
    }

    fn open_anew(&mut self) -> io::Result<Open> {
        let file = match self.name {
            Name::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Name::Stderr => File::from(io::stderr().as_fd().try_clone_to_owned()?),
            Name::Descriptor => open(&self.path, OFlags::APPEND)?,
            Name::Path => open(
                &self.path,
                OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW,
            )?,
        };
        let meta = file.metadata()?;
        let kind = meta.file_type();
        if !matches!(self.name, Name::Stdout | Name::Stderr) && !kind.is_file() {
            // Opened without waiting for a reader; written with waiting, by a thread that may.
            rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
        }
        let regular = (self.name == Name::Path && kind.is_file()).then(|| (meta.dev(), meta.ino()));
        // Whoever wrote to it before may have died in the middle of a line.
        self.torn = regular.is_some_and(|id| meta.len() > 0 && ends_torn(&self.path, id));
        self.fresh = true;
        Ok(Open { file, regular })
    }

    fn write(&mut self, record: &str) -> io::Result<()> {
        if record.is_empty() {
            return Ok(());
        }
        self.open()?;
        let torn = std::mem::take(&mut self.torn);
        let Some(open) = &mut self.open else {
            return Err(io::ErrorKind::NotFound.into());
        };
        // One record is one write: with O_APPEND records of several programs do not mix.
        // Records that do not end with a line feed are not lines, and none is torn.
        let bytes = if torn && record.ends_with('\n') {
            format!("\n{record}")
        } else {
            record.to_owned()
        };
        let bytes = bytes.as_bytes();
        let (mut patience, mut written) = (self.patience, 0);
        let e = loop {
            match open.file.write(&bytes[written..]) {
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // A standard stream that someone else has set not to wait.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && patience > 0 => {
                    patience -= 1;
                    thread::sleep(PAUSE);
                }
                Err(e) => break e,
            }
            if written == bytes.len() {
                return Ok(());
            }
        };
        if open.regular.is_some() {
            // The next record begins a line of its own.
            self.torn = match written.checked_sub(1) {
                Some(last) => bytes[last] != b'\n',
                None => torn,
            };
        } else {
            // Who reads the stream has some of it.
            self.begun = written > 0;
            if matches!(self.name, Name::Path | Name::Descriptor) {
                // A pipe whose reader went away is opened anew for the next one.
                self.open = None;
            }
        }
        Err(e)
    }

    fn end(&mut self) -> io::Result<Option<End>> {
        let open = self.open()?;
        let Some((dev, ino)) = open.regular else {
            return Ok(None);
        };
        let at = open.file.metadata()?.len();
        Ok(Some(End { dev, ino, at }))
    }

    /// Waits until it is on the disk; of a new file its name too.
    fn sync(&mut self) -> io::Result<()> {
        let Some(Open {
            file,
            regular: Some(_),
        }) = &self.open
        else {
            return Ok(());
        };
        file.sync_data()?;
        if self.fresh
            && let Some(dir) = self.path.parent()
        {
            let dir = if dir.as_os_str().is_empty() {
                Path::new(".")
            } else {
                dir
            };
            File::open(dir)?.sync_all()?;
            self.fresh = false;
        }
        Ok(())
    }

    /// Could it be written to? Makes no file and writes nothing.
    fn check(&mut self) -> io::Result<()> {
        if self.name != Name::Path {
            return self.open().map(drop);
        }
        if std::fs::symlink_metadata(&self.path)
            .is_ok_and(|m| !m.is_file() && !m.is_dir() && !m.is_symlink())
        {
            // Opening a pipe would be seen by its reader.
            return Ok(rustix::fs::access(
                &self.path,
                rustix::fs::Access::WRITE_OK,
            )?);
        }
        match open(&self.path, OFlags::APPEND | OFlags::NOFOLLOW) {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let dir = match self.path.parent() {
                    Some(p) if !p.as_os_str().is_empty() => p,
                    _ => Path::new("."),
                };
                rustix::fs::access(
                    dir,
                    rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
                )?;
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::openat(
        CWD,
        path,
        flags,
        Mode::from_raw_mode(0o640),
    )?))
}

/// True if this file's last byte is not a line feed. A file that may not be read is taken to be whole.
fn ends_torn(path: &Path, id: (u64, u64)) -> bool {
    let last = || -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
        let meta = file.metadata()?;
        if (meta.dev(), meta.ino()) != id {
            return Ok(false);
        }
        let mut byte = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut byte)?;
        Ok(byte != *b"\n")
    };
    last().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_known_by_whatever_way() {
        let pid = std::process::id();
        let of = |n: u8| {
            [
                format!("/dev/fd/{n}"),
                format!("/dev//fd/{n}"),
                format!("/proc/self/fd/{n}"),
                format!("/proc/thread-self/fd/{n}"),
                format!("/proc/{pid}/fd/{n}"),
                format!("/proc/{pid}/task/../fd/{n}"),
                format!("/proc/self/task/{pid}/fd/{n}"),
            ]
        };
        let all = |names: &[String], expected| {
            for n in names {
                assert_eq!(name(Path::new(n)), expected, "{n}");
            }
        };
        all(&of(1), Name::Stdout);
        all(&of(2), Name::Stderr);
        all(&of(7), Name::Descriptor);
        for way in ["/dev/", "/dev/./", "/dev/../dev/", "//dev/"] {
            all(&[format!("{way}stdout")], Name::Stdout);
            all(&[format!("{way}stderr")], Name::Stderr);
        }
        for other in [
            "/dev/stderr.log",
            "/tmp/stdout",
            "/proc/1/fd/1",
            "stdout",
            "/dev/null",
        ] {
            all(&[other.to_owned()], Name::Path);
        }
    }

    #[test]
    fn records_that_are_not_lines_are_never_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for _ in 0..2 {
            let mut t = Target::new(&path);
            t.write("a;").unwrap();
            t.write("b;").unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a;b;a;b;");
    }

    #[test]
    fn what_we_left_short_is_repaired_by_the_next_line_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut t = Target::new(&path);
        t.write("whole\nsho").unwrap();
        t.write("rt;").unwrap();
        // As after a disk that was full.
        t.torn = true;
        t.write("line\n").unwrap();
        t.torn = true;
        t.write("a;").unwrap();
        t.write("b\n").unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "whole\nshort;\nline\na;b\n"
        );
    }

    #[test]
    fn a_stream_that_took_some_of_a_record_may_have_it() {
        let (reader, writer) = std::io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        rustix::fs::fcntl_setfl(
            &file,
            rustix::fs::fcntl_getfl(&file).unwrap() | OFlags::NONBLOCK,
        )
        .unwrap();
        let mut t = Target::new(Path::new("/dev/stdout"));
        t.patience = 2;
        t.open = Some(Open {
            file,
            regular: None,
        });
        let mut write = |size| {
            let e = t
                .work(&Work::Write {
                    record: "x".repeat(size),
                    fsync: false,
                })
                .unwrap_err();
            assert!(e.is_retryable(), "{e:?}");
            e.delivery()
        };
        assert_eq!(write(2_000_000), Delivery::Unknown);
        // Full, so that nothing goes out.
        assert_eq!(write(100_000), Delivery::NotDelivered);
        drop(reader);
    }

    #[test]
    fn a_torn_record_is_ended_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "whole\nto").unwrap();
        let mut t = Target::new(&path);
        t.write("next\n").unwrap();
        t.write("last\n").unwrap();
        t.sync().unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "whole\nto\nnext\nlast\n"
        );
    }

    #[test]
    fn a_full_device_is_an_error_that_is_tried_again() {
        let mut t = Target::new(Path::new("/dev/full"));
        let e = t
            .work(&Work::Write {
                record: "x\n".to_owned(),
                fsync: false,
            })
            .unwrap_err();
        assert_eq!((e.kind(), e.is_retryable()), (ErrorKind::Io, true));
        assert_eq!(e.to_string(), "no space is left for /dev/full");
    }
}
