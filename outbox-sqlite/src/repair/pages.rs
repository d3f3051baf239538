//! The pages of a file, as the last commit left them.

use std::{collections::HashMap, fs::File, io, os::unix::fs::FileExt, path::Path};

use crate::{
    connection::beside,
    log::{Log, number},
};

/// The size of the pages that we make.
const USUAL: usize = 4096;

/// What a page is, as another one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The first page of a tree.
    Root,
    /// Unused.
    Free,
    /// The rest of a row that began on another page.
    Overflow,
    /// A page of a tree, below this one.
    Below(u32),
    /// Nobody says it, or what is said makes no sense.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Pages {
    main: File,
    log: Option<File>,
    size: usize,
    /// How many there are.
    pub(super) count: u32,
    /// Where the log has the newest state of a page.
    newer: HashMap<u32, u64>,
    /// Parts of the log that cannot be read.
    pub(super) bad_frames: u64,
}

impl Pages {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let main = File::open(path)?;
        let name = beside(path, "-wal");
        let log = Log::read(&name)?;
        let mut pages = Self {
            size: USUAL,
            count: 0,
            newer: HashMap::new(),
            bad_frames: if log.is_damaged { log.wrong } else { 0 },
            log: if log.frames.is_empty() {
                None
            } else {
                Some(File::open(name)?)
            },
            main,
        };
        let length = pages.main.metadata()?.len();
        pages.size = pages.find_size(log.page_size);
        pages.count = u32::try_from(length.div_ceil(pages.size as u64)).unwrap_or(u32::MAX);
        if log.page_size as usize == pages.size {
            pages.overlay(&log);
        }
        Ok(pages)
    }

    /// Notes what the commits in the log changed.
    fn overlay(&mut self, log: &Log) {
        let mut commit = Vec::new();
        // Behind a wrong frame a commit is as good as it can be.
        let frames = if log.is_damaged {
            &log.frames[..]
        } else {
            &log.frames[..log.plain]
        };
        for frame in frames {
            commit.push((frame.page, frame.offset));
            if let Some(count) = frame.commits {
                self.newer.extend(commit.drain(..));
                self.count = count;
            }
        }
    }

    /// The size of a page: as the log or the header says, if that can be.
    fn find_size(&self, of_log: u32) -> usize {
        if of_log > 0 {
            return of_log as usize;
        }
        let mut header = [0; 100];
        if self.main.read_exact_at(&mut header, 0).is_err() {
            return USUAL;
        }
        let said = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            n => usize::from(n),
        };
        if said == USUAL || !said.is_power_of_two() || said < 512 {
            return USUAL;
        }
        // The one by which more pages begin as pages of trees do.
        let trees = |size: usize| {
            (1..64)
                .filter(|n| {
                    let mut first = [0; 1];
                    self.main
                        .read_exact_at(&mut first, n * size as u64)
                        .is_ok_and(|()| matches!(first[0], 2 | 5 | 10 | 13))
                })
                .count()
        };
        if trees(said) > trees(USUAL) {
            said
        } else {
            USUAL
        }
    }

    /// The bytes of a page; `None` if there is no such page.
    pub(super) fn read(&self, page: u32) -> Option<Vec<u8>> {
        if page == 0 || page > self.count {
            return None;
        }
        let mut bytes = vec![0; self.size];
        let read = match (self.newer.get(&page), &self.log) {
            (Some(offset), Some(log)) => log.read_exact_at(&mut bytes, *offset),
            _ => {
                let offset = u64::from(page - 1) * self.size as u64;
                self.main.read_exact_at(&mut bytes, offset)
            }
        };
        read.is_ok().then_some(bytes)
    }

    /// No row is longer than this.
    pub(super) fn most_bytes(&self) -> usize {
        (self.count as usize).saturating_mul(self.size)
    }

    /// Whether a page says what others are, instead of holding something.
    pub(super) fn is_map(&self, page: u32) -> bool {
        page >= 2 && self.map_of(page) == page
    }

    /// The page that holds nothing, because its bytes serve as locks.
    pub(super) fn is_lock(&self, page: u32) -> bool {
        u64::from(page - 1) == (1 << 30) / self.size as u64
    }

    fn map_of(&self, page: u32) -> u32 {
        let each = u32::try_from(self.size / 5 + 1).unwrap_or(u32::MAX);
        let map = (page - 2) / each * each + 2;
        if self.is_lock(map) { map + 1 } else { map }
    }

    /// What a page is, as the page for that says.
    pub(super) fn role(&self, page: u32) -> Role {
        if page < 3 {
            return Role::Unknown;
        }
        let map = self.map_of(page);
        if page <= map {
            return Role::Unknown;
        }
        let Some(bytes) = self.read(map) else {
            return Role::Unknown;
        };
        let at = 5 * (page - map - 1) as usize;
        let parent = number(&bytes, at + 1);
        match bytes.get(at) {
            Some(1) if parent == 0 => Role::Root,
            Some(2) if parent == 0 => Role::Free,
            Some(3 | 4) => Role::Overflow,
            Some(5) if parent > 0 && parent <= self.count && parent != page => Role::Below(parent),
            _ => Role::Unknown,
        }
    }
}
