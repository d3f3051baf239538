//! Long-running fuzzing without any tool of all that reads what masters and agents send:
//! states, records, streams of them and RecordIO, as they should be, mutated and random,
//! until the time is up.
//!
//! ```text
//! cargo run --release -p source-mesos --features unstable-internals --example fuzz-mesos -- SEED SECONDS
//! ```
//!
//! Nothing may panic, read differently in other pieces, take long, or take much memory; valid
//! JSON must not be refused as malformed; and what was not mutated must be read as it was
//! meant.

#![expect(clippy::print_stdout, reason = "the report is what it is for")]

mod document;
mod mutate;
mod text;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::{Duration, Instant},
};

use document::Document;
use fastrand::Rng;
use peak_alloc::PeakAlloc;
use serde::de::IgnoredAny;
use serde_json::Value;
use source_mesos::internals::{Found, Frame, Reader, frames, read};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What reading may take before it is reported: this, and so much for each byte.
const SLOW: Duration = Duration::from_millis(50);
const SLOW_BYTE: Duration = Duration::from_nanos(100);

/// What may be allocated at once while reading: this, and so much for each byte.
const MEMORY: Memory = Memory {
    base: 256 << 10,
    each: 12,
};

/// The same for lists that were filled with the smallest elements: of `{"id":"a"}` most is
/// what it does not say.
const MEMORY_OF_MANY: Memory = Memory {
    base: 1 << 20,
    each: 64,
};

/// One in so many inputs is made large.
const LARGE: u32 = 60;

/// The limits of streams.
const MAX_SNAPSHOT: u64 = 4 << 20;
const MAX_EVENT: u64 = 1 << 20;

const READERS: [Reader; 5] = [
    Reader::State,
    Reader::Agent,
    Reader::Record { live: false },
    Reader::Record { live: true },
    Reader::Stream {
        max: MAX_SNAPSHOT,
        max_event: MAX_EVENT,
    },
];

#[derive(Clone, Copy, Debug)]
struct Memory {
    base: usize,
    each: usize,
}

/// What is read: a text, or the records of a stream.
#[derive(Clone, Debug)]
struct Input {
    reader: Reader,
    bodies: Vec<Vec<u8>>,
    /// What it says, if it was not mutated.
    says: Option<Vec<Value>>,
    memory: Memory,
}

impl Input {
    fn generate(rng: &mut Rng, reader: Reader) -> Self {
        let documents: Vec<Document> = match reader {
            Reader::State => vec![document::state(rng)],
            Reader::Agent => vec![document::agent_state(rng)],
            Reader::Record { live } => vec![document::record(rng, live)],
            Reader::Stream { .. } => {
                let snapshot = document::subscribed(rng, false);
                let events = (0..rng.usize(0..12)).map(|_| document::event(rng));
                std::iter::once(snapshot).chain(events).collect()
            }
        };
        let (bodies, says) = documents.into_iter().map(|d| (d.body, d.says)).unzip();
        Self {
            reader,
            bodies,
            says: Some(says),
            memory: MEMORY,
        }
    }

    fn noise(rng: &mut Rng, reader: Reader) -> Self {
        let len = rng.usize(0..300);
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
        if rng.bool() {
            let alphabet = br#"{}[]",:\ 0129ntue-.e"#;
            bytes.fill_with(|| alphabet[rng.usize(..alphabet.len())]);
        }
        Self {
            reader,
            bodies: vec![bytes],
            says: None,
            memory: MEMORY,
        }
    }

    fn mutate(&mut self, rng: &mut Rng, other: &Self) {
        self.says = None;
        let other = &other.bodies[rng.usize(..other.bodies.len())];
        let at = rng.usize(..self.bodies.len());
        if matches!(self.reader, Reader::Stream { .. }) && rng.u8(..6) == 0 {
            match rng.u8(..3) {
                0 => self.bodies.push(other.clone()),
                1 if self.bodies.len() > 1 => {
                    self.bodies.remove(at);
                }
                _ => {
                    let to = rng.usize(..self.bodies.len());
                    self.bodies.swap(at, to);
                }
            }
        } else {
            mutate::mutate(rng, &mut self.bodies[at], other);
        }
    }

