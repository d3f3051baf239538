//! Which page belongs to which table.

use std::collections::{HashMap, HashSet};

use rusqlite::types::Value;

use super::{
    pages::{Pages, Role},
    record::{Kind, Page},
};

/// How deep a tree can be.
const DEEP: usize = 64;

/// The pages that hold something, and what.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// Tables and indexes by the number of their first page.
    roots: HashMap<u32, String>,
    /// Pages with rows: those that can be reached from the first one before the others.
    pub(super) live: Vec<Live>,
    /// Pages that should hold something and cannot be read.
    pub(super) bad: u64,
}

/// A page with rows.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) page: u32,
    /// The table or index it belongs to, if that is known.
    pub(super) of: Option<String>,
}

impl Trees {
    /// Finds what there is. `usual` says where a new file has its tables.
    pub(super) fn find(pages: &Pages, usual: HashMap<u32, String>) -> Self {
        let mut trees = Self {
            roots: usual,
            ..Self::default()
        };
        trees.read_roots(pages);
        let mut seen = HashSet::from([1]);
        let mut broken = HashSet::new();
        let mut roots: Vec<u32> = trees.roots.keys().copied().collect();
        roots.sort_unstable();
        for root in roots {
            let of = trees.roots.get(&root).cloned();
            trees.walk(pages, root, of.as_ref(), &mut seen, &mut broken);
        }
        // What is below a page that cannot be read is found by its own word, or by that
        // of the page that says what others are.
        for page in 2..=pages.count {
            if seen.contains(&page) || pages.is_map(page) || pages.is_lock(page) {
                continue;
            }
            let role = pages.role(page);
            if matches!(role, Role::Free | Role::Overflow) {
                continue;
            }
            match Page::read(pages, page).map(|p| p.kind) {
                Some(Kind::TableInterior) => {}
                Some(_) => {
                    let of = trees.owner(pages, page);
                    trees.live.push(Live { page, of });
                }
                None if matches!(role, Role::Unknown) => {}
                None => {
                    broken.insert(page);
                }
            }
        }
        trees.bad = broken.len() as u64;
        trees
    }

    /// Reads where the tables are: the rows that say so are known by their first word.
    fn read_roots(&mut self, pages: &Pages) {
        for page in 1..=pages.count {
            if matches!(pages.role(page), Role::Free | Role::Overflow) {
                continue;
            }
            let Some(found) = Page::read(pages, page) else {
                continue;
            };
            for row in found.records {
                if found.kind == Kind::TableLeaf
                    && let [
                        Value::Text(kind),
                        Value::Text(name),
                        _,
                        Value::Integer(root),
                        _,
                    ] = &row.values[..]
                    && matches!(kind.as_str(), "table" | "index")
                    && let Ok(root) = u32::try_from(*root)
                    && root > 1
                    && root <= pages.count
                {
                    self.roots.retain(|_, n| n != name);
                    self.roots.insert(root, name.clone());
                }
            }
        }
    }

    fn walk(
        &mut self,
        pages: &Pages,
        root: u32,
        of: Option<&String>,
        seen: &mut HashSet<u32>,
        broken: &mut HashSet<u32>,
    ) {
        let mut next = vec![(root, 0)];
        while let Some((page, depth)) = next.pop() {
            if pages.is_map(page) || depth > DEEP || !seen.insert(page) {
                continue;
            }
            let Some(found) = Page::read(pages, page) else {
                if page <= pages.count {
                    broken.insert(page);
                }
                continue;
            };
            if found.kind != Kind::TableInterior {
                self.live.push(Live {
                    page,
                    of: of.cloned(),
                });
            }
            next.extend(found.children.iter().rev().map(|c| (*c, depth + 1)));
        }
    }

    /// What a page belongs to, by those that it is said to be below.
    fn owner(&self, pages: &Pages, mut page: u32) -> Option<String> {
        for _ in 0..DEEP {
            match pages.role(page) {
                Role::Root => return self.roots.get(&page).cloned(),
                Role::Below(parent) => page = parent,
                _ => return None,
            }
        }
        None
    }
}
