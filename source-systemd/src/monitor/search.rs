//! Where a unit's files are, for who cannot ask systemd (systemd.unit(5), "Unit File Load Path").

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The folders of units, the first one beats.
const SYSTEM: [&str; 7] = [
    "/etc/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const USER: [&str; 5] = [
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
];
/// The most drop-ins that count.
const MAX_DROP_INS: usize = 64;

/// The unit's file, that of its template where it has none, and its drop-ins in order.
pub(crate) async fn files(unit: String, user: bool) -> (Option<PathBuf>, Vec<PathBuf>) {
    let find = move || {
        let folders: Vec<PathBuf> = if user { &USER[..] } else { &SYSTEM[..] }
            .iter()
            .map(PathBuf::from)
            .collect();
        find(&folders, &unit)
    };
    tokio::task::spawn_blocking(find).await.unwrap_or_default()
}

fn find(folders: &[PathBuf], unit: &str) -> (Option<PathBuf>, Vec<PathBuf>) {
    let mut names = vec![unit.to_owned()];
    names.extend(template(unit));
    let fragment = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file());
    // Of files with one name the first counts, and all are sorted by name.
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let general: Vec<String> = unit
        .rsplit_once('.')
        .map(|(_, t)| t.to_owned())
        .into_iter()
        .collect();
    for (names, folders) in [(&drop_in_names(unit), folders), (&general, folders)] {
        for folder in folders {
            for name in names {
                for (file, path) in configurations(&folder.join(format!("{name}.d"))) {
                    found.entry(file).or_insert(path);
                }
            }
        }
    }
    let files = found.into_values().take(MAX_DROP_INS);
    (fragment, files.collect())
}

/// `web@.service` of `web@blue.service`.
fn template(unit: &str) -> Option<String> {
    let (name, kind) = unit.rsplit_once('.')?;
    let (prefix, instance) = name.split_once('@')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{kind}"))
}

/// What the folders of a unit's drop-ins are named after, the most special first: the unit, its template, and
/// `a-b-.service` and `a-.service` of `a-b-c.service`.
fn drop_in_names(unit: &str) -> Vec<String> {
    let mut names = vec![unit.to_owned()];
    names.extend(template(unit));
    if let Some((name, kind)) = unit.rsplit_once('.') {
        let mut rest = name.split('@').next().unwrap_or(name);
        while let Some(at) = rest.trim_end_matches('-').rfind('-') {
            rest = &rest[..=at];
            names.push(format!("{rest}.{kind}"));
        }
    }
    names
}

fn configurations(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let named = entries.flatten().filter_map(|e| {
        let name = e.file_name().into_string().ok()?;
        name.ends_with(".conf").then(|| (name, e.path()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_drop_ins_go_from_special_to_general() {
        assert_eq!(
            drop_in_names("a-b-c@x-y.service"),
            [
                "a-b-c@x-y.service",
                "a-b-c@.service",
                "a-b-.service",
                "a-.service"
            ]
        );
        assert_eq!(drop_in_names("web.service"), ["web.service"]);
        assert_eq!(drop_in_names("-.mount"), ["-.mount"]);
        assert_eq!(template("a@.service"), None);
        for odd in ["", ".", "-", "--.x", "@.x", "a@b"] {
            drop_in_names(odd);
        }
    }
}