    /// All bytes as they come.
    fn bytes(&self, rng: &mut Rng) -> Vec<u8> {
        if !matches!(self.reader, Reader::Stream { .. }) {
            return self.bodies[0].clone();
        }
        let mut out = Vec::new();
        for body in &self.bodies {
            if rng.u8(..10) == 0 {
                out.extend_from_slice(b"0\n");
            }
            out.extend_from_slice(format!("{}\n", body.len()).as_bytes());
            out.extend_from_slice(body);
        }
        if self.says.is_none() && rng.u8(..4) == 0 {
            let lengths = [
                "4294967296",
                "18446744073709551615",
                "99999999999999999999",
                "x",
                "-1",
                "7",
            ];
            match rng.u8(..3) {
                0 => out.extend_from_slice(lengths[rng.usize(..lengths.len())].as_bytes()),
                1 => {
                    let length = lengths[rng.usize(..lengths.len())];
                    let line = out.iter().position(|b| *b == b'\n').unwrap_or(0);
                    out.splice(..line, length.bytes());
                }
                _ => {
                    let all = out.clone();
                    mutate::mutate(rng, &mut out, &all);
                }
            }
        }
        out
    }
}

/// Cuts as a network might make them.
fn cut<'a>(rng: &mut Rng, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let size = match rng.u8(..5) {
        // One by one takes long.
        0 if bytes.len() < 20_000 => 1,
        1 => 1 << rng.u8(6..17),
        2 => rng.usize(1..200),
        _ => 0,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = match size {
            0 => rng.usize(0..=2000.max(bytes.len() / 20)),
            size => size,
        };
        let (piece, after) = rest.split_at(most.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// What was found wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Panic,
    Pieces,
    Slow,
    Memory,
    Refused,
    Misread,
    RecordIo,
}

/// How an input was read.
#[derive(Default)]
struct Measured {
    took: Duration,
    peak: usize,
    is_read: bool,
}

fn collect<'a>(reader: Reader, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Found> {
    let mut all = Vec::new();
    read(reader, pieces, &mut |found| all.push(found));
    all
}

/// Whether the whole text was read, or why not.
fn failure(all: &[Found]) -> Option<&str> {
    let why = all.last().and_then(Found::failure)?;
    (why != "the end").then_some(why)
}

fn is_same(a: &[Found], b: &[Found]) -> bool {
    const ENDLESS: &str = "a key or a number without end";
    let is_endless = |all: &[Found]| failure(all).is_some_and(|why| why.starts_with(ENDLESS));
    // Where such a one is given up depends on the pieces.
    a == b || is_endless(a) && is_endless(b)
}

/// Reads an input in all ways, and tells what is wrong with it.
fn check(rng: &mut Rng, input: &Input, bytes: &[u8]) -> Result<Measured, Fault> {
    let reader = input.reader;
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let mut measured = Measured::default();
        let (before, started) = (ALLOCATOR.current_usage(), Instant::now());
        ALLOCATOR.reset_peak_usage();
        read(reader, [bytes], &mut drop);
        measured.took = started.elapsed();
        measured.peak = ALLOCATOR.peak_usage() - before;
        if measured.peak > input.memory.base + input.memory.each * bytes.len() {
            return Err(Fault::Memory);
        }
        // A busy machine makes anything slow.
        for _ in 0..4 {
            if measured.took < limit(bytes) / 4 {
                break;
            }
            let (started, before) = (Instant::now(), of_thread());
            read(reader, [bytes], &mut drop);
            let took = match (before, of_thread()) {
                (Some(before), Some(after)) => after.saturating_sub(before),
                _ => started.elapsed(),
            };
            measured.took = measured.took.min(took);
        }
        if measured.took > limit(bytes) {
            return Err(Fault::Slow);
        }
        let whole = collect(reader, [bytes]);
        if !is_same(&whole, &collect(reader, cut(rng, bytes))) {
            return Err(Fault::Pieces);
        }
        let why = failure(&whole);
        measured.is_read = why.is_none();
        if let Some(says) = &input.says {
            let told: Vec<Value> = whole
                .iter()
                .filter(|found| found.failure() != Some("the end"))
                .filter_map(Found::tell)
                .collect();
            if told != *says {
                return Err(Fault::Misread);
            }
        }
        if let Reader::Stream { max, .. } = reader {
            check_frames(rng, bytes, max)?;
        } else if why.is_some_and(|why| why.contains(" at byte "))
            && !is_refused_rightly(why, bytes)
        {
            return Err(Fault::Refused);
        }
        Ok(measured)
    }));
    checked.unwrap_or(Err(Fault::Panic))
}

