//! Power cuts under load.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, mpsc},
};

use fastrand::Rng;
use tempfile::TempDir;

use crate::{
    child,
    disk::{Disk, Fate, Image, Trust},
    known::Known,
    load::{JOURNAL, Program, STORE},
    mark::{self, Act, Mark},
    record::{Log, Op, said},
    shim_or_skip, variable,
    verify::verify,
};

/// How many images are looked at unless more are asked for.
const IMAGES: usize = 2000;
/// How many of a disk that lies.
const LIES: usize = 30;
/// How many look at images at once.
const WORKERS: usize = 4;

/// What the load did and what it was told; the same for all tests here.
struct Recorded {
    seed: u64,
    log: Log,
    marks: Vec<(usize, Mark)>,
}

#[expect(clippy::print_stdout, reason = "what is needed to see it again")]
fn say(what: &str) {
    println!("{what}");
}

fn recorded(name: &str) -> Option<&'static Recorded> {
    static RECORDED: OnceLock<Recorded> = OnceLock::new();
    let shim = shim_or_skip(name)?;
    Some(RECORDED.get_or_init(|| {
        let seed = variable("NOTIFIER_TEST_POWER_SEED")
            .map_or_else(|| fastrand::u64(..1 << 32), |s| s.parse().expect("a seed"));
        say(&format!("NOTIFIER_TEST_POWER_SEED={seed}"));
        let kept = keep().map(|folder| folder.join("log"));
        let log = match &kept {
            Some(log) if log.exists() => Log::read(log),
            _ => record(shim, seed, kept.as_deref()),
        };
        let marks = mark::marks(&log);
        Recorded { seed, log, marks }
    }))
}

/// Where the log and images that are wrong are kept, if they are. A log that is there is
/// read instead of recording another: with the same seed, it gives the same images.
fn keep() -> Option<PathBuf> {
    variable("NOTIFIER_TEST_POWER_KEEP").map(PathBuf::from)
}

/// Runs the load and reads what it did.
fn record(shim: &Path, seed: u64, keep: Option<&Path>) -> Log {
    let scratch = scratch();
    let folder = scratch.path().canonicalize().expect("a path").join("store");
    fs::create_dir(&folder).expect("a folder");
    let log = scratch.path().join("log");
    for number in 0..Program::ALL {
        let program = Program { number, seed };
        let output = child(&format!("{number} {seed}"), shim, &folder, &log);
        let is_killed = output.status.code().is_none();
        assert!(
            is_killed == program.is_killed() && (is_killed || output.status.success()),
            "{}",
            said(&output)
        );
    }
    if let Some(keep) = keep {
        fs::copy(&log, keep).expect("the log is kept");
    }
    let log = Log::read(&log);

    // What was recorded is what was done: nothing went past the recorder.
    let mut disk = Disk::new(&log, Trust::All);
    disk.advance(log.ops.len());
    let mut seen = Image::default();
    for file in fs::read_dir(&folder).expect("the folder") {
        let path = file.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if !name.ends_with("-shm") {
            seen.files.insert(name, fs::read(&path).expect("a file"));
        }
    }
    assert!(
        disk.seen().files == seen.files,
        "{} is not {seen}",
        disk.seen()
    );
    log
}

/// A folder in memory if that can be had: a sync there costs nothing.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary folder")
}

/// Moments worth a look, by kind: how many operations have happened.
fn moments(recorded: &Recorded) -> Vec<Vec<usize>> {
    let log = &recorded.log;
    let ops = &log.ops;
    let where_is = |fits: &dyn Fn(&Op) -> bool| -> Vec<usize> {
        let found = ops.iter().enumerate().filter(|(_, op)| fits(op));
        // Just before it, and just after.
        found.flat_map(|(i, _)| [i, i + 1]).collect()
    };
    let claimed = recorded
        .marks
        .iter()
        .position(|(_, m)| matches!(m, Mark::Acknowledged { .. }));
    let first_claim = claimed.map_or(0, |i| recorded.marks[i].0);
    // Every start but the first, and every clean end: what was done shortly before a claim.
    let starts = recorded
        .marks
        .iter()
        .filter(|(at, m)| {
            *at > first_claim
                && matches!(
                    m,
                    Mark::Asked {
                        act: Act::Claim,
                        ..
                    }
                )
        })
        .flat_map(|(at, _)| at.saturating_sub(60)..at + 20)
        .collect();
    let told =
        |(at, mark): &(usize, Mark)| matches!(mark, Mark::Acknowledged { .. }).then_some(at + 1);
    let kinds = vec![
        (0..=ops.len()).collect(),
        (0..first_claim + 20).collect(),
        starts,
        recorded.marks.iter().filter_map(told).collect(),
        where_is(&|op| matches!(*op, Op::Synced { file, .. } if log.is_called(file, JOURNAL))),
        where_is(&|op| matches!(*op, Op::Synced { file, .. } if log.is_called(file, STORE))),
        where_is(&|op| matches!(*op, Op::Write { file, .. } if log.is_called(file, STORE))),
        where_is(&|op| matches!(op, Op::Truncate { .. } | Op::Allocate { .. })),
        where_is(&|op| {
            matches!(
                op,
                Op::FolderSynced { .. }
                    | Op::Create { .. }
                    | Op::Rename { .. }
                    | Op::Unlink { .. }
                    | Op::Link { .. }
            )
        }),
    ];
    kinds.into_iter().filter(|k| !k.is_empty()).collect()
}

