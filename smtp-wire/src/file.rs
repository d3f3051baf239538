//! Small files.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// A file's content, if it is no larger.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let n = File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match u64::try_from(n) {
        Ok(n) if n <= most => Ok(bytes),
        _ => Err(io::Error::other("it is too large")),
    }
}
