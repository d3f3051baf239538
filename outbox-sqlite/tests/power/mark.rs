//! What the load says that it does, and what it was answered.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use crate::record::{Log, Op};

/// The file that marks are written to. It is no part of an image.
pub(crate) const FILE: &str = "marks";

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Mark {
    /// A program begins: what was asked for and not answered before will not be answered.
    Start,
    /// Something is asked for.
    Asked { call: u64, now: i64, act: Act },
    /// It is acknowledged, with the ids or keys that it was about if those were not known.
    Acknowledged { call: u64, ids: Vec<String> },
    /// It was refused, and changed nothing.
    Refused { call: u64 },
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Act {
    /// All leases are taken back.
    Claim,
    /// One batch.
    Enqueue {
        source: String,
        cursor: u64,
        reports: Vec<Told>,
    },
    /// Deliveries of a destination; answered by their ids.
    Lease,
    /// An attempt came to something.
    Settle {
        id: String,
        verdict: Ended,
        progress: Option<u64>,
        notice: Option<String>,
    },
    /// Progress is kept.
    Progress { id: String, value: u64 },
    /// A lease is given back.
    Release { id: String },
    /// A failure's logs are settled.
    SettleLogs { key: String },
    /// Digests are made.
    Fold,
    /// Answered by the new id.
    Replay { id: String },
    /// A dead letter is put away.
    Discard { id: String },
    /// A silence is kept.
    Silence { id: String },
    /// Free pages are given back.
    Vacuum,
}

/// One report of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) key: String,
    pub(crate) ids: Vec<String>,
    pub(crate) how: How,
}

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// At once.
    Plain,
    /// With others like it.
    Grouped,
    /// Not at all.
    Silenced,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Done,
    Dead,
    RetryAt(i64),
}

/// Writes marks.
#[derive(Debug)]
pub(crate) struct Marks {
    file: File,
    calls: AtomicU64,
}

impl Marks {
    /// Appends to the file in this folder.
    pub(crate) fn open(folder: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(folder.join(FILE))
            .expect("marks can be written");
        let marks = Self {
            file,
            // Numbers need only differ within one program.
            calls: AtomicU64::new(0),
        };
        marks.write(&Mark::Start);
        marks
    }

    /// Says that something is asked for; answers the call's number.
    pub(crate) fn asked(&self, now: i64, act: Act) -> u64 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.write(&Mark::Asked { call, now, act });
        call
    }

    /// Says that it is acknowledged.
    pub(crate) fn acknowledged(&self, call: u64, ids: Vec<String>) {
        self.write(&Mark::Acknowledged { call, ids });
    }

    /// Says that it was refused.
    pub(crate) fn refused(&self, call: u64) {
        self.write(&Mark::Refused { call });
    }

    /// In one write, so that lines do not mix.
    fn write(&self, mark: &Mark) {
        let mut line = serde_json::to_string(mark).expect("a mark is JSON");
        line.push('\n');
        let written = (&self.file)
            .write(line.as_bytes())
            .expect("marks can be written");
        assert_eq!(written, line.len());
    }
}

/// The marks of a log, each with the number of its operation.
pub(crate) fn marks(log: &Log) -> Vec<(usize, Mark)> {
    let mut marks = Vec::new();
    for (i, op) in log.ops.iter().enumerate() {
        if let Op::Write {
            file, at, length, ..
        } = *op
            && log.is_called(file, FILE)
        {
            let mark = serde_json::from_slice(log.data(at, length)).expect("a mark");
            marks.push((i, mark));
        }
    }
    marks
}
