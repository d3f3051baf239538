-- Times are milliseconds since 1970, UTC, unless they say otherwise.

-- How much there is of what. A row for each state of a delivery, kept by triggers;
-- seen keys; subjects whose logs are to be settled; attempts ever made whose outcome is
-- unknown; the last number given to a lease; how often a watcher has claimed the outbox.
CREATE TABLE counts (
    what TEXT NOT NULL PRIMARY KEY,
    n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counts VALUES
    ('pending', 0), ('leased', 0), ('held', 0), ('folded', 0),
    ('done', 0), ('dead', 0), ('silenced', 0), ('dropped', 0),
    ('seen', 0), ('unsettled', 0), ('unknown', 0), ('leases', 0), ('claims', 0);

-- Where each source stands.
CREATE TABLE sources (
    name TEXT NOT NULL PRIMARY KEY,
    cursor TEXT,
    listed_at INTEGER
) STRICT, WITHOUT ROWID;

-- Keys that are not told again.
CREATE TABLE seen (
    key TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Credentials and channels: their rates and how they stand.
CREATE TABLE destinations (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    rate_at INTEGER, -- nanoseconds since 1970
    rate_next INTEGER,
    state TEXT
) STRICT;

-- What is told: failures, digests, notices, recoveries.
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    about TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    framework TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    finished INTEGER NOT NULL,
    enqueued INTEGER NOT NULL,
    body TEXT NOT NULL,
    logs TEXT,
    wants_logs INTEGER NOT NULL CHECK (wants_logs IN (0, 1)),
    logs_lease INTEGER,
    logs_until INTEGER,
    checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX subjects_key ON subjects (key);
CREATE INDEX subjects_unsettled ON subjects (id) WHERE logs IS NULL AND wants_logs = 1;
CREATE INDEX subjects_leased ON subjects (logs_lease) WHERE logs_lease IS NOT NULL;

-- What is sent, to whom, and how far it got. ready: 0 its logs are not settled, 1 it is
-- in line, 2 it is in line from `due` on.
CREATE TABLE deliveries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    subject INTEGER NOT NULL,
    reporter TEXT NOT NULL,
    instance TEXT NOT NULL,
    destination INTEGER NOT NULL,
    why TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'leased', 'held', 'folded', 'done', 'dead', 'silenced', 'dropped')),
    ready INTEGER NOT NULL CHECK (ready IN (0, 1, 2)),
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    uncertain INTEGER NOT NULL DEFAULT 0,
    enqueued INTEGER NOT NULL,
    finished INTEGER,
    generation INTEGER NOT NULL,
    progress TEXT,
    lease INTEGER,
    lease_until INTEGER,
    checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_subject ON deliveries (subject);
CREATE INDEX deliveries_open ON deliveries (sequence) WHERE finished IS NULL;
CREATE INDEX deliveries_line ON deliveries (destination, sequence) WHERE state = 'pending' AND ready = 1;
CREATE INDEX deliveries_later ON deliveries (destination, due) WHERE state = 'pending' AND ready = 2;
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE state = 'leased';
CREATE INDEX deliveries_dead ON deliveries (sequence) WHERE state = 'dead';
CREATE INDEX deliveries_finished ON deliveries (state, finished) WHERE finished IS NOT NULL;

-- What each attempt came to.
CREATE TABLE attempts (
    delivery INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('delivered', 'retry', 'unknown', 'dead')),
    code TEXT,
    detail TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries BEGIN
    UPDATE counts SET n = n + 1 WHERE what = NEW.state;
END;
CREATE TRIGGER deliveries_moved AFTER UPDATE OF state ON deliveries WHEN OLD.state <> NEW.state BEGIN
    UPDATE counts SET n = n - 1 WHERE what = OLD.state;
    UPDATE counts SET n = n + 1 WHERE what = NEW.state;
END;
CREATE TRIGGER deliveries_removed AFTER DELETE ON deliveries BEGIN
    UPDATE counts SET n = n - 1 WHERE what = OLD.state;
END;
CREATE TRIGGER seen_added AFTER INSERT ON seen BEGIN
    UPDATE counts SET n = n + 1 WHERE what = 'seen';
END;
CREATE TRIGGER seen_removed AFTER DELETE ON seen BEGIN
    UPDATE counts SET n = n - 1 WHERE what = 'seen';
END;
CREATE TRIGGER subjects_added AFTER INSERT ON subjects WHEN NEW.logs IS NULL AND NEW.wants_logs = 1 BEGIN
    UPDATE counts SET n = n + 1 WHERE what = 'unsettled';
END;
CREATE TRIGGER subjects_moved AFTER UPDATE OF logs, wants_logs ON subjects
WHEN (OLD.logs IS NULL AND OLD.wants_logs = 1) <> (NEW.logs IS NULL AND NEW.wants_logs = 1) BEGIN
    UPDATE counts SET n = n + (NEW.logs IS NULL AND NEW.wants_logs = 1)
        - (OLD.logs IS NULL AND OLD.wants_logs = 1) WHERE what = 'unsettled';
END;
CREATE TRIGGER subjects_removed AFTER DELETE ON subjects WHEN OLD.logs IS NULL AND OLD.wants_logs = 1 BEGIN
    UPDATE counts SET n = n - 1 WHERE what = 'unsettled';
END;
