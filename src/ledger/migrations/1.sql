-- Version 1. Migrations are append-only: this file never changes once released.

-- Whose ledger this is: one service, one account.
CREATE TABLE identity (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    origin          TEXT    NOT NULL,
    key_fingerprint BLOB    NOT NULL,
    secret          BLOB    NOT NULL CHECK (length(secret) = 32),
    created_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE run (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    command     TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    exit_code   INTEGER,
    exit_reason TEXT
) STRICT;

-- A manifest, known by its absolute path. `stamp` is the file as it was when it was last read to its end.
CREATE TABLE source (
    id       INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    columns  TEXT NOT NULL,
    stamp    TEXT
) STRICT;
-- Items that wait, but whose row is in no manifest any more.
INSERT INTO source (id, identity, columns) VALUES (0, '(removed from its manifest)', '[]');

-- One item: one source URL in one namespace.
CREATE TABLE item (
    id          INTEGER PRIMARY KEY,
    key         BLOB    NOT NULL UNIQUE CHECK (length(key) = 16),
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'sending', 'in_doubt', 'counted', 'asked', 'accepted',
                                                  'indexed', 'failed', 'rejected', 'abandoned')),
    source      INTEGER NOT NULL REFERENCES source (id),
    line        INTEGER NOT NULL,
    namespace   TEXT    NOT NULL,
    external_id TEXT,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 16),
    submission  TEXT    NOT NULL,
    cells       TEXT    NOT NULL,
    admitted_at INTEGER NOT NULL,
    attempt     INTEGER REFERENCES attempt (id),
    look_at     INTEGER,
    missed      INTEGER NOT NULL DEFAULT 0,
    final_at    INTEGER,
    cause       TEXT,
    CHECK ((look_at IS NOT NULL) = (state = 'accepted')),
    CHECK ((final_at IS NOT NULL) = (state IN ('indexed', 'failed', 'rejected', 'abandoned')))
) STRICT;
CREATE INDEX item_by_state ON item (state, source);
CREATE INDEX item_to_look_at ON item (look_at) WHERE look_at IS NOT NULL;