/// How long this thread was at work, where that is told.
fn of_thread() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = stat.split_whitespace().next()?;
    nanos.parse().ok().map(Duration::from_nanos)
}

fn limit(bytes: &[u8]) -> Duration {
    SLOW + SLOW_BYTE * u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Only what is no JSON may be called so, apart from what is refused for another reason.
fn is_refused_rightly(why: Option<&str>, bytes: &[u8]) -> bool {
    const OTHER: [&str; 3] = [
        "a key that came before",
        "no object",
        "a key or a number without end",
    ];
    let is_other = |why: &str| OTHER.iter().any(|other| why.starts_with(other));
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    why.is_some_and(is_other) || serde_json::from_slice::<IgnoredAny>(bytes).is_err()
}

/// What RecordIO holds, read in the plainest way: its records, and whether an error follows.
fn plain_frames(mut bytes: &[u8], max: u64) -> (Vec<&[u8]>, bool) {
    let mut records = Vec::new();
    loop {
        let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let value = bytes[..digits].iter().try_fold(0_u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        });
        let Some(value) = value.filter(|v| *v <= max && digits <= 20) else {
            return (records, true);
        };
        match (digits, bytes.get(digits)) {
            (_, None) => return (records, false),
            (1.., Some(b'\n')) => {}
            _ => return (records, true),
        }
        let body = &bytes[digits + 1..];
        match usize::try_from(value) {
            Ok(len) if len <= body.len() => {
                records.push(&body[..len]);
                bytes = &body[len..];
            }
            _ => return (records, false),
        }
    }
}

/// RecordIO is taken apart as by the plainest reader, in any pieces.
fn check_frames(rng: &mut Rng, bytes: &[u8], max: u64) -> Result<(), Fault> {
    let max = if rng.bool() { max } else { rng.u64(..2000) };
    let (records, is_lost) = plain_frames(bytes, max);
    let mut expected = records.into_iter();
    let (mut claimed, mut body, mut is_right) = (0, Vec::new(), true);
    let why = frames(max, cut(rng, bytes), &mut |frame| match frame {
        Frame::Start(bytes) => {
            is_right &= bytes <= max && body.is_empty();
            claimed = bytes;
        }
        Frame::Data(data) => {
            is_right &= !data.is_empty();
            body.extend_from_slice(data);
        }
        Frame::End => {
            is_right &= body.len() as u64 == claimed && expected.next() == Some(&body[..]);
            body.clear();
        }
    });
    let is_right = is_right && expected.next().is_none() && why.is_some() == is_lost;
    is_right.then_some(()).ok_or(Fault::RecordIo)
}

