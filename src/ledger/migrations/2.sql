-- Version 2: questions with their evidence, answers with their author, what is at stake, what was observed, and an
-- event log that shows when it was tampered with.

-- Digest of this event and of the one before it; NULL in events of version 1.
ALTER TABLE event ADD COLUMN chain BLOB CHECK (length(chain) = 16);

-- An attempt that is `absent` only because a human ordered it to be sent again may still be at the service.
ALTER TABLE attempt ADD COLUMN forced INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1));
-- The latest look that did not show its video, and the first that did.
ALTER TABLE attempt ADD COLUMN hidden_until INTEGER;
CREATE INDEX attempt_by_item ON attempt (item);
CREATE INDEX attempt_left_by_order ON attempt (item) WHERE forced = 1 OR state = 'abandoned';

-- What a human was asked of an attempt, with the evidence there was.
CREATE TABLE question (
    attempt    INTEGER PRIMARY KEY REFERENCES attempt (id),
    asked_at   INTEGER NOT NULL,
    text       TEXT    NOT NULL,
    candidates TEXT    NOT NULL
) STRICT;

-- What a human answered: who, when and why. Append-only.
CREATE TABLE answer (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    attempt  INTEGER NOT NULL REFERENCES attempt (id),
    event    TEXT    NOT NULL CHECK (event IN ('adopted', 'resend_ordered', 'given_up')),
    video_no TEXT,
    who      TEXT    NOT NULL,
    why      TEXT    NOT NULL
) STRICT;
CREATE TRIGGER answer_is_never_changed BEFORE UPDATE ON answer
BEGIN SELECT RAISE(ABORT, 'answers are append-only'); END;
CREATE TRIGGER answer_is_never_deleted BEFORE DELETE ON answer
BEGIN SELECT RAISE(ABORT, 'answers are append-only'); END;

-- Uploads paid or perhaps paid: every attempt but those the service is known not to have taken.
CREATE TABLE stake (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    uploads INTEGER NOT NULL CHECK (uploads >= 0)
) STRICT;
INSERT INTO stake SELECT 1, count(*) FROM attempt WHERE state NOT IN ('not_sent', 'refused', 'rejected', 'absent');
CREATE TRIGGER attempt_is_at_stake AFTER INSERT ON attempt
BEGIN UPDATE stake SET uploads = uploads + 1; END;
CREATE TRIGGER attempt_is_safe AFTER UPDATE OF state ON attempt
WHEN NEW.state <> OLD.state
 AND (NEW.state IN ('not_sent', 'refused', 'rejected') OR (NEW.state = 'absent' AND NEW.forced = 0))
BEGIN UPDATE stake SET uploads = uploads - 1; END;

-- The longest the service was seen to take: from a request to its acceptance, and from there to the first listing.
-- `attempt_floor` is the highest attempt number known to be used elsewhere, as before a backup was restored;
-- `recovering` is 1 from the beginning of a recovery until all is known that was sent.
CREATE TABLE observed (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    acceptance_ms INTEGER NOT NULL DEFAULT 0,
    listing_ms    INTEGER NOT NULL DEFAULT 0,
    attempt_floor INTEGER NOT NULL DEFAULT 0,
    recovering    INTEGER NOT NULL DEFAULT 0 CHECK (recovering IN (0, 1))
) STRICT;
INSERT INTO observed (one) VALUES (1);

-- Videos at the service that carry the marker of a request which this ledger does not know: the items whose keys begin
-- so were sent already, and are not sent from here.
CREATE TABLE elsewhere (
    key_prefix BLOB NOT NULL CHECK (length(key_prefix) = 8),
    video_no   TEXT NOT NULL,
    PRIMARY KEY (key_prefix, video_no)
) STRICT, WITHOUT ROWID;
