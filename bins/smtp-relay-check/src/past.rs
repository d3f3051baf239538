//! What runs leave for the next: the file of `--state`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use notifier_runtime::{Exit, Fatal, Masker, complain};
use serde::{Deserialize, Serialize};
use smtp_probe::Past;

use crate::NAME;

/// The largest file that is read.
const LARGEST: u64 = 4 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    #[serde(default)]
    targets: BTreeMap<String, Past>,
}

/// The pasts of targets by their names, in a file if there is one.
#[derive(Debug)]
pub(crate) struct Store {
    path: Option<PathBuf>,
    file: File,
}

impl Store {
    /// Reads a file. One that cannot be read is told, and nothing is known then.
    pub(crate) fn open(path: Option<PathBuf>) -> Self {
        let file = match &path {
            None => File::default(),
            Some(path) => read(path).unwrap_or_else(|why| {
                tell(&format!("state: {} is not used: {why}", path.display()));
                File::default()
            }),
        };
        Self { path, file }
    }

    pub(crate) fn take(&mut self, target: &str) -> Past {
        self.file.targets.get(target).cloned().unwrap_or_default()
    }

    pub(crate) fn put(&mut self, target: &str, past: Past) {
        self.file.targets.insert(target.to_owned(), past);
    }

    /// Whether it outlives the process.
    pub(crate) fn is_kept(&self) -> bool {
        self.path.is_some()
    }

    /// Writes the file anew, whole or not at all. That it cannot be is told.
    pub(crate) fn save(&self) {
        if let Some(path) = &self.path
            && let Err(why) = write(path, &self.file)
        {
            tell(&format!("state: cannot write {}: {why}", path.display()));
        }
    }
}

fn tell(line: &str) {
    complain(NAME, &Masker::default(), &Fatal::new(Exit::Io, line));
}

fn read(path: &Path) -> io::Result<File> {
    use io::Read as _;

    let mut bytes = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(LARGEST + 1).read_to_end(&mut bytes)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(File::default()),
        Err(e) => return Err(e),
    };
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!(
            "it is larger than {LARGEST} bytes"
        )));
    }
    serde_json::from_slice(&bytes)
        .map_err(|_| io::Error::other("it is not what an earlier run has left"))
}

fn write(path: &Path, file: &File) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{:08x}", fastrand::u32(..)));
    let beside = PathBuf::from(beside);
    let done =
        fs::write(&beside, serde_json::to_vec(file)?).and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&beside);
    }
    done
}
