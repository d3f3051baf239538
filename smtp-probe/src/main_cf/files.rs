//! The files that a configuration names.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Octets that are read of a file.
const MOST: u64 = 1024 * 1024;

/// A way to see files.
pub(super) trait Files {
    /// The text of a file, the first MiB of it.
    fn read(&self, path: &Path) -> Option<String>;
    /// Why it cannot be read.
    fn fault(&self, path: &Path) -> String;
    /// When it was last written; `None` if it is not there.
    fn modified(&self, path: &Path) -> Option<SystemTime>;
    /// Whether it is a folder.
    fn is_folder(&self, path: &Path) -> bool;
    /// What is in a folder, by name.
    fn list(&self, folder: &Path) -> Vec<PathBuf>;
}

/// Those of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Option<String> {
        let mut bytes = Vec::new();
        // A pipe would never end.
        if !fs::metadata(path).ok()?.is_file() {
            return None;
        }
        let file = fs::File::open(path).ok()?;
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn fault(&self, path: &Path) -> String {
        let opened = match fs::metadata(path) {
            Ok(meta) if !meta.is_file() => return "it is no file".to_owned(),
            Ok(_) => fs::File::open(path).and_then(|mut file| file.read(&mut [0])),
            Err(e) => Err(e),
        };
        match opened {
            Ok(_) => "it changes meanwhile".to_owned(),
            Err(e) => match e.kind() {
                io::ErrorKind::NotFound => "no such file".to_owned(),
                io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => e.to_string(),
            },
        }
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        fs::metadata(path).ok()?.modified().ok()
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).collect();
        paths.sort();
        paths
    }
}

/// Files of a test.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Fake(pub(super) std::collections::BTreeMap<PathBuf, (String, u64)>);

#[cfg(test)]
impl Fake {
    pub(super) fn file(mut self, path: &str, text: &str, written: u64) -> Self {
        self.0.insert(path.into(), (text.to_owned(), written));
        self
    }
}

#[cfg(test)]
impl Files for Fake {
    fn read(&self, path: &Path) -> Option<String> {
        self.0.get(path).map(|(text, _)| text.clone())
    }

    fn fault(&self, _path: &Path) -> String {
        "no such file".to_owned()
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        let (_, seconds) = self.0.get(path)?;
        Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(*seconds))
    }

    fn is_folder(&self, path: &Path) -> bool {
        let mut files = self.0.keys();
        files.any(|f| f != path && f.starts_with(path))
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        let files = self.0.keys().filter(|f| f.parent() == Some(folder));
        files.cloned().collect()
    }
}
