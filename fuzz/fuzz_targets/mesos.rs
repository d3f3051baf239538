//! Reads any bytes, in any pieces, with all that reads what masters and agents send.
//!
//! ```text
//! cargo +nightly fuzz run mesos
//! ```
//!
//! Without cargo-fuzz and on stable, for as long as one likes:
//! `cargo run --release -p source-mesos --features unstable-internals --example fuzz-mesos -- SEED SECONDS`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use source_mesos::internals::{Found, Reader, read};

const READERS: [Reader; 5] = [
    Reader::State,
    Reader::Agent,
    Reader::Record { live: false },
    Reader::Record { live: true },
    Reader::Stream {
        max: 4096,
        max_event: 1024,
    },
];

fn collect<'a>(reader: Reader, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Found> {
    let mut all = Vec::new();
    read(reader, pieces, &mut |found| all.push(found));
    all
}

// The first byte says what reads, the second one in which pieces.
fuzz_target!(|input: &[u8]| {
    let [reader, size, bytes @ ..] = input else {
        return;
    };
    let reader = READERS[usize::from(*reader) % READERS.len()];
    let pieces = bytes.chunks(usize::from(*size).max(1));
    assert_eq!(collect(reader, [bytes]), collect(reader, pieces));
});
