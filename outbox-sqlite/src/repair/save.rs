//! Puts rows that were found into a new file.

use std::collections::HashMap;

use notifier_core::Subject;
use rusqlite::{Connection, ErrorCode, OptionalExtension, ffi, params_from_iter, types::Value};

use super::{
    Salvaged,
    pages::Pages,
    record::{Kind, Page, Record},
    trees::Trees,
};
use crate::{
    error::Fault,
    row::{Fixed, subject_checksum},
};

/// The tables, in the order in which they are counted.
const TABLES: [&str; 8] = [
    "subjects",
    "deliveries",
    "attempts",
    "destinations",
    "seen",
    "sources",
    "groups",
    "silences",
];

/// Indexes from which it is known how many rows there were.
const WITNESSES: [(&str, &str); 5] = [
    ("subjects_key", "subjects"),
    ("sqlite_autoindex_deliveries_1", "deliveries"),
    ("sqlite_autoindex_destinations_1", "destinations"),
    ("sqlite_autoindex_groups_1", "groups"),
    ("sqlite_autoindex_silences_1", "silences"),
];

/// The index that has destinations' names too.
const NAMES: &str = "sqlite_autoindex_destinations_1";

/// Which rows are saved in one go over the pages: each needs those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// What stands by itself.
    First,
    /// What is told to whom.
    Deliveries,
    /// What came of it.
    Attempts,
}

pub(super) struct Saver<'a> {
    pages: &'a Pages,
    trees: &'a Trees,
    conn: &'a Connection,
    /// Rows of each table that were found and could not be kept.
    refused: HashMap<&'static str, u64>,
    /// Rows of each table that an index knows.
    witnessed: HashMap<&'static str, u64>,
    /// Rows of the table of counts.
    counts: HashMap<String, i64>,
    saved: u64,
}

impl<'a> Saver<'a> {
    pub(super) fn new(pages: &'a Pages, trees: &'a Trees, conn: &'a Connection) -> Self {
        Self {
            pages,
            trees,
            conn,
            refused: HashMap::new(),
            witnessed: HashMap::new(),
            counts: HashMap::new(),
            saved: 0,
        }
    }

    pub(super) fn save(&mut self) -> Result<(), Fault> {
        for round in [Round::First, Round::Deliveries, Round::Attempts] {
            for live in &self.trees.live {
                let Some(page) = Page::read(self.pages, live.page) else {
                    continue;
                };
                let of = live.of.as_deref();
                for row in page.records {
                    self.row(round, page.kind, of, row)?;
                }
                if round == Round::First
                    && let Some(table) = TABLES.iter().find(|t| Some(**t) == of)
                {
                    *self.refused.entry(table).or_default() += page.bad;
                }
            }
        }
        for what in ["leases", "claims", "unknown"] {
            if let Some(n) = self.counts.get(what) {
                self.conn
                    .prepare_cached("UPDATE counts SET n = max(n, ?2) WHERE what = ?1")?
                    .execute(rusqlite::params![what, n])?;
            }
        }
        Ok(())
    }

    /// Nothing at all was what an outbox has.
    pub(super) fn found_nothing(&self) -> bool {
        self.saved == 0 && self.counts.is_empty()
    }

