//! What the queue lies on, and what Postfix sees of the system from there.

use std::{io, path::Path};

use serde_json::json;
use tokio::time::timeout;

use crate::{
    main_cf,
    report::{Check, Class, Measure, Phase, State},
    target::{Bounds, Target},
};

use super::list::Place;

/// The largest resolv.conf that is one.
const MOST_OCTETS: u64 = 64 * 1024;
/// So many free octets are enough, however small a part of the disk they are: 10 GiB.
const ENOUGH: u64 = 10 << 30;

/// Kinds of file systems on which a queue is in danger, by their numbers; statfs(2).
const KINDS: &[(u64, &str, &str)] = &[
    (
        0x794c_7630,
        "overlayfs",
        "it is lost with the container: put the queue on a volume",
    ),
    (
        0x0102_1994,
        "tmpfs",
        "it is lost with the machine's memory: put the queue on a disk",
    ),
    (0x6969, "NFS", NETWORK),
    (0x00c3_6400, "CephFS", NETWORK),
    (0x6573_5546, "FUSE (such as GlusterFS)", NETWORK),
    (0xff53_4d42, "CIFS", NETWORK),
    (0xfe53_4d42, "SMB", NETWORK),
];
const NETWORK: &str = "two relays on one queue lose and double mail: give each relay a queue of its own, on a disk of its own";

/// Room, kind and resolver. Looks at files for a moment, in a thread of its own.
pub(super) async fn checks(place: &Place, target: &Target) -> Vec<Check> {
    let Some(folder) = place.folder.clone() else {
        let why = "the queue's folder is not known: name it instead of the socket";
        return ["spool", "resolv"]
            .map(|id| Check::skip(id, Phase::Queue, why))
            .to_vec();
    };
    let bounds = target.thresholds.spool_free;
    let main_cf = target.main_cf.clone();
    let text = format!("{} cannot be looked at in time", folder.display());
    let looking = tokio::task::spawn_blocking(move || {
        let least = main_cf.as_deref().and_then(least).unwrap_or_default();
        vec![
            room(&folder, least, bounds),
            resolver(&folder, Path::new("/etc/resolv.conf")),
        ]
    });
    // A disk may hang, and one on a network does.
    match timeout(target.limits.total, looking).await {
        Ok(Ok(found)) => found,
        _ => vec![
            Check::crit("spool", Phase::Queue, Class::Timeout, text.clone())
                .hint("look whether the disk, or the network's file system, still answers"),
            Check::skip("resolv", Phase::Queue, text),
        ],
    }
}

/// From how many free octets down smtpd takes no mail, postconf(5): `queue_minfree`, and one and a
/// half times `message_size_limit`.
fn least(main_cf: &Path) -> Option<u64> {
    let [least, size] = main_cf::values(main_cf, ["queue_minfree", "message_size_limit"])?;
    let number = |text: &str| text.trim().parse::<u64>().unwrap_or_default();
    Some(number(&least).max(number(&size).saturating_mul(3) / 2))
}

/// What is free.
#[derive(Clone, Copy, Debug)]
struct Free {
    /// Percent of the room, and octets.
    room: f64,
    octets: u64,
    /// Percent.
    inodes: f64,
}

fn room(folder: &Path, least: u64, bounds: Bounds) -> Check {
    let stat = rustix::fs::statvfs(folder);
    let kind = rustix::fs::statfs(folder);
    let (stat, kind) = match (stat, kind) {
        (Ok(stat), Ok(kind)) => (stat, kind),
        (Err(e), _) | (_, Err(e)) => {
            let text = format!("{}: {}", folder.display(), io::Error::from(e));
            return Check::unknown("spool", Phase::Queue, Class::Local, text)
                .hint("run where the queue's folder can be seen");
        }
    };
    let free = Free {
        room: percent(stat.f_bavail, stat.f_blocks),
        octets: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes: percent(stat.f_favail, stat.f_files),
    };
    // The number is of another width on other machines.
    let number = u64::try_from(kind.f_type).unwrap_or_default() & 0xffff_ffff;
    verdict(free, least, number, bounds)
}

/// Of what is free, what Postfix needs at least, and the file system's number. The room's percent
/// counts only where there is less than [`ENOUGH`].
fn verdict(free: Free, least: u64, number: u64, bounds: Bounds) -> Check {
    let Free {
        room,
        octets,
        inodes,
    } = free;
    let counts = match octets < ENOUGH {
        true => room.min(inodes),
        false => inodes,
    };
    let measure = Measure::new(counts, "%").below(bounds.warn, bounds.crit);
    let danger = KINDS.iter().find(|(n, ..)| *n == number);
    let mut text = format!(
        "{room:.0} % of the room ({}) and {inodes:.0} % of the inodes are free",
        amount(octets)
    );
    if let Some((_, name, _)) = danger {
        text.push_str(&format!(", on {name}"));
    }
    let mut state = measure.state();
    if octets <= least {
        state = State::Crit;
        let least = amount(least);
        text.push_str(&format!("; Postfix takes no mail at {least} and less"));
    }
    let mut check = Check::ok("spool", Phase::Queue, text);
    if state > State::Ok {
        check = check
            .class(Class::Local)
            .hint("make room at the queue's folder: Postfix takes no mail below queue_minfree, nor below one and a half times message_size_limit");
    }
    if let Some((_, _, hint)) = danger {
        state = state.max(State::Warn);
        check = check.class(Class::Local);
        if check.hint.is_none() {
            check = check.hint(*hint);
        }
    }
    let data = json!({"room_percent": room, "free_octets": octets, "inodes_percent": inodes, "file_system": danger.map(|d| d.1)});
    check.state(state).measure(measure).data(data)
}

