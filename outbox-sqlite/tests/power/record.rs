//! Has a program's file operations recorded by `shim.c`, and reads the record.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use tempfile::TempDir;

/// What the shim finds in its environment.
const FOLDER: &str = "POWER_FOLDER";
const LOG: &str = "POWER_LOG";
const DELAY: &str = "POWER_DELAY";

/// How long a recorded sync takes, in microseconds: long enough that others write meanwhile.
const SYNC_TAKES: &str = "200";

/// The recorder, compiled once; or why it cannot be.
pub(crate) fn shim() -> Result<&'static Path, String> {
    static SHIM: OnceLock<Result<(TempDir, PathBuf), String>> = OnceLock::new();
    let built = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
        let (source, library) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
        fs::write(&source, include_str!("shim.c"))
            .map_err(|e| format!("no temporary file: {e}"))?;
        let cc = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .output()
            .map_err(|e| format!("cc cannot be run: {e}"))?;
        assert!(cc.status.success(), "shim.c: {}", said(&cc));
        Ok((folder, library))
    });
    built
        .as_ref()
        .map(|(_, path)| path.as_path())
        .map_err(String::clone)
}

/// Runs a program with what it does below `folder` appended to `log`.
pub(crate) fn run(program: &mut Command, shim: &Path, folder: &Path, log: &Path) -> Output {
    program
        .env("LD_PRELOAD", shim)
        .env(FOLDER, folder)
        .env(LOG, log)
        .env(DELAY, SYNC_TAKES)
        .output()
        .expect("the program runs")
}

/// What a program said, for a message.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// One file operation. Files are told apart by number: a name may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A name was made for a new file.
    Create { name: NameId, file: FileId },
    /// Bytes of the log were written.
    Write {
        file: FileId,
        offset: u64,
        at: usize,
        length: usize,
    },
    /// The length was set.
    Truncate { file: FileId, length: u64 },
    /// The length is at least this.
    Allocate { file: FileId, length: u64 },
    /// Everything before the record `since` is on disk.
    Synced { file: FileId, since: usize },
    /// The names are as they were before the record `since`, at least.
    FolderSynced { since: usize },
    /// A file has another name.
    Rename { from: NameId, to: NameId },
    /// A name is gone.
    Unlink { name: NameId },
    /// A file has one more name.
    Link { from: NameId, to: NameId },
    /// Nothing changed: a sync began, or a file was opened.
    Nothing,
}

/// Which file.
pub(crate) type FileId = usize;
/// Which name.
pub(crate) type NameId = usize;

/// Everything that was recorded.
#[derive(Debug)]
pub(crate) struct Log {
    bytes: Vec<u8>,
    /// The operations, in order.
    pub(crate) ops: Vec<Op>,
    /// The names of files.
    pub(crate) names: Vec<String>,
    /// The names that each file had at some time.
    called: Vec<Vec<NameId>>,
}

impl Log {
    /// Reads a log.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("the log is there");
        let mut reader = Reader::default();
        let mut at = 0;
        while at < bytes.len() {
            at = reader.record(&bytes, at);
        }
        Self {
            bytes,
            ops: reader.ops,
            names: reader.names,
            called: reader.called,
        }
    }

    /// How many files there were.
    pub(crate) fn files(&self) -> usize {
        self.called.len()
    }

    /// Whether a file had this name at some time.
    pub(crate) fn is_called(&self, file: FileId, name: &str) -> bool {
        self.called[file].iter().any(|n| self.names[*n] == name)
    }

    /// What an operation wrote.
    pub(crate) fn data(&self, at: usize, length: usize) -> &[u8] {
        &self.bytes[at..at + length]
    }
}

/// The state of reading a log.
#[derive(Default)]
struct Reader {
    ops: Vec<Op>,
    names: Vec<String>,
    called: Vec<Vec<NameId>>,
    /// The file that has a name.
    now: HashMap<NameId, FileId>,
    inodes: HashMap<u64, FileId>,
    folder: Option<u64>,
    /// Where each sync that is not over began.
    syncs: HashMap<u64, usize>,
}

