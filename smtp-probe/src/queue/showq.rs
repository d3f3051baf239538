//! What showq(8) says: attributes as texts that end in NUL, a record's end as an empty name, the
//! end of the list as an empty record.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use super::record::Record;

/// The most octets of a value that are kept; the rest is read and forgotten.
const KEPT: usize = 1024;
/// The longest value that is believed to be one.
const LONGEST: usize = 1024 * 1024;

/// The messages of a list, one after the other.
#[derive(Debug)]
pub(super) struct Records<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin + Send> Records<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
        }
    }

    /// The next message; none at the end of the list.
    pub(super) async fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let mut record = Record::default();
            let mut count = 0_u64;
            // Postfix 3.5 and later say first which protocol it is.
            let mut is_preamble = false;
            loop {
                let name = self.text().await?;
                if name.is_empty() {
                    break;
                }
                let value = self.text().await?;
                is_preamble |= count == 0 && name == "protocol";
                count += 1;
                record.set(&name, &value);
            }
            match (count, is_preamble) {
                (0, _) => return Ok(None),
                (_, true) => {}
                (_, false) if record.id.is_empty() || record.queue.is_empty() => {
                    return Err(wrong("a message without a queue or an id"));
                }
                (_, false) => return Ok(Some(record)),
            }
        }
    }

    /// One text, up to NUL.
    async fn text(&mut self) -> io::Result<String> {
        self.buffer.clear();
        let mut seen = 0;
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = bytes.iter().position(|b| *b == 0);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let room = KEPT - self.buffer.len();
            self.buffer.extend_from_slice(&part[..part.len().min(room)]);
            seen += part.len();
            let used = end.map_or(bytes.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(String::from_utf8_lossy(&self.buffer).into_owned());
            }
            if seen > LONGEST {
                return Err(wrong("a text without end"));
            }
        }
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    /// Reads a list in pieces of this size.
    fn read(bytes: &[u8], piece: usize) -> io::Result<Vec<Record>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut records = Records::new(BufReader::with_capacity(piece, bytes));
            let mut all = Vec::new();
            while let Some(record) = records.next().await? {
                all.push(record);
            }
            Ok(all)
        })
    }

    fn attributes(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in pairs {
            for text in [name, value] {
                bytes.extend_from_slice(text.as_bytes());
                bytes.push(0);
            }
        }
        bytes.push(0);
        bytes
    }

    const PREAMBLE: &[(&str, &str)] = &[("protocol", "mail_queue_list_protocol")];

    #[test]
    fn messages_are_read_with_and_without_a_preamble() {
        let mail = attributes(&[
            ("queue_name", "deferred"),
            ("queue_id", "4jWKZS0gRfz2x"),
            ("time", "1795189888"),
            ("size", "312"),
            ("forced_expire", "0"),
            ("something_new", "x"),
            ("sender", "a@b.example"),
            ("recipient", "one@c.example"),
            (
                "reason",
                "connect to c.example[192.0.2.1]:25: Connection refused",
            ),
            ("recipient", "two@c.example"),
            (
                "reason",
                "connect to c.example[192.0.2.1]:25: Connection refused",
            ),
            ("recipient", "three@c.example"),
            ("reason", ""),
        ]);
        for preamble in [attributes(PREAMBLE), Vec::new()] {
            let list = [preamble, mail.clone(), mail.clone(), vec![0]].concat();
            for piece in [1, 7, 8192] {
                let found = read(&list, piece).unwrap();
                assert_eq!(found.len(), 2);
                assert_eq!(
                    (found[0].queue.as_str(), found[0].id.as_str()),
                    ("deferred", "4jWKZS0gRfz2x")
                );
                assert_eq!(found[0].arrival.unwrap().as_second(), 1_795_189_888);
                assert_eq!(
                    found[1].reasons,
                    ["connect to c.example[192.0.2.1]:25: Connection refused"]
                );
            }
        }
    }

    #[test]
    fn an_empty_queue_has_no_messages() {
        assert_eq!(read(&[0], 8192).unwrap(), []);
        assert_eq!(
            read(&[attributes(PREAMBLE), vec![0]].concat(), 8192).unwrap(),
            []
        );
    }

    #[test]
    fn a_list_that_breaks_off_is_an_error() {
        let whole = [
            attributes(PREAMBLE),
            attributes(&[("queue_name", "hold"), ("queue_id", "A1")]),
            vec![0],
        ]
        .concat();
        for end in 0..whole.len() {
            assert!(read(&whole[..end], 8192).is_err(), "{end}");
        }
        assert!(read(&attributes(&[("queue_name", "hold")]), 8192).is_err());
        assert!(read(b"220 mx.example ESMTP\r\n", 8192).is_err());
    }

    #[test]
    fn long_values_are_cut_and_endless_ones_refused() {
        let long = "x".repeat(100_000);
        let list = [
            attributes(&[
                ("queue_name", "hold"),
                ("queue_id", "A1"),
                ("reason", &long),
            ]),
            vec![0],
        ];
        assert_eq!(
            read(&list.concat(), 8192).unwrap()[0].reasons[0].len(),
            KEPT
        );
        let endless = vec![b'x'; LONGEST + 10_000];
        assert_eq!(
            read(&endless, 8192).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            mails in proptest::collection::vec(("[a-z]{1,12}", "[0-9A-Za-z]{1,20}", 1..4_000_000_000_i64, "[^\0]{0,60}"), 0..20),
            with_preamble in any::<bool>(),
            piece in 1..64_usize,
        ) {
            let mut list = if with_preamble { attributes(PREAMBLE) } else { Vec::new() };
            for (queue, id, time, reason) in &mails {
                let time = time.to_string();
                list.extend(attributes(&[("queue_name", queue), ("queue_id", id), ("time", &time), ("reason", reason)]));
            }
            list.push(0);
            let found = read(&list, piece).unwrap();
            prop_assert_eq!(found.len(), mails.len());
            for (record, (queue, id, time, reason)) in found.iter().zip(&mails) {
                prop_assert_eq!(&record.queue, queue);
                prop_assert_eq!(&record.id, id);
                prop_assert_eq!(record.arrival.unwrap().as_second(), *time);
                prop_assert_eq!(record.reasons.first().map_or("", String::as_str), reason.as_str());
            }
        }

        #[test]
        fn nothing_makes_it_panic_or_read_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1..64_usize) {
            let _ = read(&bytes, piece);
        }
    }
}
