-- Version 3: the quota over restarts, links that expire, and counts that are kept rather than counted.

-- Where time stood when a run began: a boot of the machine and the milliseconds since, by a clock that nobody sets. By
-- them the next run knows how much time really passed. `jump_ms` is how much further our wall clock went between the run
-- before and this one; while that is not known, as far as it can have gone: no time passed at all.
ALTER TABLE run ADD COLUMN boot TEXT;
ALTER TABLE run ADD COLUMN boot_ms INTEGER;
ALTER TABLE run ADD COLUMN jump_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN jump_known INTEGER NOT NULL DEFAULT 1 CHECK (jump_known IN (0, 1));

-- When the signed link of an item dies; NULL when it does not, as far as the link says.
ALTER TABLE item ADD COLUMN expires_at INTEGER;
CREATE INDEX item_expiring ON item (source, expires_at) WHERE state = 'pending' AND expires_at IS NOT NULL;

-- What counts in a quota beside the attempts: reads of ours, and requests of other tools with the same account.
CREATE TABLE expense (
    id    INTEGER PRIMARY KEY,
    lane  TEXT    NOT NULL CHECK (lane IN ('upload', 'list', 'get')),
    run   INTEGER REFERENCES run (id),
    at    INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    note  TEXT
) STRICT;
CREATE INDEX expense_by_time ON expense (lane, at);

-- What the porter learned, and what limits were set for this account; each by its name, as the porter writes it.
CREATE TABLE memo (
    name  TEXT    PRIMARY KEY,
    value TEXT    NOT NULL,
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many items of each manifest are in each state.
CREATE TABLE census (
    source INTEGER NOT NULL REFERENCES source (id),
    state  TEXT    NOT NULL,
    count  INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (source, state)
) STRICT, WITHOUT ROWID;
INSERT INTO census SELECT source, state, count(*) FROM item GROUP BY source, state;
CREATE TRIGGER item_is_counted AFTER INSERT ON item
BEGIN
    INSERT INTO census VALUES (NEW.source, NEW.state, 1) ON CONFLICT (source, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER item_is_counted_anew AFTER UPDATE OF state, source ON item
WHEN NEW.state <> OLD.state OR NEW.source <> OLD.source
BEGIN
    UPDATE census SET count = count - 1 WHERE source = OLD.source AND state = OLD.state;
    INSERT INTO census VALUES (NEW.source, NEW.state, 1) ON CONFLICT (source, state) DO UPDATE SET count = count + 1;
END;
