//! A file of mails, each begun by a line `From ` (RFC 4155).

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    super::{
        find::{Mail, Place},
        head::MOST_OCTETS,
    },
    Reads, blocking,
    maildir::{folder_of, unreadable},
};
use crate::connection::Stop;

/// How far before its end a file is read where an earlier canary may have come meanwhile.
const BACK: u64 = 1024 * 1024;
/// The most octets of one look; the others are at the next one.
const MOST: u64 = 16 * 1024 * 1024;
/// How many octets before the place that it was read to must be as they were: else somebody removed
/// or marked mails, and others have moved.
const KEPT: usize = 512;

/// A file, and how far it was read.
#[derive(Debug)]
pub(crate) struct Mbox {
    path: PathBuf,
    /// Which file it was; another one is read from its start.
    inode: u64,
    at: u64,
    /// The last octets before `at`.
    kept: Vec<u8>,
    reader: Reader,
}

impl Mbox {
    /// From its end on, or from a little before it. That there is none yet is no fault.
    pub(crate) async fn open(path: &Path, before: bool) -> Result<Self, Stop> {
        let path = path.to_owned();
        blocking(move || {
            let mut mbox = Self {
                inode: 0,
                at: 0,
                kept: Vec::new(),
                reader: Reader::default(),
                path,
            };
            folder_of(&mbox.path)?;
            // A file that cannot be opened is told now, before anything is sent.
            let found = open_file(&mbox.path).and_then(|found| {
                let Some((mut file, meta)) = found else {
                    return Ok(());
                };
                let back = if before { BACK } else { 0 };
                mbox.inode = meta.ino();
                mbox.at = meta.len().saturating_sub(back);
                mbox.kept = mbox.before(&mut file)?;
                Ok(())
            });
            found.map_err(|e| unreadable(&mbox.path, &e))?;
            Ok(mbox)
        })
        .await
    }

    /// What stands before the place that it was read to.
    fn before(&self, file: &mut fs::File) -> io::Result<Vec<u8>> {
        let start = self.at.saturating_sub(KEPT as u64);
        file.seek(SeekFrom::Start(start))?;
        let mut octets = Vec::new();
        file.take(self.at - start).read_to_end(&mut octets)?;
        Ok(octets)
    }

    fn read_on(&mut self) -> io::Result<Vec<Mail>> {
        let Some((mut file, meta)) = open_file(&self.path)? else {
            return Ok(Vec::new());
        };
        if meta.ino() != self.inode || meta.len() < self.at || self.before(&mut file)? != self.kept
        {
            self.inode = meta.ino();
            self.at = 0;
            self.kept.clear();
            self.reader = Reader::default();
        }
        file.seek(SeekFrom::Start(self.at))?;
        let mut file = file.take(MOST);
        let mut block = vec![0; 64 * 1024];
        let mut mails = Vec::new();
        loop {
            let n = file.read(&mut block)?;
            if n == 0 {
                break;
            }
            self.at += n as u64;
            self.reader.take(&block[..n], &mut mails);
            self.kept.extend_from_slice(&block[..n]);
            let more = self.kept.len().saturating_sub(KEPT);
            self.kept.drain(..more);
        }
        // The last one may have more to come: it is handed over each time that it has grown.
        mails.extend(self.reader.current());
        let mails = mails.into_iter().map(|start| Mail {
            start,
            at: None,
            place: Place::Gone,
        });
        Ok(mails.collect())
    }
}

/// A file, if there is one yet; anything else may never be read to an end.
fn open_file(path: &Path) -> io::Result<Option<(fs::File, fs::Metadata)>> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(io::Error::other("it is no file of mails")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    }
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let meta = file.metadata()?;
    Ok(Some((file, meta)))
}

impl Reads for Mbox {
    fn read(&mut self) -> Result<Vec<Mail>, Stop> {
        self.read_on().map_err(|e| unreadable(&self.path, &e))
    }
}

/// Divides what comes into mails, of each of which the start is kept.
#[derive(Debug, Default)]
struct Reader {
    /// The line that has not ended yet, as far as it matters.
    line: Vec<u8>,
    mail: Option<Vec<u8>>,
    /// Whether the line before was empty.
    is_after_empty: bool,
    /// Whether `mail` was handed over as it is.
    is_seen: bool,
}

impl Reader {
    fn take(&mut self, block: &[u8], mails: &mut Vec<Vec<u8>>) {
        for piece in block.split_inclusive(|b| *b == b'\n') {
            let room = MOST_OCTETS.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line(mails);
            }
        }
    }

    fn end_line(&mut self, mails: &mut Vec<Vec<u8>>) {
        let mut line = std::mem::take(&mut self.line);
        // One that was cut.
        if !line.ends_with(b"\n") {
            line.pop();
            line.push(b'\n');
        }
        let is_empty = line.trim_ascii().is_empty();
        let begins = line.starts_with(b"From ") && (self.mail.is_none() || self.is_after_empty);
        self.is_after_empty = is_empty;
        if begins {
            if let Some(mail) = self.mail.replace(Vec::new())
                && !self.is_seen
            {
                mails.push(mail);
            }
            self.is_seen = false;
        } else if let Some(mail) = &mut self.mail {
            let room = MOST_OCTETS.saturating_sub(mail.len());
            if room > 0 {
                mail.extend_from_slice(&line[..line.len().min(room)]);
                self.is_seen = false;
            }
        }
    }

    /// The last mail, if there is more of it than was seen.
    fn current(&mut self) -> Option<Vec<u8>> {
        let is_new = !std::mem::replace(&mut self.is_seen, true);
        self.mail.clone().filter(|_| is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &[u8] =
        b"half of another\n\nFrom a Sun Nov 22\nA: 1\n\nbody\nFrom here\n\nFrom b Sun\nB: 2\n\n";

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut mails) = (Reader::default(), Vec::new());
        for piece in pieces {
            reader.take(piece, &mut mails);
        }
        mails.extend(reader.current());
        assert_eq!(reader.current(), None);
        mails
            .into_iter()
            .map(|m| String::from_utf8(m).unwrap())
            .collect()
    }

    #[test]
    fn mails_begin_after_an_empty_line() {
        let want = ["A: 1\n\nbody\nFrom here\n\n", "B: 2\n\n"];
        assert_eq!(read(&[FILE]), want);
        assert!(read(&[b"no mail\n"]).is_empty());
    }

    #[test]
    fn a_long_line_and_a_long_mail_are_cut() {
        let long = [
            b"From a\nA: ".as_slice(),
            &vec![b'x'; 300_000],
            b"\n\nFrom b\nB: 2\n",
        ]
        .concat();
        let mails = read(&[&long]);
        assert_eq!(mails.len(), 2);
        assert_eq!(mails[0].len(), MOST_OCTETS);
        assert_eq!(mails[1], "B: 2\n");
    }

    #[test]
    fn what_grows_is_handed_over_again() {
        let (mut reader, mut mails) = (Reader::default(), Vec::new());
        reader.take(b"From a\nA: ", &mut mails);
        assert_eq!(reader.current(), Some(Vec::new()));
        reader.take(b"1\n\n", &mut mails);
        assert_eq!(reader.current(), Some(b"A: 1\n\n".to_vec()));
        reader.take(b"From b\n", &mut mails);
        // The first one was seen whole.
        assert!(mails.is_empty());
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(cut in 0..FILE.len(), second in 0..FILE.len()) {
            let (a, b) = (cut.min(second), cut.max(second));
            prop_assert_eq!(read(&[&FILE[..a], &FILE[a..b], &FILE[b..]]), read(&[FILE]));
        }
    }
}
