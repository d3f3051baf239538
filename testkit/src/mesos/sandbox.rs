//! The files of an agent: paths of the `/files` routes and what is found there.

use std::collections::BTreeMap;

use super::content::LogContent;
use super::model::{Executor, Model, Task};

/// What a path leads to.
pub(crate) enum Node {
    Directory(Vec<Entry>),
    File(LogContent),
}

/// A line of a directory.
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The size of a file; `None` for a directory.
    pub(crate) size: Option<u64>,
}

/// Finds what a path of an agent leads to.
pub(crate) fn find(model: &Model, agent: usize, path: &str) -> Option<Node> {
    let (executor, rest) = executor_of(model, agent, path)?;
    let files = executor.files.as_ref()?;
    let tasks: Vec<&Task> = executor
        .live
        .iter()
        .chain(&executor.completed)
        .filter_map(|key| model.tasks.get(key))
        .collect();

    // `tasks/<id>` is a link to the container of the task.
    let mut rest = rest.trim_matches('/').to_owned();
    let mut within = rest.splitn(3, '/');
    if within.next() == Some("tasks") {
        let Some(id) = within.next() else {
            let nested = tasks.iter().filter(|task| task.files.is_some());
            return (!tasks.is_empty())
                .then(|| Node::Directory(directories(nested.map(|task| task.id.clone()))));
        };
        let task = tasks
            .iter()
            .rev()
            .find(|task| task.id == id && task.files.is_some())?;
        let tail = within
            .next()
            .map(|tail| format!("/{tail}"))
            .unwrap_or_default();
        rest = format!("{}{tail}", task.container_suffix().trim_start_matches('/'));
    }

    // The deepest container the path goes into, and what is left of the path.
    let inside = |task: &&&Task| {
        let suffix = task.container_suffix();
        let suffix = suffix.trim_start_matches('/');
        !suffix.is_empty() && strip(&rest, suffix).is_some()
    };
    let (files, left, below) = match tasks
        .iter()
        .filter(inside)
        .max_by_key(|task| task.containers.len())
    {
        Some(task) => {
            let suffix = task.container_suffix();
            let left = strip(&rest, suffix.trim_start_matches('/'))
                .unwrap_or_default()
                .to_owned();
            (task.files.as_ref()?, left, Vec::new())
        }
        None => {
            let nested: Vec<_> = tasks.iter().filter(|task| task.files.is_some()).collect();
            let mut below = Vec::new();
            if rest.is_empty() && !nested.is_empty() {
                below = directories(["containers".to_owned(), "tasks".to_owned()].into_iter());
            }
            if let Some(node) = intermediate(&nested, &rest) {
                return Some(node);
            }
            (files, rest.clone(), below)
        }
    };
    if left.is_empty() {
        let mut entries = below;
        entries.extend(listing(files));
        return Some(Node::Directory(entries));
    }
    if let Some(content) = files.get(&left) {
        return Some(Node::File(content.clone()));
    }
    let prefix = format!("{left}/");
    let mut sub: BTreeMap<String, LogContent> = BTreeMap::new();
    for (name, content) in files.iter().filter(|(name, _)| name.starts_with(&prefix)) {
        sub.insert(name[prefix.len()..].to_owned(), content.clone());
    }
    (!sub.is_empty()).then(|| Node::Directory(listing(&sub)))
}

/// A directory between the run and the containers of tasks: `containers`,
/// `containers/<id>/containers`, and containers that have no task.
fn intermediate(nested: &[&&Task], rest: &str) -> Option<Node> {
    let mut names: Vec<String> = nested
        .iter()
        .filter_map(|task| {
            let suffix = task.container_suffix();
            let deeper = strip(suffix.trim_start_matches('/'), rest)?;
            deeper
                .split('/')
                .next()
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    names.dedup();
    (!rest.is_empty() && !names.is_empty()).then(|| Node::Directory(directories(names.into_iter())))
}

fn directories(names: impl Iterator<Item = String>) -> Vec<Entry> {
    names.map(|name| Entry { name, size: None }).collect()
}

/// Files, and the directories that paths of files go through.
fn listing(files: &BTreeMap<String, LogContent>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (path, content) in files {
        let (name, size) = match path.split_once('/') {
            Some((directory, _)) => (directory, None),
            None => (path.as_str(), Some(content.len())),
        };
        if !entries.iter().any(|entry| entry.name == name) {
            entries.push(Entry {
                name: name.to_owned(),
                size,
            });
        }
    }
    entries
}

/// The part of a path below a directory, without the slash between.
fn strip<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory)?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix('/')
    }
}

/// The executor whose sandbox holds the path, and the rest of the path.
fn executor_of<'a, 'p>(
    model: &'a Model,
    agent: usize,
    path: &'p str,
) -> Option<(&'a Executor, &'p str)> {
    let host = &model.agents[agent];
    let (virtual_path, inner) = match path.strip_prefix(host.work_dir.as_str()) {
        Some(inner) => (false, strip(inner, &format!("/slaves/{}", host.id))?),
        None => (true, path.strip_prefix('/').unwrap_or(path)),
    };
    let mut parts = inner.splitn(6, '/');
    let (
        Some("frameworks"),
        Some(framework),
        Some("executors"),
        Some(id),
        Some("runs"),
        Some(tail),
    ) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    )
    else {
        return None;
    };
    let (run, rest) = tail.split_once('/').unwrap_or((tail, ""));
    if virtual_path && (run != "latest" || !model.version.has_virtual_paths()) {
        return None;
    }
    let key = if run == "latest" {
        model.latest_run(agent, framework, id)?
    } else {
        *model.by_run.get(run)?
    };
    let executor = model.executors.get(&key)?;
    (executor.agent == agent && executor.id == id && executor.framework == framework)
        .then_some((executor, rest))
}
