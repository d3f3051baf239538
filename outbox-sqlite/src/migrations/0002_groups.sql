-- Storm control: failures that are alike are held and told together, and silences.

-- The group that holds a delivery, and the digest (its sequence) that tells it.
ALTER TABLE deliveries ADD COLUMN held_in INTEGER;
ALTER TABLE deliveries ADD COLUMN digest INTEGER;
CREATE INDEX deliveries_held ON deliveries (held_in, sequence) WHERE state = 'held';
CREATE INDEX deliveries_digest ON deliveries (digest) WHERE digest IS NOT NULL;

-- Kinds of failures that one destination was told of a short time ago.
CREATE TABLE groups (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    reporter TEXT NOT NULL,
    instance TEXT NOT NULL,
    destination INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    interval_ms INTEGER NOT NULL,
    UNIQUE (fingerprint, reporter, instance, destination)
) STRICT;
CREATE INDEX groups_ends ON groups (ends);

-- What is not told for a while. `body` is the whole as JSON.
CREATE TABLE silences (
    id TEXT NOT NULL PRIMARY KEY,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    author TEXT NOT NULL,
    note TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