/// `30 GiB`, `14 MiB`.
fn amount(octets: u64) -> String {
    match octets >> 30 {
        0 => format!("{} MiB", octets >> 20),
        n => format!("{n} GiB"),
    }
}

/// How much is free. What has no number, as inodes on some file systems, is free.
fn percent(free: u64, all: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let part = match all {
        0 => 1.0,
        _ => free as f64 / all as f64,
    };
    (part * 1000.0).round() / 10.0
}

/// Whether the copy of resolv.conf that Postfix sees in its chroot is the system's.
fn resolver(folder: &Path, system: &Path) -> Check {
    let copy = folder.join("etc/resolv.conf");
    let read = |path: &Path| smtp_wire::bounded(path, MOST_OCTETS);
    let skip = |why: &str| Check::skip("resolv", Phase::Queue, why);
    let inner = match read(&copy) {
        Ok(inner) => inner,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return skip("the queue's folder has no etc/resolv.conf: Postfix is not in a chroot");
        }
        Err(e) => return skip(&format!("{}: {e}", copy.display())),
    };
    let Ok(outer) = read(system) else {
        return skip("this system has no /etc/resolv.conf to compare with");
    };
    let (inner, outer) = (settings(&inner), settings(&outer));
    if inner == outer {
        return Check::ok(
            "resolv",
            Phase::Queue,
            "the chroot's resolv.conf is the system's",
        );
    }
    let shown = |lines: &[String]| match lines.is_empty() {
        true => "nothing".to_owned(),
        false => lines.join(", "),
    };
    let text = format!(
        "{} says {}; /etc/resolv.conf says {}",
        copy.display(),
        shown(&inner),
        shown(&outer)
    );
    Check::warn("resolv", Phase::Queue, Class::Local, text).hint(
        "copy /etc/resolv.conf into the chroot's etc whenever it changes, and restart Postfix; or take its services out of the chroot in master.cf",
    )
}

/// Its lines without comments.
fn settings(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|l| !l.is_empty() && !l.starts_with(['#', ';']));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    lines.map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds::new(20.0, 5.0);

    #[test]
    fn little_room_and_a_file_system_that_is_lost_are_told() {
        for (room, inodes, number, state, hint) in [
            (80.0, 90.0, 0xef53, State::Ok, None),
            (20.0, 90.0, 0xef53, State::Warn, Some("make room")),
            (80.0, 4.9, 0xef53, State::Crit, Some("make room")),
            (
                80.0,
                90.0,
                0x794c_7630,
                State::Warn,
                Some("it is lost with the container"),
            ),
            (
                80.0,
                90.0,
                0x6969,
                State::Warn,
                Some("two relays on one queue"),
            ),
            (3.0, 90.0, 0x6969, State::Crit, Some("make room")),
        ] {
            let free = Free {
                room,
                octets: 1 << 30,
                inodes,
            };
            let check = verdict(free, 0, number, BOUNDS);
            assert_eq!(check.state, state, "{check:?}");
            let said = check.hint.unwrap_or_default();
            assert!(said.starts_with(hint.unwrap_or_default()), "{said}");
            assert_eq!(said.is_empty(), hint.is_none());
        }
        assert_eq!(percent(1, 3), 33.3);
        assert_eq!(percent(0, 0), 100.0);
    }

    #[test]
    fn a_small_part_of_a_large_disk_is_enough() {
        let free = |room, octets, inodes| Free {
            room,
            octets,
            inodes,
        };
        let least = 15_360_000;
        for (free, state) in [
            (free(12.0, 30 << 30, 90.0), State::Ok),
            (free(12.0, (10 << 30) - 1, 90.0), State::Warn),
            (free(12.0, 30 << 30, 4.0), State::Crit),
            (free(80.0, least + 1, 90.0), State::Ok),
            (free(80.0, least, 90.0), State::Crit),
        ] {
            let check = verdict(free, least, 0xef53, BOUNDS);
            assert_eq!(check.state, state, "{check:?}");
            assert_eq!(check.hint.is_some(), state > State::Ok);
        }
        let text = verdict(free(12.0, 30 << 30, 90.0), least, 0xef53, BOUNDS).text;
        assert!(text.starts_with("12 % of the room (30 GiB)"), "{text}");
    }

    #[test]
    fn comments_and_blanks_make_no_difference() {
        let a = settings(b"# made by dhcp\nnameserver 10.0.0.2\n\nsearch  a.example b.example\n");
        assert_eq!(
            a,
            settings(b"nameserver\t10.0.0.2\nsearch a.example b.example")
        );
        assert_ne!(
            a,
            settings(b"nameserver 10.0.0.3\nsearch a.example b.example")
        );
    }
}