/// The flags of an opening.
const CREATED: u64 = 1;
const EMPTIED: u64 = 2;
const FOLDER_OPENED: u64 = 4;

impl Reader {
    /// Reads the record at `at`; answers where the next one is.
    fn record(&mut self, bytes: &[u8], at: usize) -> usize {
        let number = |from: usize| {
            u64::from_ne_bytes(
                bytes[at + from..at + from + 8]
                    .try_into()
                    .expect("eight bytes"),
            )
        };
        let length = |from: usize| {
            u32::from_ne_bytes(
                bytes[at + from..at + from + 4]
                    .try_into()
                    .expect("four bytes"),
            ) as usize
        };
        let (inode, a, b) = (number(1), number(9), number(17));
        let name_at = at + 33;
        let data_at = name_at + length(25);
        let end = data_at + length(29);
        let name = std::str::from_utf8(&bytes[name_at..data_at]).expect("names are text");
        let op = match bytes[at] {
            1 => self.opened(inode, a, name),
            2 => Op::Write {
                file: self.file(inode),
                offset: a,
                at: data_at,
                length: end - data_at,
            },
            3 => Op::Truncate {
                file: self.file(inode),
                length: a,
            },
            4 => Op::Allocate {
                file: self.file(inode),
                length: a + b,
            },
            5 => {
                self.syncs.insert(a, self.ops.len());
                Op::Nothing
            }
            6 => {
                let since = self.syncs.remove(&a).expect("a sync that ends has begun");
                if self.folder == Some(inode) {
                    Op::FolderSynced { since }
                } else {
                    let file = self.file(inode);
                    Op::Synced { file, since }
                }
            }
            7 => {
                assert_eq!(a, 0, "a rename with flags is not known here");
                let (from, to) = self.two(name);
                let file = self.now.remove(&from).expect("what is renamed is there");
                self.call(file, to);
                Op::Rename { from, to }
            }
            8 => {
                assert_eq!(a, 0, "folders within the folder are not known here");
                let name = self.named(name);
                self.now.remove(&name);
                Op::Unlink { name }
            }
            9 => {
                let (from, to) = self.two(name);
                self.call(self.now[&from], to);
                Op::Link { from, to }
            }
            other => panic!("operation {other} ({name}) is not known here"),
        };
        self.ops.push(op);
        end
    }

    fn opened(&mut self, inode: u64, how: u64, name: &str) -> Op {
        if how & FOLDER_OPENED != 0 {
            assert_eq!(name, "", "folders within the folder are not known here");
            self.folder = Some(inode);
            return Op::Nothing;
        }
        if how & CREATED != 0 {
            let file = self.called.len();
            self.called.push(Vec::new());
            self.inodes.insert(inode, file);
            let name = self.named(name);
            self.call(file, name);
            return Op::Create { name, file };
        }
        assert!(
            self.inodes.contains_key(&inode),
            "{name} was there before the recording began"
        );
        if how & EMPTIED != 0 {
            let file = self.file(inode);
            return Op::Truncate { file, length: 0 };
        }
        Op::Nothing
    }

    fn call(&mut self, file: FileId, name: NameId) {
        self.called[file].push(name);
        self.now.insert(name, file);
    }

    fn file(&self, inode: u64) -> FileId {
        *self
            .inodes
            .get(&inode)
            .expect("a file is opened before it is used")
    }

    fn named(&mut self, name: &str) -> NameId {
        self.names
            .iter()
            .position(|n| n == name)
            .unwrap_or_else(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            })
    }

    fn two(&mut self, names: &str) -> (NameId, NameId) {
        let (from, to) = names.split_once('\0').expect("two names");
        assert!(
            !from.is_empty() && !to.is_empty(),
            "{from:?} to {to:?}: a file came into the folder, or left it"
        );
        (self.named(from), self.named(to))
    }
}
