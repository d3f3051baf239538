//! Small files, read whole and with a bound.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;
/// The most files that a pattern stands for.
const MAX_MATCHES: usize = 32;

/// The text of a regular file, or of its first MiB. `None` if it cannot be read.
pub(crate) async fn read(path: PathBuf) -> Option<String> {
    let read = move || {
        // A pipe or a device could keep one waiting for ever.
        if !std::fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        let file = File::open(&path).ok()?;
        file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

/// The files that a path stands for: itself, or, where its last part has `*` or `?`, those
/// whose names match, in order.
pub(crate) async fn matching(path: PathBuf) -> Vec<PathBuf> {
    let Some((folder, pattern)) = pattern(&path) else {
        return vec![path];
    };
    let list = move || {
        let entries = std::fs::read_dir(folder).ok()?;
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .filter(|e| {
                e.file_name()
                    .to_str()
                    .is_some_and(|name| fits(&pattern, name))
            })
            .map(|e| e.path())
            .collect();
        found.sort();
        found.truncate(MAX_MATCHES);
        Some(found)
    };
    let listed = tokio::task::spawn_blocking(list).await;
    listed.ok().flatten().unwrap_or_default()
}

fn pattern(path: &Path) -> Option<(PathBuf, String)> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?;
    name.contains(['*', '?'])
        .then(|| (folder.to_owned(), name.to_owned()))
}

/// Whether a file's name fits a pattern of glob(7); one that begins with a dot must be
/// asked for by one.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    crate::watch::choice::matches(pattern, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, name, is) in [
            ("*.env", "a.env", true),
            ("*.env", ".env", false),
            (".*", ".env", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), is, "{pattern} {name}");
        }
    }
}
