//! The recorder and the disk themselves, with plain files.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use fastrand::Rng;

use crate::{
    child,
    disk::{Disk, Fate, Image, Trust},
    record::{Log, Op},
    shim_or_skip,
};

/// What the recorded program does.
pub(crate) fn write(folder: &Path) {
    let handle = File::open(folder).expect("the folder opens");
    let mut a = File::create(folder.join("a")).expect("a new file");
    handle.sync_all().expect("the folder is synced");
    a.write_all(b"first ").expect("a write");
    a.sync_all().expect("a sync");
    a.write_all(&[b'x'; 2000]).expect("a write");
    a.write_all_at(b"FIRST", 0).expect("a write");
    a.set_len(1500).expect("a length");
    a.seek(SeekFrom::End(0)).expect("a position");
    a.write_all(b"end").expect("a write");

    // A file takes another's place, as is done to keep either the old or the new one.
    fs::write(folder.join("b.new"), b"new").expect("a write");
    File::open(folder.join("b.new"))
        .and_then(|f| f.sync_all())
        .expect("a sync");
    fs::rename(folder.join("b.new"), folder.join("b")).expect("a rename");
    handle.sync_all().expect("the folder is synced");
    fs::remove_file(folder.join("b")).expect("a removal");
    fs::write(folder.join("b"), b"another").expect("a write");
    fs::write(folder.join("c"), b"c").expect("a write");
    fs::hard_link(folder.join("c"), folder.join("d")).expect("a link");
}

/// What the program did, and how its folder looks.
fn recorded() -> Option<(Log, Image)> {
    let shim = shim_or_skip("power cuts of plain files")?;
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let folder = scratch.path().canonicalize().expect("a path").join("files");
    fs::create_dir(&folder).expect("a folder");
    let log = scratch.path().join("log");
    let output = child("plain", shim, &folder, &log);
    assert!(output.status.success(), "{}", crate::record::said(&output));
    let mut seen = Image::default();
    for file in fs::read_dir(&folder).expect("the folder") {
        let path = file.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        seen.files.insert(name, fs::read(&path).expect("a file"));
    }
    Some((Log::read(&log), seen))
}

fn text(image: &Image, name: &str) -> Option<String> {
    image
        .files
        .get(name)
        .map(|b| String::from_utf8_lossy(b).into_owned())
}

#[test]
fn the_record_is_whole() {
    let Some((log, seen)) = recorded() else {
        return;
    };
    let mut disk = Disk::new(&log, Trust::All);
    disk.advance(log.ops.len());
    assert_eq!(disk.seen().files, seen.files);
    assert_eq!(seen.files["a"].len(), 1503);
    assert!(seen.files["a"].starts_with(b"FIRST xxx"));
}

#[test]
fn what_is_synced_is_there_and_the_rest_may_be() {
    let Some((log, _)) = recorded() else { return };
    let synced = log
        .ops
        .iter()
        .position(|op| matches!(op, Op::Synced { .. }))
        .expect("a sync");
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..300 {
        let mut disk = Disk::new(&log, Trust::All);
        let mut rng = Rng::with_seed(seed);
        disk.advance(synced);
        before.insert(text(&disk.cut(&mut rng), "a"));
        disk.advance(synced + 1);
        after.insert(text(&disk.cut(&mut rng), "a"));
    }
    // The file's name is synced before, its bytes only after.
    let expected = ["", "first ", "\0\0\0\0\0\0"].map(|s| Some(s.to_owned()));
    assert_eq!(before, expected.into());
    assert_eq!(after, [Some("first ".to_owned())].into());

    let mut lies = Disk::new(&log, Trust::Nothing);
    lies.advance(log.ops.len());
    let image = lies.cut_to(Fate::Nothing, &mut Rng::with_seed(1));
    assert!(image.files.is_empty(), "{image}");
}

#[test]
fn a_write_may_be_torn_and_lengths_may_differ() {
    let Some((log, _)) = recorded() else { return };
    let mut disk = Disk::new(&log, Trust::All);
    let rename = log
        .ops
        .iter()
        .position(|op| matches!(op, Op::Rename { .. }))
        .expect("a rename");
    disk.advance(rename);
    let mut rng = Rng::with_seed(1);
    let images: Vec<String> = (0..500)
        .filter_map(|_| text(&disk.cut(&mut rng), "a"))
        .collect();
    assert_eq!(images.len(), 500);
    // The synced bytes may be written over, but not be gone.
    assert!(
        images
            .iter()
            .all(|a| a.starts_with("first ") || a.starts_with("FIRST "))
    );
    let is_left = |fits: fn(&str) -> bool| images.iter().any(|a| fits(a));
    assert!(is_left(|a| a.contains('x') && a.len() < 1500), "a part");
    assert!(
        is_left(|a| a.trim_end_matches('\0').contains('\0')),
        "a hole"
    );
    assert!(
        is_left(|a| a.len() >= 1500 && a.trim_end_matches('\0') == "first "),
        "only the length"
    );
    assert!(is_left(|a| a.len() == 2006), "what is cut off later");
    assert!(
        is_left(|a| a == "FIRST "),
        "a later write without an earlier one"
    );
    assert!(is_left(|a| a.ends_with("xxxend")), "all");
    assert!(is_left(|a| a == "first "), "nothing");
}

#[test]
fn names_come_and_go_in_order() {
    let Some((log, _)) = recorded() else { return };
    let mut disk = Disk::new(&log, Trust::All);
    let rename = log
        .ops
        .iter()
        .position(|op| matches!(op, Op::Rename { .. }))
        .expect("a rename");
    let mut rng = Rng::with_seed(1);
    let mut seen = BTreeSet::new();
    disk.advance(rename + 1);
    for _ in 0..200 {
        let image = disk.cut(&mut rng);
        seen.insert((text(&image, "b.new"), text(&image, "b")));
    }
    let new = Some("new".to_owned());
    assert_eq!(
        seen,
        [(None, None), (new.clone(), None), (None, new.clone())].into()
    );

    disk.advance(log.ops.len());
    let mut seen = BTreeSet::new();
    for _ in 0..500 {
        let image = disk.cut(&mut rng);
        assert_eq!(image.files.get("b.new"), None);
        seen.insert(text(&image, "b").map(|b| b.trim_end_matches('\0').to_owned()));
        assert!(
            text(&image, "d").is_none() || text(&image, "c").is_some(),
            "{image}"
        );
    }
    let old_or_later = [Some("new"), None, Some(""), Some("another")];
    assert_eq!(seen, old_or_later.map(|b| b.map(str::to_owned)).into());
}
