//! For the crate's own benchmarks; no part of what the crate promises.

use crate::state::{
    v0::StateReader,
    v1::{Record, RecordReader},
};

/// Reads a state in pieces of so many bytes, and counts its failed tasks.
pub fn state(body: &[u8], piece: usize) -> Option<usize> {
    let mut reader = StateReader::new(|state: &str| state == "TASK_FAILED");
    for bytes in body.chunks(piece) {
        reader.feed(bytes).ok()?;
    }
    Some(reader.finish().ok()?.tasks.len())
}

/// Reads a record in pieces of so many bytes, and counts its failed tasks and, if they are
/// wanted, those that are alive.
pub fn record(body: &[u8], piece: usize, live: bool) -> Option<(usize, usize)> {
    let mut reader = RecordReader::new(|state: &str| state == "TASK_FAILED").with_live(live);
    let mut alive = 0;
    for bytes in body.chunks(piece) {
        reader.feed(bytes, &mut |_| alive += 1).ok()?;
    }
    match reader.finish().ok()? {
        Record::Subscribed { snapshot, .. } | Record::State(snapshot) => {
            Some((snapshot.tasks.len(), alive))
        }
        _ => None,
    }
}