/// The shortest text found with the same fault.
fn shrink(rng: &mut Rng, input: &Input, bytes: &[u8], fault: Fault) -> Vec<u8> {
    let mut best = bytes.to_vec();
    let until = Instant::now() + Duration::from_secs(5);
    let mut size = best.len() / 2;
    while size > 0 && Instant::now() < until {
        let mut at = 0;
        while at < best.len() && Instant::now() < until {
            let mut shorter = best.clone();
            shorter.drain(at..best.len().min(at + size));
            // Other cuts may be needed to see it.
            let is_seen = (0..4).any(|_| check(rng, input, &shorter).err() == Some(fault));
            if is_seen {
                best = shorter;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    best
}

fn print_difference(path: &str, told: &Value, meant: &Value) {
    match (told, meant) {
        _ if told == meant => {}
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            for (key, value) in a {
                print_difference(&format!("{path}/{key}"), value, &b[key]);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                print_difference(&format!("{path}/{i}"), a, b);
            }
        }
        _ => println!("  {path}\n    read  {told}\n    meant {meant}"),
    }
}

#[derive(Default)]
struct Report {
    executions: u64,
    bytes: u64,
    read: u64,
    generated: u64,
    faults: BTreeMap<Fault, u64>,
    slowest: (Duration, usize),
    largest: (usize, usize),
}

impl Report {
    fn add(&mut self, bytes: &[u8], measured: &Measured) {
        self.read += u64::from(measured.is_read);
        self.slowest = self.slowest.max((measured.took, bytes.len()));
        self.largest = self.largest.max((measured.peak, bytes.len()));
    }

    fn fault(&mut self, rng: &mut Rng, input: &Input, bytes: &[u8], fault: Fault) {
        let count = self.faults.entry(fault).or_default();
        *count += 1;
        if *count > 20 {
            return;
        }
        let is_shown_whole = fault == Fault::Misread;
        let shown = match is_shown_whole {
            true => bytes.to_vec(),
            false => shrink(rng, input, bytes, fault),
        };
        let start = &shown[..shown.len().min(3000)];
        println!(
            "{fault:?} by {:?}, {} of {} bytes: {}",
            input.reader,
            shown.len(),
            bytes.len(),
            start.escape_ascii()
        );
        if let Some(says) = input.says.as_ref().filter(|_| is_shown_whole) {
            let told = collect(input.reader, [bytes]);
            let told = told.iter().filter_map(Found::tell);
            for (told, meant) in told.zip(says) {
                print_difference("", &told, meant);
            }
        }
    }
}

fn fuzz(seed: u64, seconds: u64) -> Report {
    let mut rng = Rng::with_seed(seed);
    let mut kept: Vec<Vec<Input>> = READERS
        .iter()
        .map(|reader| {
            (0..100)
                .map(|_| Input::generate(&mut rng, *reader))
                .collect()
        })
        .collect();
    let mut report = Report::default();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let which = rng.usize(..READERS.len());
        let of_reader = &mut kept[which];
        let mut input = match rng.u8(..10) {
            0 => Input::noise(&mut rng, READERS[which]),
            1..4 => Input::generate(&mut rng, READERS[which]),
            _ => of_reader[rng.usize(..of_reader.len())].clone(),
        };
        if rng.u8(..6) > 0 {
            for _ in 0..rng.usize(1..6) {
                let other = rng.usize(..of_reader.len());
                input.mutate(&mut rng, &of_reader[other]);
            }
        }
        if rng.u32(..LARGE) == 0 {
            if rng.bool() {
                input = Input::generate(&mut rng, READERS[which]);
            }
            input.says = None;
            input.memory = MEMORY_OF_MANY;
            let at = rng.usize(..input.bodies.len());
            mutate::inflate(&mut rng, &mut input.bodies[at]);
        }
        let bytes = input.bytes(&mut rng);
        report.executions += 1;
        report.bytes += bytes.len() as u64;
        report.generated += u64::from(input.says.is_some());
        match check(&mut rng, &input, &bytes) {
            Err(fault) => report.fault(&mut rng, &input, &bytes, fault),
            Ok(measured) => {
                report.add(&bytes, &measured);
                // What can still be read is worth changing further.
                let is_kept = measured.is_read && bytes.len() < 30_000 && rng.u8(..4) == 0;
                if is_kept {
                    let place = rng.usize(..of_reader.len());
                    of_reader[place] = input;
                }
            }
        }
    }
    report
}

fn main() -> ExitCode {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().unwrap_or(1));
    let (seed, seconds) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(10));
    let report = fuzz(seed, seconds);
    println!(
        "seed {seed}, {seconds} s: {} executions with {} MiB, {} read, {} as generated; slowest {:?} for {} bytes, most memory {} KiB for {} bytes",
        report.executions,
        report.bytes >> 20,
        report.read,
        report.generated,
        report.slowest.0,
        report.slowest.1,
        report.largest.0 >> 10,
        report.largest.1,
    );
    if report.faults.is_empty() {
        println!("nothing found");
        return ExitCode::SUCCESS;
    }
    println!("found: {:?}", report.faults);
    ExitCode::FAILURE
}