-- One request. `counts_until` is the latest moment at which the service may have accepted it; NULL when it was not
-- spent. It is what the rolling windows are computed from.
CREATE TABLE attempt (
    id           INTEGER PRIMARY KEY,
    item         INTEGER NOT NULL REFERENCES item (id),
    run          INTEGER NOT NULL REFERENCES run (id),
    state        TEXT    NOT NULL CHECK (state IN ('sending', 'not_sent', 'refused', 'rejected', 'in_doubt', 'counted',
                                                   'asked', 'accepted', 'absent', 'abandoned', 'superseded')),
    marker       TEXT,
    sent_at      INTEGER NOT NULL,
    send_before  INTEGER NOT NULL,
    answered_at  INTEGER,
    counts_until INTEGER,
    video_no     TEXT UNIQUE,
    uploaded_at  INTEGER,
    bound_by     TEXT CHECK (bound_by IN ('reply', 'marker', 'sole_candidate', 'human')),
    clear_at     INTEGER,
    cause        TEXT,
    CHECK ((video_no IS NOT NULL) = (state IN ('accepted', 'superseded'))),
    CHECK ((bound_by IS NOT NULL) = (video_no IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX attempt_one_open ON attempt (item)
    WHERE state IN ('sending', 'in_doubt', 'counted', 'asked', 'accepted');
CREATE INDEX attempt_spent ON attempt (counts_until) WHERE counts_until IS NOT NULL;
CREATE INDEX attempt_open ON attempt (state) WHERE state IN ('sending', 'in_doubt', 'counted', 'asked');

-- The law of lifecycle.rs, enforced here too.
CREATE TABLE transition (
    from_state TEXT NOT NULL,
    event      TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    PRIMARY KEY (from_state, event)
) STRICT, WITHOUT ROWID;
INSERT INTO transition VALUES
    ('pending', 'claimed', 'sending'),
    ('sending', 'not_sent', 'pending'),
    ('sending', 'refused_for_now', 'pending'),
    ('sending', 'rejected', 'rejected'),
    ('sending', 'accepted', 'accepted'),
    ('sending', 'accepted_unnamed', 'counted'),
    ('sending', 'doubted', 'in_doubt'),
    ('in_doubt', 'found', 'accepted'),
    ('in_doubt', 'found_absent', 'pending'),
    ('in_doubt', 'counted', 'counted'),
    ('in_doubt', 'asked', 'asked'),
    ('counted', 'found', 'accepted'),
    ('counted', 'asked', 'asked'),
    ('asked', 'found', 'accepted'),
    ('asked', 'adopted', 'accepted'),
    ('asked', 'resend_ordered', 'pending'),
    ('asked', 'given_up', 'abandoned'),
    ('accepted', 'indexed', 'indexed'),
    ('accepted', 'indexing_failed', 'failed'),
    ('rejected', 'corrected', 'pending'),
    ('failed', 'retry_ordered', 'pending');

CREATE TRIGGER item_starts_pending BEFORE INSERT ON item WHEN NEW.state <> 'pending'
BEGIN SELECT RAISE(ABORT, 'an item starts as pending'); END;

CREATE TRIGGER item_obeys_the_law BEFORE UPDATE OF state ON item
WHEN NEW.state <> OLD.state
 AND NOT EXISTS (SELECT 1 FROM transition WHERE from_state = OLD.state AND to_state = NEW.state)
BEGIN SELECT RAISE(ABORT, 'the law has no such transition'); END;

CREATE TRIGGER item_is_never_deleted BEFORE DELETE ON item
BEGIN SELECT RAISE(ABORT, 'an item is never deleted'); END;

CREATE TRIGGER attempt_starts_sending BEFORE INSERT ON attempt WHEN NEW.state <> 'sending'
BEGIN SELECT RAISE(ABORT, 'an attempt starts as sending'); END;

-- Attempts that ended stay as they ended; only an accepted one can be superseded.
CREATE TRIGGER attempt_ends_once BEFORE UPDATE OF state ON attempt
WHEN NEW.state <> OLD.state
 AND (OLD.state IN ('not_sent', 'refused', 'rejected', 'absent', 'abandoned', 'superseded')
      OR (OLD.state = 'accepted' AND NEW.state <> 'superseded'))
BEGIN SELECT RAISE(ABORT, 'the attempt has ended'); END;

CREATE TRIGGER attempt_is_bound_once BEFORE UPDATE OF video_no ON attempt
WHEN OLD.video_no IS NOT NULL AND NEW.video_no IS NOT OLD.video_no
BEGIN SELECT RAISE(ABORT, 'a video number is bound once'); END;

CREATE TRIGGER attempt_is_never_deleted BEFORE DELETE ON attempt
BEGIN SELECT RAISE(ABORT, 'an attempt is never deleted'); END;

-- What happened, in order; append-only.
CREATE TABLE event (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    item    INTEGER NOT NULL REFERENCES item (id),
    attempt INTEGER REFERENCES attempt (id),
    event   TEXT    NOT NULL,
    detail  TEXT
) STRICT;
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;

-- Where an item was last seen in a manifest, and by which run.
CREATE TABLE sighting (
    item   INTEGER PRIMARY KEY REFERENCES item (id),
    run    INTEGER NOT NULL REFERENCES run (id),
    source INTEGER NOT NULL REFERENCES source (id),
    line   INTEGER NOT NULL
) STRICT;

-- What a run read from one manifest; `unchanged` when the file is as it was read before. rows = added + known + updated + drifted + duplicates + faulty.
CREATE TABLE reading (
    run        INTEGER NOT NULL REFERENCES run (id),
    source     INTEGER NOT NULL REFERENCES source (id),
    rows       INTEGER NOT NULL DEFAULT 0,
    added      INTEGER NOT NULL DEFAULT 0,
    known      INTEGER NOT NULL DEFAULT 0,
    updated    INTEGER NOT NULL DEFAULT 0,
    drifted    INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    faulty     INTEGER NOT NULL DEFAULT 0,
    complete   INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1)),
    unchanged  INTEGER NOT NULL DEFAULT 0 CHECK (unchanged IN (0, 1)),
    PRIMARY KEY (run, source),
    CHECK (rows = added + known + updated + drifted + duplicates + faulty)
) STRICT, WITHOUT ROWID;

-- Rows that are no items: faulty ones, duplicates, and rows that drifted. Kept until the next run reads its manifests.
CREATE TABLE aside (
    id       INTEGER PRIMARY KEY,
    run      INTEGER NOT NULL REFERENCES run (id),
    source   INTEGER NOT NULL REFERENCES source (id),
    line     INTEGER NOT NULL,
    kind     TEXT    NOT NULL CHECK (kind IN ('faulty', 'duplicate', 'drifted')),
    cells    TEXT    NOT NULL,
    problems TEXT,
    item     INTEGER REFERENCES item (id),
    first_source INTEGER REFERENCES source (id),
    first_line   INTEGER
) STRICT;
