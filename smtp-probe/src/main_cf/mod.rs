//! A review of Postfix' configuration.

mod config;
mod defaults;
mod expand;
mod files;
mod finding;
mod lines;
mod master;
mod names;
mod networks;
mod rules;
mod tables;

use std::path::{Path, PathBuf};

pub(crate) use self::finding::without_key;
use self::{
    config::Config,
    files::{Disk, Files},
    finding::{Finding, Review},
    master::Master,
};
use crate::{
    report::{Check, Class, Phase, State},
    target::Target,
};

const ID: &str = "main_cf";

/// Reviews the file that the target names, and master.cf beside it.
pub(crate) async fn run(target: &Target) -> Vec<Check> {
    let Some(path) = target.main_cf.clone() else {
        return Vec::new();
    };
    let min_size = target.min_size;
    let reviewing = tokio::task::spawn_blocking(move || review(&path, &Disk, min_size));
    reviewing.await.unwrap_or_else(|e| {
        vec![Check::unknown(
            ID,
            Phase::Lint,
            Class::Local,
            format!("the review ended early: {e}"),
        )]
    })
}

/// What a main.cf says that others look up in the DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// The name that it greets other servers with.
    pub(crate) greeting: Option<String>,
    /// The zones of block lists of addresses that it asks.
    pub(crate) block_lists: Vec<String>,
}

/// Reads it; there is nothing in it if it cannot be read.
pub(crate) async fn written(path: &Path) -> Written {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let Some((folder, config)) = read(&path, &Disk) else {
            return Written::default();
        };
        let name = config.value("smtp_helo_name");
        Written {
            greeting: name.contains('.').then_some(name),
            block_lists: rules::zones(&Review::new(&config, &Disk, &folder)),
        }
    });
    reading.await.unwrap_or_default()
}

/// Whether an address is of the world, and not private or of a machine alone.
pub(crate) fn is_public(ip: std::net::IpAddr) -> bool {
    let net = ipnet::IpNet::from(ip);
    networks::count(&networks::public(&net, &[])) > 0
}

/// The file, which may be named by its folder.
fn file_of(path: PathBuf, files: &dyn Files) -> PathBuf {
    match files.is_folder(&path) {
        true => path.join("main.cf"),
        false => path,
    }
}

/// The folder of the file, and what is in it; the file may be named by its folder.
fn read(path: &Path, files: &dyn Files) -> Option<(PathBuf, Config)> {
    // What a relative path is relative to, values must not be.
    let whole = std::path::absolute(path);
    let path = whole.unwrap_or_else(|_| path.to_owned());
    let path = file_of(path, files);
    let text = files.read(&path)?;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let config = Config::parse(&text, "main.cf", &folder.to_string_lossy());
    Some((folder, config))
}

/// What main.cf says of some parameters, or else their defaults, with all names in them replaced. Nothing if it
/// cannot be read.
pub(crate) fn values<const N: usize>(path: &Path, names: [&str; N]) -> Option<[String; N]> {
    let (_, config) = read(path, &Disk)?;
    Some(names.map(|name| config.value(name)))
}

/// Reads the files and looks for all that is known to go wrong.
fn review(path: &Path, files: &dyn Files, min_size: u64) -> Vec<Check> {
    let Some((folder, config)) = read(path, files) else {
        let path = file_of(path.to_owned(), files);
        let what = format!("{} cannot be read: {}", path.display(), files.fault(&path));
        let check = Check::unknown(ID, Phase::Lint, Class::Local, what);
        return vec![check.hint("name a main.cf, or a file with what postconf -n prints")];
    };
    let master = files
        .read(&folder.join("master.cf"))
        .map(|t| Master::parse(&t));
    let mut findings = findings(&config, master.as_ref(), files, &folder, min_size);
    findings.sort_by(|a, b| (&a.place, &a.subject).cmp(&(&b.place, &b.subject)));
    let worst = findings.iter().map(|f| f.state).max().unwrap_or(State::Ok);
    let mut checks = Vec::new();
    if worst == State::Ok {
        let many = config.settings().count();
        let assumed = match config.has("compatibility_level") {
            true => "",
            false => "; compatibility_level is not set, and Postfix 3.4 or later is assumed",
        };
        let what = format!(
            "nothing to mend in the {many} settings of {}{assumed}",
            path.display()
        );
        checks.push(Check::ok(ID, Phase::Lint, what));
    }
    checks.extend(findings.into_iter().map(Finding::check));
    checks
}

fn findings(
    config: &Config,
    master: Option<&Master>,
    files: &dyn Files,
    folder: &Path,
    min_size: u64,
) -> Vec<Finding> {
    let mut review = Review {
        master,
        min_size,
        ..Review::new(config, files, folder)
    };
    rules::all(&mut review);
    rules::once(&mut review);
    let mut findings = review.findings;
    let interfaces = config.list("inet_interfaces");
    for service in master.iter().flat_map(|m| &m.services) {
        // Nobody from outside comes by a service for this machine alone.
        let is_local = service.kind == "inet" && service.is_local(&interfaces);
        if service.overrides.is_empty() || is_local {
            continue;
        }
        let config = config.with(&service.overrides);
        let mut review = Review {
            config: &config,
            findings: Vec::new(),
            ..review
        };
        rules::all(&mut review);
        for mut found in review.findings {
            if findings.iter().any(|f| f.is_like(&found)) {
                continue;
            }
            // What follows from an override stands at the override, whatever else it names.
            if found.place.as_ref().is_none_or(|p| p.service.is_none()) {
                found.place = service.overrides.first().map(|o| o.place.clone());
            }
            findings.push(found);
        }
    }
    finding::most(findings)
}

#[cfg(test)]
mod tests;
