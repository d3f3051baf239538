//! What a disk may hold after a power cut.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use fastrand::Rng;

use crate::record::{FileId, Log, NameId, Op};

/// What a disk writes wholly or not at all.
const SECTOR: u64 = 512;

/// Which syncs are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// All.
    All,
    /// None: a disk that lies.
    Nothing,
    /// None of a file that is or was called so.
    NotOf(&'static str),
    /// None of the folder.
    NotOfFolder,
}

/// The files as they are surely on disk, and what may be there besides.
#[derive(Debug)]
pub(crate) struct Disk<'a> {
    log: &'a Log,
    trust: Trust,
    /// How many operations have happened.
    at: usize,
    files: Vec<File>,
    names: BTreeMap<NameId, FileId>,
    /// Operations on names that are not synced.
    moves: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct File {
    synced: Vec<u8>,
    /// Operations on the file that are not synced.
    open: Vec<usize>,
}

/// What becomes of what is not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing of it is there.
    Nothing,
    /// All of it is.
    All,
    /// What was written first.
    Prefix,
    /// What was written first, and a part of the operation behind it.
    Torn,
    /// Some operations and others not.
    Subset,
    /// Some sectors and others not.
    Sectors,
}

impl Fate {
    const ALL: [Self; 6] = [
        Self::Nothing,
        Self::All,
        Self::Prefix,
        Self::Torn,
        Self::Subset,
        Self::Sectors,
    ];

    fn any(rng: &mut Rng) -> Self {
        Self::ALL[rng.usize(..Self::ALL.len())]
    }
}

/// The files after a power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// After how many operations the power was cut.
    pub(crate) at: usize,
    /// What became of what was not synced.
    pub(crate) how: String,
    /// The files, by name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// Writes the files into a folder.
    pub(crate) fn write(&self, folder: &Path) {
        for (name, bytes) in &self.files {
            fs::write(folder.join(name), bytes).expect("an image can be written");
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "power cut after operation {} ({})", self.at, self.how)?;
        for (name, bytes) in &self.files {
            write!(f, ", {name} {} bytes", bytes.len())?;
        }
        Ok(())
    }
}

impl<'a> Disk<'a> {
    /// An empty folder, before the first operation.
    pub(crate) fn new(log: &'a Log, trust: Trust) -> Self {
        Self {
            log,
            trust,
            at: 0,
            files: vec![File::default(); log.files()],
            names: BTreeMap::new(),
            moves: Vec::new(),
        }
    }

    /// Lets operations happen until there were so many.
    pub(crate) fn advance(&mut self, to: usize) {
        while self.at < to {
            let at = self.at;
            match self.log.ops[at] {
                Op::Write { file, .. } | Op::Truncate { file, .. } | Op::Allocate { file, .. } => {
                    self.files[file].open.push(at);
                }
                Op::Create { .. } | Op::Rename { .. } | Op::Unlink { .. } | Op::Link { .. } => {
                    self.moves.push(at);
                }
                Op::Synced { file, since } => self.sync(file, since),
                Op::FolderSynced { since } => self.sync_folder(since),
                Op::Nothing => {}
            }
            self.at += 1;
        }
    }

    fn sync(&mut self, file: FileId, since: usize) {
        let lies = match self.trust {
            Trust::All | Trust::NotOfFolder => false,
            Trust::Nothing => true,
            Trust::NotOf(name) => self.log.is_called(file, name),
        };
        if lies {
            return;
        }
        let file = &mut self.files[file];
        let count = file.open.partition_point(|at| *at < since);
        for at in file.open.drain(..count) {
            apply(self.log, at, &mut file.synced);
        }
    }

    fn sync_folder(&mut self, since: usize) {
        if matches!(self.trust, Trust::Nothing | Trust::NotOfFolder) {
            return;
        }
        let count = self.moves.partition_point(|at| *at < since);
        for at in self.moves.drain(..count) {
            move_name(self.log.ops[at], &mut self.names);
        }
    }

    /// The files as programs see them now.
    pub(crate) fn seen(&self) -> Image {
        self.with(|_| Fate::All, &mut Rng::with_seed(0))
    }

    /// The files as a power cut may leave them.
    pub(crate) fn cut(&self, rng: &mut Rng) -> Image {
        let shared = rng.bool().then(|| Fate::any(rng));
        self.with(|rng| shared.unwrap_or_else(|| Fate::any(rng)), rng)
    }

    /// The files as a power cut leaves them, with one fate for all.
    pub(crate) fn cut_to(&self, fate: Fate, rng: &mut Rng) -> Image {
        self.with(|_| fate, rng)
    }

    fn with(&self, fate: impl Fn(&mut Rng) -> Fate, rng: &mut Rng) -> Image {
        let mut how = String::new();
        let mut names = self.names.clone();
        if !self.moves.is_empty() {
            let fate = fate(rng);
            how += &format!("names: {fate:?} of {}", self.moves.len());
            self.moved(fate, &mut names, rng);
        }
        let mut files = BTreeMap::new();
        for (name, file) in names {
            let name = &self.log.names[name];
            let file = &self.files[file];
            let mut bytes = file.synced.clone();
            if !file.open.is_empty() {
                let fate = fate(rng);
                if !how.is_empty() {
                    how += ", ";
                }
                how += &format!("{name}: {fate:?} of {}", file.open.len());
                self.fill(fate, file, &mut bytes, rng);
            }
            files.insert(name.clone(), bytes);
        }
        Image {
            at: self.at,
            how,
            files,
        }
    }