    /// What was saved and what was not.
    pub(super) fn counts(&self) -> Result<Vec<Salvaged>, Fault> {
        let mut out = Vec::new();
        for table in TABLES {
            let saved: i64 =
                self.conn
                    .query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0))?;
            let saved = saved.cast_unsigned();
            let known = match table {
                "seen" => self.counts.get("seen").map_or(0, |n| n.cast_unsigned()),
                "attempts" => self.attempts_made()?,
                _ => self.witnessed.get(table).copied().unwrap_or_default(),
            };
            let refused = self.refused.get(table).copied().unwrap_or_default();
            out.push(Salvaged {
                table,
                saved,
                lost: refused.max(known.saturating_sub(saved)),
            });
        }
        Ok(out)
    }

    /// How many attempts there should be for the deliveries that there are.
    fn attempts_made(&self) -> Result<u64, Fault> {
        let n: i64 = self.conn.query_row(
            "SELECT ifnull(sum(min(attempts, 1000)), 0) FROM deliveries",
            [],
            |r| r.get(0),
        )?;
        Ok(n.cast_unsigned())
    }

    fn row(
        &mut self,
        round: Round,
        kind: Kind,
        of: Option<&str>,
        row: Record,
    ) -> Result<(), Fault> {
        if round == Round::First
            && kind != Kind::TableLeaf
            && let Some((_, table)) = WITNESSES.iter().find(|(index, _)| Some(*index) == of)
        {
            *self.witnessed.entry(table).or_default() += 1;
        }
        let v = &row.values;
        // Tables with numbered rows are told apart by their columns, so that it does not
        // matter what is said about the page.
        let table = match (kind, v.len(), of) {
            (Kind::TableLeaf, 5, _) if v[0] == Value::Null => "destinations",
            (Kind::TableLeaf, 18, _) => "subjects",
            (Kind::TableLeaf, 20..=22, _) => "deliveries",
            (Kind::TableLeaf, 8, _) => "groups",
            (Kind::TableLeaf, 6, _) => "silences",
            (Kind::TableLeaf, ..) => return Ok(()),
            (_, 7, _) => "attempts",
            (_, 3, Some("sources")) => "sources",
            (_, 3, Some("seen")) => "seen",
            (_, 2, Some("counts")) => "counts",
            (_, 2, Some(NAMES)) => "names",
            _ => return Ok(()),
        };
        let turn = match table {
            "deliveries" | "names" => Round::Deliveries,
            "attempts" => Round::Attempts,
            _ => Round::First,
        };
        if turn != round {
            return Ok(());
        }
        if table == "counts" {
            if let [Value::Text(what), Value::Integer(n)] = &v[..] {
                self.counts.insert(what.clone(), *n);
            }
            return Ok(());
        }
        if table == "names" {
            // A name whose own row could not be read.
            if let [Value::Text(_), Value::Integer(_)] = &v[..] {
                self.conn
                    .prepare_cached(
                        "INSERT OR IGNORE INTO destinations (name, id) VALUES (?1, ?2)",
                    )?
                    .execute(params_from_iter(v))?;
            }
            return Ok(());
        }
        match self.insert(table, row)? {
            Some(true) => self.saved += 1,
            // The row is there already.
            Some(false) => {}
            None => {
                let table = TABLES.iter().find(|t| **t == table);
                *self
                    .refused
                    .entry(table.copied().unwrap_or(""))
                    .or_default() += 1;
            }
        }
        Ok(())
    }

    /// Inserts a row; `None` if it is not what was written.
    fn insert(&self, table: &str, row: Record) -> Result<Option<bool>, Fault> {
        let mut values = row.values;
        if let Some(rowid) = row.rowid
            && table != "silences"
        {
            values[0] = Value::Integer(rowid);
        }
        let sound = match table {
            "subjects" => sound_subject(&values),
            "deliveries" => {
                values.resize(22, Value::Null);
                self.sound_delivery(&values)?
            }
            "attempts" => self.has_delivery(&values[0])?,
            _ => true,
        };
        if !sound {
            return Ok(None);
        }
        let places = vec!["?"; values.len()].join(", ");
        let done = self
            .conn
            .prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))?
            .execute(params_from_iter(values));
        match done {
            Ok(_) => Ok(Some(true)),
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                let is_there = [
                    ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
                    ffi::SQLITE_CONSTRAINT_ROWID,
                    ffi::SQLITE_CONSTRAINT_UNIQUE,
                ];
                // Otherwise a value is of the wrong kind, or a word is none.
                let code = e.sqlite_error().map(|e| e.extended_code);
                Ok(code.is_some_and(|c| is_there.contains(&c)).then_some(false))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Whether a delivery is what was written, and about something that is there.
    fn sound_delivery(&self, v: &[Value]) -> Result<bool, Fault> {
        let (Value::Integer(subject), Value::Integer(destination)) = (&v[2], &v[5]) else {
            return Ok(false);
        };
        let key: Option<String> = self
            .conn
            .prepare_cached("SELECT key FROM subjects WHERE id = ?1")?
            .query_row([subject], |r| r.get(0))
            .optional()?;
        let name: Option<String> = self
            .conn
            .prepare_cached("SELECT name FROM destinations WHERE id = ?1")?
            .query_row([destination], |r| r.get(0))
            .optional()?;
        let sound = || {
            let fixed = Fixed {
                id: text(&v[1])?,
                key: key.as_ref()?.as_bytes(),
                reporter: text(&v[3])?,
                instance: text(&v[4])?,
                destination: name.as_ref()?.as_bytes(),
                why: text(&v[6])?,
                enqueued: integer(&v[13])?,
                generation: integer(&v[15])?,
            };
            Some(integer(&v[19])? == fixed.checksum())
        };
        Ok(sound() == Some(true))
    }

    fn has_delivery(&self, sequence: &Value) -> Result<bool, Fault> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM deliveries WHERE sequence = ?1")?
            .exists([sequence])?)
    }
}

fn sound_subject(v: &[Value]) -> bool {
    let sound = || {
        let (key, kind, body) = (text(&v[1])?, text(&v[2])?, text(&v[12])?);
        let read = || {
            let (kind, body) = (str::from_utf8(kind).ok()?, str::from_utf8(body).ok()?);
            Subject::from_json(kind, body).ok()
        };
        Some(integer(&v[17])? == subject_checksum(key, kind, body) && read().is_some())
    };
    sound() == Some(true)
}

fn text(v: &Value) -> Option<&[u8]> {
    match v {
        Value::Text(t) => Some(t.as_bytes()),
        _ => None,
    }
}

fn integer(v: &Value) -> Option<i64> {
    match v {
        Value::Integer(n) => Some(*n),
        _ => None,
    }
}
