//! The thread that writes: what was asked meanwhile goes into one commit.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
};

use rusqlite::Connection;

use crate::{
    connection::{beside, connect, tidy_on_close},
    error::{Fault, Trouble, files},
    files::{Files, Names, copy_out, restore},
    shared::{Shared, lock},
    work::{Failed, Job, Memory, Ran, Work, guarded},
};

/// The most jobs in one commit.
const MOST: usize = 256;

/// What is asked of the writer.
pub(crate) enum Message {
    /// To be done in a commit.
    Job(Box<dyn Job>),
    /// To be done outside of any.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
    /// The files' names are to be looked at.
    Look,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    inbox: Receiver<Message>,
    open: Option<Open>,
    memory: Memory,
    /// What was taken out of the inbox and is to be done next.
    next: Option<Message>,
}

/// The connection, and the files it has open.
struct Open {
    conn: Connection,
    files: Files,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: Receiver<Message>,
        conn: Connection,
    ) -> Result<Self, Fault> {
        let open = Some(Open::new(conn, &shared.path)?);
        Ok(Self {
            shared,
            inbox,
            open,
            memory: Memory::default(),
            next: None,
        })
    }

    /// Works until nobody can ask for anything any more.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.next() {
            let mut jobs = Vec::new();
            let mut next = first;
            let alone = loop {
                match next {
                    Some(Message::Job(job)) if job.is_large() && !jobs.is_empty() => {
                        self.next = Some(Message::Job(job));
                        break None;
                    }
                    Some(Message::Job(job)) => jobs.push(job),
                    other => break other,
                }
                let is_full = jobs.len() == MOST || jobs.iter().any(|job| job.is_large());
                next = if !is_full {
                    self.inbox.try_recv().ok()
                } else {
                    None
                };
            };
            if !jobs.is_empty() || self.memory.chores.wait() {
                self.batch(jobs);
            }
            match alone {
                Some(Message::Alone(f)) => self.alone(f),
                Some(Message::Look) => self.look(),
                _ => {}
            }
        }
    }

    /// The next thing to do; `None` inside if that is only the chores.
    fn next(&mut self) -> Option<Option<Message>> {
        if let Some(next) = self.next.take() {
            return Some(Some(next));
        }
        if self.memory.chores.wait() && self.shared.broken().is_none() {
            match self.inbox.try_recv() {
                Ok(m) => Some(Some(m)),
                Err(TryRecvError::Empty) => Some(None),
                Err(TryRecvError::Disconnected) => None,
            }
        } else {
            self.inbox.recv().ok().map(Some)
        }
    }

    fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        let done = match self.shared.broken() {
            Some(t) => Err(Failed::before(t.clone())),
            None => self.commit(&mut jobs),
        };
        let trouble = match done {
            Ok(changed) => {
                if changed {
                    self.shared.changed();
                }
                None
            }
            Err(failed) => {
                if failed.trouble.is_final {
                    self.shared.break_with(&failed.trouble);
                }
                if failed.is_made {
                    tracing::warn!(error = %failed.trouble.error().report(), "the outbox is in danger");
                    self.shared.changed();
                }
                // What it remembers may have been written by what was rolled back.
                self.memory = Memory::default();
                Some(failed)
            }
        };
        for job in jobs {
            job.answer(trouble.as_ref());
        }
    }

    /// Does the jobs in one commit. True if there may be something new to lease.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<bool, Failed> {
        let changed = self.made(jobs).map_err(Failed::before)?;
        self.keep_names().map_err(|trouble| Failed {
            trouble,
            is_made: true,
        })?;
        Ok(changed)
    }

    /// Makes the commit, wherever the files' names lead.
    fn made(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<bool, Trouble> {
        self.reopen_if_closed()?;
        let Self {
            shared,
            open: Some(open),
            memory,
            ..
        } = self
        else {
            return Err(Trouble::passing("the outbox is closed"));
        };
        let told = |fault: Fault| fault.trouble(&shared.path);
        statement(&open.conn, "BEGIN IMMEDIATE").map_err(|e| told(e.into()))?;
        let mut work = Work {
            conn: &open.conn,
            options: &shared.options,
            seals: &shared.seals,
            memory,
            changed: false,
        };
        let done = all(jobs, &mut work, &shared.path).and_then(|is_kept| {
            if !is_kept {
                return statement(&open.conn, "ROLLBACK").map_err(|e| told(e.into()));
            }
            // What nobody waits for goes along, a small piece at a time.
            if let Err(fault) = guarded(|| crate::chores::piece(&mut work)) {
                match fault.judge(&shared.path) {
                    Ok(trouble) => return Err(trouble),
                    Err(e) => tracing::warn!(error = %e.report(), "the outbox was not tidied up"),
                }
            }
            statement(&open.conn, "COMMIT").map_err(|e| told(e.into()))
        });
        let changed = work.changed;
        if let Err(trouble) = done {
            if !open.conn.is_autocommit() {
                // If this fails too, the next BEGIN says so.
                let _ = statement(&open.conn, "ROLLBACK");
            }
            return Err(trouble);
        }
        Ok(changed)
    }

    fn alone(&mut self, f: Box<dyn FnOnce(&Connection) + Send>) {
        if self.shared.broken().is_none()
            && let Some(open) = &self.open
        {
            f(&open.conn);
        }
    }

    fn look(&mut self) {
        if self.shared.broken().is_none()
            && let Err(t) = self.keep_names()
        {
            if t.is_final {
                self.shared.break_with(&t);
            } else {
                tracing::warn!(error = %t.error().report(), "the outbox is in danger");
            }
        }
    }

    fn reopen_if_closed(&mut self) -> Result<(), Trouble> {
        if self.open.is_none() {
            let path = &self.shared.path;
            let open = connect(path, &self.shared.options)
                .map_err(Fault::from)
                .and_then(|conn| Open::new(conn, path))
                .map_err(|f| f.trouble(path))?;
            self.open = Some(open);
        }
        Ok(())
    }

    /// Makes sure that what was committed is in the files that have the names.
    fn keep_names(&mut self) -> Result<(), Trouble> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let path = &self.shared.path;
        let shown = path.display();
        match open.files.look() {
            Names::Same => return Ok(()),
            // The key first: once the file is back, there is nothing left to do.
            Names::Removed => match self
                .shared
                .seals
                .put_back()
                .and_then(|()| restore(&open.conn, path))
            {
                Ok(true) => tracing::warn!("the outbox {shown} was removed, and is put back"),
                Ok(false) => return Err(replaced(&open.conn, &self.shared)),
                Err(fault) => {
                    let t = fault.trouble(path);
                    if t.is_final {
                        return Err(t);
                    }
                    return Err(Trouble::passing(format!(
                        "the outbox {shown} was removed, and cannot be put back yet"
                    ))
                    .because(t.error().report()));
                }
            },
            Names::Replaced => return Err(replaced(&open.conn, &self.shared)),
            Names::LogGone => {
                checkpoint(&open.conn, path)?;
                tracing::warn!("the log of the outbox {shown} was removed; nothing is lost");
            }
        }
        // Nobody may go on with the old files, or the new ones would be written by two.
        self.shared.checker.end();
        let mut reading = lock(&self.shared.reading);
        *reading = None;
        self.open = None;
        drop(reading);
        self.reopen_if_closed()
    }
}