/// A power cut, and what was known before it.
struct Cut {
    number: usize,
    image: Image,
    known: Known,
}

/// Makes images, and hands each to one of several that look at it. Answers what they found.
fn look(
    recorded: &Recorded,
    trust: Trust,
    moments: &[usize],
    fate: Option<Fate>,
    finds: impl Fn(&Cut) -> Option<String> + Sync,
) -> Vec<String> {
    let found = Mutex::new(Vec::new());
    let (sender, receiver) = mpsc::sync_channel::<Cut>(WORKERS);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = receiver.lock().expect("no panic").recv();
                    let Ok(cut) = next else { break };
                    if let Some(what) = finds(&cut) {
                        found.lock().expect("no panic").push(what);
                    }
                }
            });
        }
        let mut disk = Disk::new(&recorded.log, trust);
        let mut known = Known::default();
        let mut marks = recorded.marks.iter().peekable();
        for (number, &at) in moments.iter().enumerate() {
            disk.advance(at);
            while let Some((_, mark)) = marks.next_if(|(i, _)| *i < at) {
                known.learn(mark);
            }
            let mut rng = Rng::with_seed(recorded.seed ^ (number as u64).rotate_left(40));
            let mut image = match fate {
                Some(fate) => disk.cut_to(fate, &mut rng),
                None => disk.cut(&mut rng),
            };
            image.files.remove(mark::FILE);
            let cut = Cut {
                number,
                image,
                known: known.clone(),
            };
            sender.send(cut).expect("somebody looks");
        }
        drop(sender);
    });
    found.into_inner().expect("no panic")
}

/// Starts an outbox on an image; answers what is wrong with it.
fn wrong(cut: &Cut, keeps: Option<&Path>) -> Option<String> {
    let folder = scratch();
    cut.image.write(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let looked = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(verify(folder.path(), &cut.known, cut.number))
    }));
    let wrong = looked.unwrap_or_else(|_| vec!["a panic, see above".to_owned()]);
    if wrong.is_empty() {
        return None;
    }
    let mut text = format!("image {}, {}:", cut.number, cut.image);
    for line in wrong.iter().take(5) {
        text += &format!("\n    {line}");
    }
    if wrong.len() > 5 {
        text += &format!("\n    and {} more", wrong.len() - 5);
    }
    if let Some(keeps) = keeps {
        let kept: PathBuf = keeps.join(format!("image-{}", cut.number));
        if fs::create_dir_all(&kept).is_ok() {
            cut.image.write(&kept);
            text += &format!("\n    kept in {}", kept.display());
        }
    }
    Some(text)
}

#[test]
fn nothing_acknowledged_is_lost_or_done_again() {
    let Some(recorded) = recorded("power cuts under load") else {
        return;
    };
    let count = variable("NOTIFIER_TEST_POWER_IMAGES")
        .map_or(IMAGES, |n| n.parse().expect("a number of images"));
    let kinds = moments(recorded);
    let mut rng = Rng::with_seed(recorded.seed);
    let mut chosen: Vec<usize> = (0..count)
        .map(|i| {
            let kind = &kinds[i % kinds.len()];
            kind[rng.usize(..kind.len())]
        })
        .collect();
    chosen.sort_unstable();
    let keeps = keep();
    let found = look(recorded, Trust::All, &chosen, None, |cut| {
        wrong(cut, keeps.as_deref())
    });
    assert!(
        found.is_empty(),
        "{} of {count} images are wrong, with NOTIFIER_TEST_POWER_SEED={}:\n{}",
        found.len(),
        recorded.seed,
        found[..found.len().min(10)].join("\n")
    );
    say(&format!(
        "{count} images of {} operations, {} acknowledged calls",
        recorded.log.ops.len(),
        recorded
            .marks
            .iter()
            .filter(|(_, m)| matches!(m, Mark::Acknowledged { .. }))
            .count(),
    ));
}

/// Each kind of sync is needed: were it left out, this would find it.
#[test]
fn a_disk_that_lies_is_found_out() {
    let Some(recorded) = recorded("power cuts of disks that lie") else {
        return;
    };
    let mut rng = Rng::with_seed(recorded.seed);
    let half = recorded.log.ops.len() / 2;
    let mut moments: Vec<usize> = (0..LIES)
        .map(|_| rng.usize(half..=recorded.log.ops.len()))
        .collect();
    moments.sort_unstable();
    for trust in [
        Trust::Nothing,
        Trust::NotOf(STORE),
        Trust::NotOf(JOURNAL),
        Trust::NotOfFolder,
    ] {
        let found = look(recorded, trust, &moments, None, |cut| wrong(cut, None));
        say(&format!(
            "{trust:?}: {} of {LIES} images are wrong",
            found.len()
        ));
        assert!(!found.is_empty(), "{trust:?} is not found out");
    }
}
