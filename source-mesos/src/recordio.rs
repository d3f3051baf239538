//! RecordIO: each record is its length in decimal digits, a line feed, and so many bytes.

use std::fmt;

/// Takes a stream of bytes apart into records, whatever pieces it comes in.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    max: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many digits of a length, and what they say.
    Length { digits: u8, value: u64 },
    /// So many bytes of a record are still to come.
    Body(u64),
    /// Where the next record begins can no longer be told.
    Lost(Broken),
}

const BETWEEN: State = State::Length {
    digits: 0,
    value: 0,
};

/// More are not needed for any length.
const MAX_DIGITS: u8 = 20;

/// A part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A record of so many bytes begins.
    Start(u64),
    /// Some of its bytes; never none.
    Data(&'a [u8]),
    /// It is complete.
    End,
}

/// The stream cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Something else where the length of a record should be.
    NoLength,
    /// A length above the limit.
    TooLong { limit: u64 },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLength => f.write_str("no length of a record where one should be"),
            Self::TooLong { limit } => write!(f, "a record of more than {limit} bytes"),
        }
    }
}

impl std::error::Error for Broken {}

impl Decoder {
    /// A decoder that refuses records of more bytes.
    pub(crate) fn new(max_record: u64) -> Self {
        Self {
            max: max_record,
            state: BETWEEN,
        }
    }

    /// Another limit for the records whose length was not read yet.
    pub(crate) fn set_max(&mut self, max_record: u64) {
        self.max = max_record;
    }

    /// The next piece, cut off the front of the bytes. None if more bytes are needed, and
    /// then all of these are used up.
    ///
    /// # Errors
    ///
    /// A length that is none or above the limit. All calls after that fail as well.
    pub(crate) fn decode<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Broken> {
        match self.state {
            State::Lost(broken) => Err(broken),
            State::Length { digits, value } => self.length(bytes, digits, value),
            State::Body(0) => {
                self.state = BETWEEN;
                Ok(Some(Piece::End))
            }
            State::Body(_) if bytes.is_empty() => Ok(None),
            State::Body(left) => {
                let here = usize::try_from(left).map_or(bytes.len(), |n| n.min(bytes.len()));
                let (data, rest) = bytes.split_at(here);
                *bytes = rest;
                self.state = State::Body(left - here as u64);
                Ok(Some(Piece::Data(data)))
            }
        }
    }

    fn length<'a>(
        &mut self,
        bytes: &mut &'a [u8],
        mut digits: u8,
        mut value: u64,
    ) -> Result<Option<Piece<'a>>, Broken> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            match byte {
                b'0'..=b'9' if digits < MAX_DIGITS => {
                    digits += 1;
                    // One that is too long is refused before its last digit: what comes
                    // after can only make it longer.
                    value = value
                        .checked_mul(10)
                        .and_then(|v| v.checked_add(u64::from(byte - b'0')))
                        .filter(|v| *v <= self.max)
                        .ok_or_else(|| self.lose(Broken::TooLong { limit: self.max }))?;
                }
                b'\n' if digits > 0 => {
                    self.state = State::Body(value);
                    return Ok(Some(Piece::Start(value)));
                }
                _ => return Err(self.lose(Broken::NoLength)),
            }
        }
        self.state = State::Length { digits, value };
        Ok(None)
    }

    fn lose(&mut self, broken: Broken) -> Broken {
        self.state = State::Lost(broken);
        broken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records, as far as they come, and why no more do.
    fn records(decoder: &mut Decoder, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<Broken>) {
        let mut out: Vec<Vec<u8>> = Vec::new();
        let mut open: Option<(u64, Vec<u8>)> = None;
        for piece in pieces {
            let mut bytes = *piece;
            loop {
                match decoder.decode(&mut bytes) {
                    Ok(None) => break,
                    Ok(Some(Piece::Start(n))) => {
                        assert!(open.replace((n, Vec::new())).is_none());
                    }
                    Ok(Some(Piece::Data(data))) => {
                        assert!(!data.is_empty());
                        open.as_mut().unwrap().1.extend_from_slice(data);
                    }
                    Ok(Some(Piece::End)) => {
                        let (n, record) = open.take().unwrap();
                        assert_eq!(record.len() as u64, n);
                        out.push(record);
                    }
                    Err(e) => return (out, Some(e)),
                }
            }
            assert!(bytes.is_empty());
        }
        (out, None)
    }

    fn all(max: u64, bytes: &[u8]) -> (Vec<Vec<u8>>, Option<Broken>) {
        records(&mut Decoder::new(max), &[bytes])
    }

    #[test]
    fn records_follow_one_another_and_may_be_empty() {
        let (records, broken) = all(100, b"3\nabc0\n2\n\n\n007\n1234567");
        assert_eq!(
            records,
            [
                b"abc".as_slice(),
                b"".as_slice(),
                b"\n\n".as_slice(),
                b"1234567".as_slice()
            ]
        );
        assert_eq!(broken, None);
    }

    #[test]
    fn what_is_no_length_is_the_end() {
        for bad in [
            "\n",
            "-1\n",
            "+1\n",
            " 1\n",
            "1 \n",
            "1\r\n",
            "x",
            "1x",
            "{}",
            "0x1\n",
            "000000000000000000001\n",
        ] {
            let mut decoder = Decoder::new(u64::MAX);
            let (found, broken) = records(&mut decoder, &[b"1\na", bad.as_bytes()]);
            assert_eq!(found.len(), 1, "{bad}");
            assert_eq!(broken, Some(Broken::NoLength), "{bad}");
            // For good.
            assert!(decoder.decode(&mut b"1\na".as_slice()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_above_the_limit_is_refused_by_its_length() {
        for (max, length) in [
            (9, "10"),
            (9, "4294967296"),
            (u64::MAX, "18446744073709551616"),
            (u64::MAX, "99999999999999999999"),
        ] {
            let e = Broken::TooLong { limit: max };
            assert_eq!(all(max, length.as_bytes()), (vec![], Some(e)), "{length}");
        }
        assert_eq!(all(9, b"9\n123456789").1, None);
        let mut decoder = Decoder::new(u64::MAX);
        assert_eq!(
            decoder.decode(&mut b"18446744073709551615\n".as_slice()),
            Ok(Some(Piece::Start(u64::MAX)))
        );
    }

    #[test]
    fn the_limit_can_change_after_the_first_record() {
        let mut decoder = Decoder::new(10);
        assert_eq!(records(&mut decoder, &[b"10\n0123456789"]).0.len(), 1);
        decoder.set_max(2);
        assert!(records(&mut decoder, &[b"3\n012"]).1.is_some());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            texts in prop::collection::vec("[0-9\n{}a]{0,30}", 0..6),
            junk in "[0-9\nx]{0,8}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = Vec::new();
            for text in &texts {
                stream.extend_from_slice(format!("{}\n{text}", text.len()).as_bytes());
            }
            stream.extend_from_slice(junk.as_bytes());
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
            let one = all(40, &stream);
            prop_assert_eq!(&records(&mut Decoder::new(40), &pieces), &one);
            prop_assert!(one.0.len() >= texts.len());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            all(50, &bytes);
        }
    }
}