impl Open {
    fn new(conn: Connection, path: &Path) -> Result<Self, Fault> {
        tidy_on_close(&conn)?;
        let files =
            Files::of(path).map_err(|e| Fault::Files(files(path, "open the outbox", &e)))?;
        Ok(Self { conn, files })
    }
}

/// Does the jobs, each by itself. False if nothing is to be kept.
fn all(jobs: &mut [Box<dyn Job>], work: &mut Work<'_>, path: &Path) -> Result<bool, Trouble> {
    let conn = work.conn;
    if let [job] = jobs {
        // The transaction is its own: it needs no savepoint.
        return match job.run(work, path) {
            Ran::Kept => Ok(true),
            Ran::Failed(t) if !t.is_internal() || conn.is_autocommit() => Err(t),
            Ran::Refused | Ran::Failed(_) => Ok(false),
        };
    }
    let run = |sql: &str| statement(conn, sql).map_err(|e| Fault::from(e).trouble(path));
    for job in jobs {
        run("SAVEPOINT job")?;
        match job.run(work, path) {
            Ran::Kept => {}
            // SQLite gives up the whole transaction by itself in some cases.
            Ran::Failed(t) if !t.is_internal() || conn.is_autocommit() => return Err(t),
            Ran::Refused | Ran::Failed(_) => run("ROLLBACK TO job")?,
        }
        run("RELEASE job")?;
    }
    Ok(true)
}

fn statement(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// Saves what is kept, since the name stands for something else.
fn replaced(conn: &Connection, shared: &Shared) -> Trouble {
    let path = &shared.path;
    let copy = beside(path, &format!(".saved-{}", std::process::id()));
    let saved = match copy_out(conn, &copy) {
        Ok(()) => {
            if let Err(fault) = shared.seals.save(&copy) {
                // Without its key it holds all but secret labels.
                tracing::warn!(error = %fault.error(path).report(), "the key of the outbox was not saved");
            }
            // What is left of the log must not be taken for that of the one put in place. If
            // it cannot be emptied, the next start finds that it does not fit.
            let _ = checkpoint(conn, path);
            format!("what it held is in {}", copy.display())
        }
        Err(fault) => format!(
            "what it held could not be saved ({})",
            fault.error(path).report()
        ),
    };
    Trouble::lasting(format!(
        "the outbox {} was replaced by another file while it was in use; {saved}: put the right one in place and start again",
        path.display()
    ))
}

/// Moves everything out of the log into the main file.
fn checkpoint(conn: &Connection, path: &Path) -> Result<(), Trouble> {
    let busy: i64 = conn
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))
        .map_err(|e| Fault::from(e).trouble(path))?;
    if busy == 0 {
        Ok(())
    } else {
        Err(Trouble::passing(format!(
            "the log of the outbox {} was removed, and another process keeps it from being made anew",
            path.display()
        )))
    }
}
