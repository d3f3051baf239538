//! SQLite's log of what is not in the main file yet, read without SQLite: its format is
//! described in <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

/// The bytes before the first frame.
const HEADER: usize = 32;
/// The bytes of a frame before its page.
pub(crate) const FRAME: usize = 24;

/// A frame of the log whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Which page it is a new state of.
    pub(crate) page: u32,
    /// Where that state begins in the log.
    pub(crate) offset: u64,
    /// The size of the file in pages, if it ends a commit.
    pub(crate) commits: Option<u32>,
}

/// What is in a log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) page_size: u32,
    /// Frames that are right, in order, those behind a wrong one included.
    pub(crate) frames: Vec<Frame>,
    /// How many of them SQLite reads: up to the first wrong one.
    pub(crate) plain: usize,
    /// Frames that are wrong.
    pub(crate) wrong: u64,
    /// It is not only that the last commit was cut short: something before it is wrong.
    pub(crate) is_damaged: bool,
}

/// The running checksum of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn add(&mut self, bytes: &[u8], big_endian: bool) {
        let word = |b: &[u8]| {
            let b = [b[0], b[1], b[2], b[3]];
            if big_endian {
                u32::from_be_bytes(b)
            } else {
                u32::from_le_bytes(b)
            }
        };
        for pair in bytes.chunks_exact(8) {
            self.0 = self.0.wrapping_add(word(&pair[..4])).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(word(&pair[4..])).wrapping_add(self.0);
        }
    }
}

/// A big-endian number in a buffer that is long enough.
pub(crate) fn number(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

impl Log {
    /// Reads the log of an outbox; an empty one if there is none.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let length = file.metadata()?.len();
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut header = [0; HEADER];
        if length <= HEADER as u64 || file.read_exact(&mut header).is_err() {
            return Ok(Self::default());
        }
        let magic = number(&header, 0);
        let big_endian = magic & 1 == 1;
        let mut sum = Sum(0, 0);
        sum.add(&header[..24], big_endian);
        let page_size = number(&header, 8);
        let is_right = magic & !1 == 0x377f_0682
            && sum == Sum(number(&header, 24), number(&header, 28))
            && page_size.is_power_of_two()
            && (512..=65_536).contains(&page_size);
        if !is_right {
            // The header is on the disk before the first frame.
            return Ok(Self {
                is_damaged: true,
                wrong: 1,
                ..Self::default()
            });
        }
        let mut log = Self {
            page_size,
            ..Self::default()
        };
        log.read_frames(&mut file, &header[16..24], sum, big_endian)?;
        Ok(log)
    }

    fn read_frames(
        &mut self,
        file: &mut impl Read,
        salt: &[u8],
        mut sum: Sum,
        big_endian: bool,
    ) -> io::Result<()> {
        let mut frame = vec![0; FRAME + self.page_size as usize];
        let mut offset = HEADER as u64;
        // SQLite stops reading at the first frame that is not right.
        let mut stopped = false;
        // A commit ended behind that.
        let mut ended = false;
        loop {
            match file.read_exact(&mut frame) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(e) => return Err(e),
            }
            let kept = Sum(number(&frame, 16), number(&frame, 20));
            let mut own = sum;
            own.add(&frame[..8], big_endian);
            own.add(&frame[FRAME..], big_endian);
            // The next frame's sum goes on from what this one says.
            sum = kept;
            offset += frame.len() as u64;
            let is_of_this_log = frame[8..16] == *salt;
            let is_right = is_of_this_log && own == kept;
            stopped |= !is_right;
            if !is_of_this_log {
                continue;
            }
            // Each commit is on the disk before the next one begins. So only the last one
            // can be cut short, and nothing of this log follows its end.
            self.is_damaged |= ended;
            let commits = Some(number(&frame, 4)).filter(|n| *n > 0);
            ended |= stopped && commits.is_some();
            if is_right {
                self.frames.push(Frame {
                    page: number(&frame, 0),
                    offset: offset - u64::from(self.page_size),
                    commits,
                });
            } else {
                self.wrong += 1;
            }
            if !stopped {
                self.plain = self.frames.len();
            }
        }
        Ok(())
    }
}
