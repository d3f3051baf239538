//! Messages where Postfix delivered them.

use std::{fs, path::Path};

/// The messages of a Maildir in the order of their arrival; none if there is no such folder yet.
pub(super) fn messages(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder.join("new")) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .map(|e| (arrival(&e.file_name().to_string_lossy()), e.path()))
        .collect();
    files.sort();
    files
        .iter()
        .filter_map(|(_, path)| fs::read(path).ok())
        .collect()
}

/// Seconds and microseconds out of `SECONDS.VdeviceIinodeMmicroseconds.host`; virtual(8), maildir.c.
fn arrival(name: &str) -> (u64, u64) {
    let mut parts = name.split('.');
    let seconds = parts.next().and_then(|s| s.parse().ok());
    let micros = parts
        .next()
        .and_then(|s| s.rsplit('M').next()?.parse().ok());
    (seconds.unwrap_or(0), micros.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::arrival;

    #[test]
    fn the_name_of_a_message_says_when_it_came() {
        assert_eq!(
            arrival("1795307122.Vfe00I9920c9M448822.host.example"),
            (1_795_307_122, 448_822)
        );
        // Microseconds have no leading zeros.
        assert!(arrival("7.Vfe00I9M9.h") < arrival("7.Vfe00I1M10.h"));
        assert!(arrival("9.Vfe00I9M9.h") < arrival("10.Vfe00I1M1.h"));
        assert_eq!(arrival("else"), (0, 0));
    }
}