    /// Which operations on names happened. A part of one is not to be had, and each
    /// name sees its own in order.
    fn moved(&self, fate: Fate, names: &mut BTreeMap<NameId, FileId>, rng: &mut Rng) {
        let count = self.moves.len();
        let until = match fate {
            Fate::Nothing => 0,
            Fate::All => count,
            Fate::Prefix | Fate::Torn => rng.usize(..=count),
            Fate::Subset | Fate::Sectors => {
                let mut until = BTreeMap::new();
                for (i, at) in self.moves.iter().enumerate() {
                    let op = self.log.ops[*at];
                    let all_before = touched(op)
                        .all(|n| i < *until.entry(n).or_insert_with(|| rng.usize(..=count)));
                    if all_before {
                        move_name(op, names);
                    } else {
                        // What follows on these names did not happen either.
                        touched(op).for_each(|n| {
                            until.insert(n, 0);
                        });
                    }
                }
                return;
            }
        };
        for at in &self.moves[..until] {
            move_name(self.log.ops[*at], names);
        }
    }

    /// Which operations on a file happened.
    fn fill(&self, fate: Fate, file: &File, bytes: &mut Vec<u8>, rng: &mut Rng) {
        let before = bytes.len();
        let open = &file.open;
        let until = match fate {
            Fate::Nothing => 0,
            Fate::All => open.len(),
            Fate::Prefix | Fate::Torn => rng.usize(..=open.len()),
            Fate::Subset => {
                for at in open {
                    if rng.bool() {
                        apply(self.log, *at, bytes);
                    }
                }
                0
            }
            Fate::Sectors => {
                for at in open {
                    tear(self.log, *at, bytes, |_| rng.bool());
                }
                0
            }
        };
        for at in &open[..until] {
            apply(self.log, *at, bytes);
        }
        if fate == Fate::Torn
            && let Some(at) = open.get(until)
        {
            let (cut, keeps_first) = (rng.u64(..16), rng.bool());
            tear(self.log, *at, bytes, |i| (i < cut) == keeps_first);
        }
        // The length is kept apart from the bytes.
        if !matches!(fate, Fate::Nothing | Fate::All) {
            match rng.u32(..4) {
                0 => {
                    let mut whole = file.synced.clone();
                    open.iter().for_each(|at| apply(self.log, *at, &mut whole));
                    if whole.len() > bytes.len() {
                        bytes.resize(whole.len(), 0);
                    }
                }
                1 if bytes.len() > before => bytes.truncate(before),
                _ => {}
            }
        }
    }
}

/// The names that an operation is about.
fn touched(op: Op) -> impl Iterator<Item = NameId> {
    let (a, b) = match op {
        Op::Create { name, .. } | Op::Unlink { name } => (name, None),
        Op::Rename { from, to } | Op::Link { from, to } => (from, Some(to)),
        _ => unreachable!("no operation on names"),
    };
    std::iter::once(a).chain(b)
}

fn move_name(op: Op, names: &mut BTreeMap<NameId, FileId>) {
    match op {
        Op::Create { name, file } => {
            names.insert(name, file);
        }
        Op::Unlink { name } => {
            names.remove(&name);
        }
        Op::Rename { from, to } => {
            if let Some(file) = names.remove(&from) {
                names.insert(to, file);
            }
        }
        Op::Link { from, to } => {
            if let Some(file) = names.get(&from).copied() {
                names.insert(to, file);
            }
        }
        _ => unreachable!("no operation on names"),
    }
}

fn size(n: u64) -> usize {
    usize::try_from(n).expect("files fit into memory")
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset {
        bytes.resize(offset, 0);
    }
    // What is written over, and what is added.
    let (over, added) = data.split_at(data.len().min(bytes.len() - offset));
    bytes[offset..offset + over.len()].copy_from_slice(over);
    bytes.extend_from_slice(added);
}

fn apply(log: &Log, at: usize, bytes: &mut Vec<u8>) {
    match log.ops[at] {
        Op::Write {
            offset, at, length, ..
        } => put(bytes, size(offset), log.data(at, length)),
        Op::Truncate { length, .. } => bytes.resize(size(length), 0),
        Op::Allocate { length, .. } => {
            if bytes.len() < size(length) {
                bytes.resize(size(length), 0);
            }
        }
        _ => unreachable!("no operation on a file"),
    }
}

/// A part of an operation: of a write those sectors that `takes`, by their number within it.
fn tear(log: &Log, at: usize, bytes: &mut Vec<u8>, mut takes: impl FnMut(u64) -> bool) {
    let Op::Write {
        offset, at, length, ..
    } = log.ops[at]
    else {
        if takes(0) {
            apply(log, at, bytes);
        }
        return;
    };
    let data = log.data(at, length);
    let (first, end) = (offset / SECTOR, (offset + length as u64).div_ceil(SECTOR));
    for sector in first..end {
        if takes(sector - first) {
            let from = (sector * SECTOR).max(offset);
            let to = ((sector + 1) * SECTOR).min(offset + length as u64);
            put(
                bytes,
                size(from),
                &data[size(from - offset)..size(to - offset)],
            );
        }
    }
}
