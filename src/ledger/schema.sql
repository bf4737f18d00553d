-- The ledger of telecine, version 1. Once a version is released its file never changes: the next version is a file of
-- its own, and a test opens a file of each version before it.
--
-- Conditions of checks, triggers and partial indexes list texts with OR: for an IN with more than two texts SQLite builds a
-- temporary table at every change.

-- To which service and account the ledger belongs.
CREATE TABLE identity (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    origin          TEXT    NOT NULL,
    key_fingerprint BLOB    NOT NULL,
    secret          BLOB    NOT NULL CHECK (length(secret) = 32),
    created_at      INTEGER NOT NULL
) STRICT;

-- One run of the program. `boot` and `boot_ms` are a boot of the machine and the milliseconds since it, by a clock that
-- cannot be set: they tell the next run how much time really passed. `clock_skew_ms` is how much further the wall clock
-- went between the run before and this one; while that is not known, it is the most it can have been.
CREATE TABLE run (
    id               INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL UNIQUE,
    command          TEXT    NOT NULL,
    started_at       INTEGER NOT NULL,
    ended_at         INTEGER,
    exit_code        INTEGER,
    exit_reason      TEXT,
    boot             TEXT,
    boot_ms          INTEGER,
    clock_skew_ms    INTEGER NOT NULL DEFAULT 0,
    clock_skew_known INTEGER NOT NULL DEFAULT 1 CHECK (clock_skew_known IN (0, 1))
) STRICT;

-- A manifest, known by its absolute path. `stamp` describes the file as it was when it was last read to its end.
CREATE TABLE manifest (
    id       INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    columns  TEXT NOT NULL,
    stamp    TEXT
) STRICT;
-- Items that wait, but whose row is in no manifest any more.
INSERT INTO manifest (id, identity, columns) VALUES (0, '(removed from its manifest)', '[]');

-- One item: one source URL in one namespace. `expires_at` is when its signed link expires; NULL when the link does not
-- say. `missed` counts the polls in a row that did not show its video.
CREATE TABLE item (
    id          INTEGER PRIMARY KEY,
    key         BLOB    NOT NULL UNIQUE CHECK (length(key) = 16),
    state       TEXT    NOT NULL CHECK (state = 'pending' OR state = 'sending' OR state = 'in_doubt'
                                        OR state = 'accepted_unidentified' OR state = 'needs_review'
                                        OR state = 'accepted' OR state = 'indexed' OR state = 'failed'
                                        OR state = 'rejected' OR state = 'abandoned' OR state = 'deleted'),
    manifest    INTEGER NOT NULL REFERENCES manifest (id),
    line        INTEGER NOT NULL,
    namespace   TEXT    NOT NULL,
    external_id TEXT,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 16),
    submission  TEXT    NOT NULL,
    cells       TEXT    NOT NULL,
    admitted_at INTEGER NOT NULL,
    attempt     INTEGER REFERENCES attempt (id),
    poll_at     INTEGER,
    missed      INTEGER NOT NULL DEFAULT 0,
    final_at    INTEGER,
    cause       TEXT,
    expires_at  INTEGER,
    CHECK ((poll_at IS NOT NULL) = (state = 'accepted')),
    CHECK ((final_at IS NOT NULL) = (state = 'indexed' OR state = 'failed' OR state = 'rejected'
                                     OR state = 'abandoned' OR state = 'deleted'))
) STRICT;
CREATE INDEX item_by_state ON item (state, manifest);
CREATE INDEX item_to_poll ON item (poll_at) WHERE poll_at IS NOT NULL;
-- A claim takes the first item whose link lasts (NULL), or the one whose link expires next, in one step. SQLite ends each index
-- with the number of the row, and PostgreSQL does not.
CREATE INDEX item_pending ON item (manifest, expires_at, id) WHERE state = 'pending';
-- The condition keeps this index out of the plans of the stages.
CREATE INDEX item_by_id ON item (external_id) WHERE external_id IS NOT NULL;

-- One request. `counts_until` is the latest time at which the service may have accepted it, and NULL when it was not
-- accepted: the rolling windows are computed from it. `forced` is 1 for an attempt that is `absent` only because a human
-- ordered it to be sent again, or `rejected` only by a rule of the user; it may still be at the service. `held` is 1 while
-- its item waits to be sent again and the listings have not been searched for its markers yet. `clear_at` is when a complete listing first showed no
-- video that it could be, `hidden_until` the latest listing that did not show its video. `submission` is what was sent, where
-- the row has other content by now; NULL where its item has it. `body_until` is the latest time at which a byte of its file may
-- have left, and `body_sent` how many bytes had been sent when that was recorded; both are NULL where the service fetches the video.
CREATE TABLE attempt (
    id           INTEGER PRIMARY KEY,
    item         INTEGER NOT NULL REFERENCES item (id),
    run          INTEGER NOT NULL REFERENCES run (id),
    state        TEXT    NOT NULL CHECK (state = 'sending' OR state = 'not_sent' OR state = 'refused'
                                         OR state = 'rejected' OR state = 'in_doubt'
                                         OR state = 'accepted_unidentified' OR state = 'needs_review'
                                         OR state = 'accepted' OR state = 'absent' OR state = 'abandoned'
                                         OR state = 'superseded'),
    marker       TEXT,
    sent_at      INTEGER NOT NULL,
    send_before  INTEGER NOT NULL,
    answered_at  INTEGER,
    counts_until INTEGER,
    video_no     TEXT UNIQUE,
    uploaded_at  INTEGER,
    bound_by     TEXT CHECK (bound_by = 'reply' OR bound_by = 'marker' OR bound_by = 'callback'
                             OR bound_by = 'sole_candidate' OR bound_by = 'human'),
    clear_at     INTEGER,
    cause        TEXT,
    forced       INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1)),
    hidden_until INTEGER,
    held         INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    submission   TEXT,
    body_until   INTEGER,
    body_sent    INTEGER,
    CHECK ((video_no IS NOT NULL) = (state IN ('accepted', 'superseded'))),
    CHECK ((bound_by IS NOT NULL) = (video_no IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX attempt_one_open ON attempt (item)
    WHERE state = 'sending' OR state = 'in_doubt' OR state = 'accepted_unidentified' OR state = 'needs_review'
          OR state = 'accepted';
CREATE INDEX attempt_spent ON attempt (counts_until) WHERE counts_until IS NOT NULL;
CREATE INDEX attempt_open ON attempt (state)
    WHERE state = 'sending' OR state = 'in_doubt' OR state = 'accepted_unidentified' OR state = 'needs_review';
CREATE INDEX attempt_by_item ON attempt (item);
CREATE INDEX attempt_held ON attempt (item) WHERE held = 1;
CREATE INDEX attempt_superseded ON attempt (item) WHERE state = 'superseded';
CREATE INDEX attempt_left_by_order ON attempt (item) WHERE forced = 1 OR state = 'abandoned';
-- Refusals of the last hour count against a budget of their own.
CREATE INDEX attempt_refused ON attempt (answered_at) WHERE state = 'refused';

-- The transition table of domain/state.rs, enforced here too.
CREATE TABLE transition (
    from_state TEXT NOT NULL,
    event      TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    PRIMARY KEY (from_state, event)
) STRICT, WITHOUT ROWID;
INSERT INTO transition VALUES
    ('pending', 'claimed', 'sending'),
    ('pending', 'found_again', 'accepted'),
    ('sending', 'not_sent', 'pending'),
    ('sending', 'refused_for_now', 'pending'),
    ('sending', 'rejected', 'rejected'),
    ('sending', 'rejected_by_rule', 'rejected'),
    ('sending', 'accepted', 'accepted'),
    ('sending', 'accepted_unidentified', 'accepted_unidentified'),
    ('sending', 'answer_lost', 'in_doubt'),
    ('in_doubt', 'found', 'accepted'),
    ('in_doubt', 'found_absent', 'pending'),
    ('in_doubt', 'found_accepted', 'accepted_unidentified'),
    ('in_doubt', 'review_requested', 'needs_review'),
    ('accepted_unidentified', 'found', 'accepted'),
    ('accepted_unidentified', 'review_requested', 'needs_review'),
    ('needs_review', 'found', 'accepted'),
    ('needs_review', 'adopted', 'accepted'),
    ('needs_review', 'resend_ordered', 'pending'),
    ('needs_review', 'given_up', 'abandoned'),
    ('pending', 'answer_withdrawn', 'needs_review'),
    ('abandoned', 'answer_withdrawn', 'needs_review'),
    ('accepted', 'answer_withdrawn', 'needs_review'),
    ('indexed', 'answer_withdrawn', 'needs_review'),
    ('accepted', 'indexed', 'indexed'),
    ('accepted', 'indexing_failed', 'failed'),
    ('rejected', 'corrected', 'pending'),
    ('failed', 'retry_ordered', 'pending'),
    ('indexed', 'replace_ordered', 'pending'),
    ('accepted', 'deleted', 'deleted'),
    ('indexed', 'deleted', 'deleted'),
    ('failed', 'deleted', 'deleted'),
    ('deleted', 'reupload_ordered', 'pending');

CREATE TRIGGER item_starts_pending BEFORE INSERT ON item WHEN NEW.state <> 'pending'
BEGIN SELECT RAISE(ABORT, 'an item starts as pending'); END;

CREATE TRIGGER item_follows_transition_table BEFORE UPDATE OF state ON item
WHEN NEW.state <> OLD.state
 AND NOT EXISTS (SELECT 1 FROM transition WHERE from_state = OLD.state AND to_state = NEW.state)
BEGIN SELECT RAISE(ABORT, 'the transition table has no such transition'); END;

CREATE TRIGGER item_is_never_deleted BEFORE DELETE ON item
BEGIN SELECT RAISE(ABORT, 'an item is never deleted'); END;

CREATE TRIGGER attempt_starts_sending BEFORE INSERT ON attempt WHEN NEW.state <> 'sending'
BEGIN SELECT RAISE(ABORT, 'an attempt starts as sending'); END;

-- Attempts that ended stay as they ended; only an accepted one can be superseded, only one whose item waits to be sent again
-- can be accepted again, and only a human's answer can be taken back.
CREATE TRIGGER attempt_ends_once BEFORE UPDATE OF state ON attempt
WHEN NEW.state <> OLD.state
 AND NOT (NEW.state = 'needs_review'
          AND (OLD.state = 'abandoned' OR (OLD.state = 'absent' AND OLD.forced = 1)
               OR (OLD.state = 'accepted' AND OLD.bound_by = 'human')))
 AND NOT (OLD.state = 'superseded' AND NEW.state = 'accepted'
          AND EXISTS (SELECT 1 FROM event WHERE item = OLD.item AND attempt = OLD.id
                      AND (event = 'retry_ordered' OR event = 'reupload_ordered')))
 AND (OLD.state = 'not_sent' OR OLD.state = 'refused' OR OLD.state = 'rejected' OR OLD.state = 'absent'
      OR OLD.state = 'abandoned' OR OLD.state = 'superseded'
      OR (OLD.state = 'accepted' AND NEW.state <> 'superseded'))
BEGIN SELECT RAISE(ABORT, 'the attempt has ended'); END;

CREATE TRIGGER attempt_is_bound_once BEFORE UPDATE OF video_no ON attempt
WHEN OLD.video_no IS NOT NULL AND NEW.video_no IS DISTINCT FROM OLD.video_no
 AND NOT (OLD.bound_by = 'human' AND NEW.video_no IS NULL AND NEW.state = 'needs_review')
BEGIN SELECT RAISE(ABORT, 'a video number is bound once'); END;

CREATE TRIGGER attempt_is_never_deleted BEFORE DELETE ON attempt
BEGIN SELECT RAISE(ABORT, 'an attempt is never deleted'); END;

-- Uploads paid or possibly paid: every attempt but those the service is known not to have accepted.
CREATE TABLE committed_uploads (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    uploads INTEGER NOT NULL CHECK (uploads >= 0)
) STRICT;
INSERT INTO committed_uploads VALUES (1, 0);
CREATE TRIGGER attempt_is_committed AFTER INSERT ON attempt
BEGIN UPDATE committed_uploads SET uploads = uploads + 1; END;
CREATE TRIGGER attempt_is_released AFTER UPDATE OF state ON attempt
WHEN NEW.state <> OLD.state
 AND (NEW.state = 'not_sent' OR NEW.state = 'refused' OR NEW.state = 'rejected'
      OR (NEW.state = 'absent' AND NEW.forced = 0))
BEGIN UPDATE committed_uploads SET uploads = uploads - 1; END;

-- How many items of each manifest are in each state. An admission counts its new items together; changes of items are counted by a
-- trigger.
CREATE TABLE state_count (
    manifest INTEGER NOT NULL REFERENCES manifest (id),
    state    TEXT    NOT NULL,
    count    INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (manifest, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER item_is_recounted AFTER UPDATE OF state, manifest ON item
WHEN NEW.state <> OLD.state OR NEW.manifest <> OLD.manifest
BEGIN
    UPDATE state_count SET count = count - 1 WHERE manifest = OLD.manifest AND state = OLD.state;
    INSERT INTO state_count VALUES (NEW.manifest, NEW.state, 1)
    ON CONFLICT (manifest, state) DO UPDATE SET count = state_count.count + 1;
END;

-- The namespaces that items are in.
CREATE TABLE namespace (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- What happened, in order; append-only. `chain` is a digest of this event and of the one before it, so that a change is
-- noticed.
CREATE TABLE event (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    item    INTEGER NOT NULL REFERENCES item (id),
    attempt INTEGER REFERENCES attempt (id),
    event   TEXT    NOT NULL,
    detail  TEXT,
    chain   BLOB    NOT NULL CHECK (length(chain) = 16)
) STRICT;
CREATE INDEX event_by_item ON event (item);
-- The latest error of a run is found in one step.
CREATE INDEX event_of_error ON event (id)
    WHERE event = 'not_sent' OR event = 'refused_for_now' OR event = 'rejected' OR event = 'rejected_by_rule'
          OR event = 'answer_lost' OR event = 'indexing_failed';
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;

-- Where an item was last seen in a manifest, and by which run.
CREATE TABLE last_seen (
    item     INTEGER PRIMARY KEY REFERENCES item (id),
    run      INTEGER NOT NULL REFERENCES run (id),
    manifest INTEGER NOT NULL REFERENCES manifest (id),
    line     INTEGER NOT NULL
) STRICT;

-- What a run read from one manifest; `unchanged` when the file is as it was read before.
CREATE TABLE manifest_read (
    run        INTEGER NOT NULL REFERENCES run (id),
    manifest   INTEGER NOT NULL REFERENCES manifest (id),
    rows       INTEGER NOT NULL DEFAULT 0,
    added      INTEGER NOT NULL DEFAULT 0,
    known      INTEGER NOT NULL DEFAULT 0,
    updated    INTEGER NOT NULL DEFAULT 0,
    drifted    INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    invalid    INTEGER NOT NULL DEFAULT 0,
    complete   INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1)),
    unchanged  INTEGER NOT NULL DEFAULT 0 CHECK (unchanged IN (0, 1)),
    PRIMARY KEY (run, manifest),
    CHECK (rows = added + known + updated + drifted + duplicates + invalid)
) STRICT, WITHOUT ROWID;

-- Rows that are not items: invalid rows, duplicates, and rows that drifted. Kept until the next run reads its manifests.
CREATE TABLE row_issue (
    id             INTEGER PRIMARY KEY,
    run            INTEGER NOT NULL REFERENCES run (id),
    manifest       INTEGER NOT NULL REFERENCES manifest (id),
    line           INTEGER NOT NULL,
    kind           TEXT    NOT NULL CHECK (kind = 'invalid' OR kind = 'duplicate' OR kind = 'drifted'),
    cells          TEXT    NOT NULL,
    problems       TEXT,
    item           INTEGER REFERENCES item (id),
    first_manifest INTEGER REFERENCES manifest (id),
    first_line     INTEGER
) STRICT;

CREATE INDEX row_issue_by_line ON row_issue (manifest, line);

-- A question to a human about an attempt, with the evidence there was.
CREATE TABLE question (
    attempt    INTEGER PRIMARY KEY REFERENCES attempt (id),
    asked_at   INTEGER NOT NULL,
    text       TEXT    NOT NULL,
    candidates TEXT    NOT NULL
) STRICT;

-- The video numbers that calls of the service gave for a request which was not accepted yet, at most two: two different ones
-- contradict each other. Only calls with the token of the request are recorded. `at` is when the first of them came, `due_at`
-- when the number is looked up next; NULL when it is not looked up any more.
CREATE TABLE callback (
    attempt  INTEGER NOT NULL REFERENCES attempt (id),
    video_no TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    due_at   INTEGER,
    PRIMARY KEY (attempt, video_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX callback_by_video ON callback (video_no);

-- What a human answered: who, when and why. Append-only.
CREATE TABLE answer (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    attempt  INTEGER NOT NULL REFERENCES attempt (id),
    event    TEXT    NOT NULL CHECK (event = 'adopted' OR event = 'resend_ordered' OR event = 'given_up'
                                     OR event = 'answer_withdrawn'),
    video_no TEXT,
    who      TEXT    NOT NULL,
    why      TEXT    NOT NULL
) STRICT;
CREATE INDEX answer_by_attempt ON answer (attempt);
CREATE TRIGGER answer_is_never_changed BEFORE UPDATE ON answer
BEGIN SELECT RAISE(ABORT, 'answers are append-only'); END;
CREATE TRIGGER answer_is_never_deleted BEFORE DELETE ON answer
BEGIN SELECT RAISE(ABORT, 'answers are append-only'); END;

-- Videos that a human ordered to be deleted. A row is written before the service is asked for the first time. `attempt` is the
-- request that the video is bound to; NULL for a second video of the item. `listed` is 1 if the service listed the video
-- before it was asked. `gone_at` is when a listing proved that the video is gone; NULL while nothing proves it.
CREATE TABLE deletion (
    video_no   TEXT    PRIMARY KEY,
    item       INTEGER NOT NULL REFERENCES item (id),
    attempt    INTEGER UNIQUE REFERENCES attempt (id),
    namespace  TEXT    NOT NULL,
    run        INTEGER NOT NULL REFERENCES run (id),
    ordered_at INTEGER NOT NULL,
    who        TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    listed     INTEGER NOT NULL CHECK (listed IN (0, 1)),
    gone_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX deletion_by_item ON deletion (item);
CREATE TRIGGER deletion_starts_open BEFORE INSERT ON deletion WHEN NEW.gone_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a deletion starts without proof'); END;
CREATE TRIGGER deletion_is_never_deleted BEFORE DELETE ON deletion
BEGIN SELECT RAISE(ABORT, 'a deletion is never taken out'); END;
CREATE TRIGGER deletion_is_proven_once BEFORE UPDATE ON deletion
WHEN OLD.gone_at IS NOT NULL AND EXISTS (SELECT 1 FROM item WHERE id = OLD.item AND state = 'deleted')
BEGIN SELECT RAISE(ABORT, 'the deletion is proven'); END;
-- An item is deleted only with the proof, and its request is not replaced between the order and the proof.
CREATE TRIGGER item_is_deleted_with_proof BEFORE UPDATE OF state ON item
WHEN NEW.state = 'deleted' AND OLD.state <> 'deleted'
 AND NOT EXISTS (SELECT 1 FROM deletion WHERE attempt = NEW.attempt AND gone_at IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'nothing proves the deletion'); END;
CREATE TRIGGER attempt_is_kept_until_its_video_is_gone BEFORE UPDATE OF state ON attempt
WHEN OLD.state = 'accepted' AND NEW.state <> 'accepted'
 AND EXISTS (SELECT 1 FROM deletion WHERE attempt = OLD.id AND gone_at IS NULL)
BEGIN SELECT RAISE(ABORT, 'its video is being deleted'); END;

-- Bad rows that a report has named: they are no news in the next one. `digest` is of the row and of what is
-- wrong with it, `run` the latest run that reported it. A human may acknowledge it.
CREATE TABLE bad_row (
    digest          BLOB    PRIMARY KEY CHECK (length(digest) = 16),
    manifest        INTEGER NOT NULL REFERENCES manifest (id),
    line            INTEGER NOT NULL,
    state           TEXT    NOT NULL CHECK (state = 'invalid' OR state = 'rejected' OR state = 'failed'
                                            OR state = 'abandoned'),
    cause           TEXT    NOT NULL,
    run             INTEGER NOT NULL REFERENCES run (id),
    first_at        INTEGER NOT NULL,
    acknowledged_at INTEGER,
    who             TEXT,
    why             TEXT,
    CHECK ((acknowledged_at IS NOT NULL) = (who IS NOT NULL)),
    CHECK ((acknowledged_at IS NOT NULL) = (why IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- What another process asks of the one that writes the ledger, as JSON. It is applied once: `result` is written in the
-- transaction that applies it, and is NULL before.
CREATE TABLE handed_order (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    content TEXT    NOT NULL,
    result  TEXT
) STRICT;
CREATE INDEX handed_order_open ON handed_order (id) WHERE result IS NULL;
CREATE TRIGGER handed_order_is_applied_once BEFORE UPDATE ON handed_order WHEN OLD.result IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an order is applied once'); END;

-- The longest the service was seen to take: from a request to its acceptance, and from there to the first listing.
-- `attempt_floor` is the highest attempt number known to be used elsewhere, as before a backup was restored;
-- `recovering` is 1 from the start of a recovery until the ledger knows all that was sent.
CREATE TABLE observed_delay (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    acceptance_ms INTEGER NOT NULL DEFAULT 0,
    listing_ms    INTEGER NOT NULL DEFAULT 0,
    attempt_floor INTEGER NOT NULL DEFAULT 0,
    recovering    INTEGER NOT NULL DEFAULT 0 CHECK (recovering IN (0, 1))
) STRICT;
INSERT INTO observed_delay (one) VALUES (1);

-- Videos at the service that carry the marker of a request which this ledger does not know. The items whose keys begin
-- with that prefix were sent already, and are not sent from here.
CREATE TABLE foreign_video (
    key_prefix BLOB NOT NULL CHECK (length(key_prefix) = 8),
    video_no   TEXT NOT NULL,
    PRIMARY KEY (key_prefix, video_no)
) STRICT, WITHOUT ROWID;

-- What counts in a quota beside the attempts: our own reads, and requests of other tools with the same account.
CREATE TABLE external_usage (
    id       INTEGER PRIMARY KEY,
    endpoint TEXT    NOT NULL CHECK (endpoint = 'upload' OR endpoint = 'list' OR endpoint = 'get'
                              OR endpoint = 'delete'),
    run      INTEGER REFERENCES run (id),
    at       INTEGER NOT NULL,
    count    INTEGER NOT NULL CHECK (count > 0),
    note     TEXT
) STRICT;
CREATE INDEX external_usage_by_time ON external_usage (endpoint, at);
-- Videos sent with another ledger are counted once, by their note.
CREATE INDEX external_usage_by_note ON external_usage (note) WHERE note IS NOT NULL;

-- Small values by name: what was learned of the account's limits, and the limits that were set.
CREATE TABLE kv (
    name  TEXT    PRIMARY KEY,
    value TEXT    NOT NULL,
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The latest probe of an address, known by a digest of it. `reach` says which hosts it may have gone to.
CREATE TABLE probe (
    address   BLOB    PRIMARY KEY CHECK (length(address) = 16),
    verdict   TEXT    NOT NULL CHECK (verdict = 'supported' OR verdict = 'unsupported' OR verdict = 'unclear'),
    class     TEXT    NOT NULL,
    found     TEXT    NOT NULL,
    size      INTEGER CHECK (size >= 0),
    reach     TEXT    NOT NULL CHECK (reach IN ('public', 'private')),
    probed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Views for people and for other programs, described in docs/ledger-views.md. Times are texts of RFC 3339 in UTC: both engines
-- make the same text, it sorts by time, and its first ten letters are the day. An address ends before its `?`, because what
-- follows may be the signature of a link.

CREATE VIEW v_items AS
SELECT item.id AS item,
       item.state AS state,
       item.namespace AS namespace,
       item.external_id AS external_id,
       coalesce(seen_in.identity, sent_from.identity) AS manifest,
       coalesce(last_seen.line, item.line) AS line,
       substr(item.submission ->> '$.url', 1, instr((item.submission ->> '$.url') || '?', '?') - 1) AS url,
       CASE WHEN attempt.state = 'accepted' THEN attempt.video_no END AS video_number,
       item.cause AS cause,
       strftime('%Y-%m-%dT%H:%M:%SZ', item.admitted_at / 1000, 'unixepoch') AS admitted_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', attempt.sent_at / 1000, 'unixepoch') AS sent_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', item.poll_at / 1000, 'unixepoch') AS next_look_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', item.expires_at / 1000, 'unixepoch') AS link_expires_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', item.final_at / 1000, 'unixepoch') AS ended_at
FROM item
LEFT JOIN attempt ON attempt.id = item.attempt
LEFT JOIN manifest AS sent_from ON sent_from.id = item.manifest
LEFT JOIN last_seen ON last_seen.item = item.id
LEFT JOIN manifest AS seen_in ON seen_in.id = last_seen.manifest;

-- `age_s` is by the clock of the machine that answers the query.
CREATE VIEW v_attempts AS
SELECT attempt.id AS attempt,
       attempt.item AS item,
       run.name AS run,
       attempt.state AS state,
       attempt.marker AS marker,
       strftime('%Y-%m-%dT%H:%M:%SZ', attempt.sent_at / 1000, 'unixepoch') AS sent_at,
       unixepoch() - attempt.sent_at / 1000 AS age_s,
       strftime('%Y-%m-%dT%H:%M:%SZ', attempt.answered_at / 1000, 'unixepoch') AS answered_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', attempt.counts_until / 1000, 'unixepoch') AS counts_until,
       attempt.video_no AS video_number,
       attempt.bound_by AS bound_by,
       attempt.cause AS cause
FROM attempt
LEFT JOIN run ON run.id = attempt.run;

CREATE VIEW v_runs AS
SELECT run.id AS number,
       run.name AS run,
       run.command AS command,
       strftime('%Y-%m-%dT%H:%M:%SZ', run.started_at / 1000, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', run.ended_at / 1000, 'unixepoch') AS ended_at,
       run.exit_code AS exit_code,
       run.exit_reason AS exit_reason,
       coalesce(seen.rows_read, 0) AS rows_read,
       coalesce(seen.rows_added, 0) AS rows_added,
       coalesce(seen.rows_invalid, 0) AS rows_invalid,
       coalesce(sent.requests, 0) AS requests,
       coalesce(sent.accepted, 0) AS accepted,
       coalesce(sent.refused, 0) AS refused,
       coalesce(sent.rejected, 0) AS rejected,
       coalesce(sent.unanswered, 0) AS unanswered
FROM run
LEFT JOIN (SELECT run,
                  CAST(sum(rows) AS BIGINT) AS rows_read,
                  CAST(sum(added) AS BIGINT) AS rows_added,
                  CAST(sum(invalid) AS BIGINT) AS rows_invalid
           FROM manifest_read GROUP BY run) AS seen ON seen.run = run.id
LEFT JOIN (SELECT run,
                  count(*) AS requests,
                  CAST(sum(CASE WHEN state IN ('accepted', 'accepted_unidentified', 'superseded') THEN 1 ELSE 0 END) AS BIGINT) AS accepted,
                  CAST(sum(CASE WHEN state = 'refused' THEN 1 ELSE 0 END) AS BIGINT) AS refused,
                  CAST(sum(CASE WHEN state = 'rejected' THEN 1 ELSE 0 END) AS BIGINT) AS rejected,
                  CAST(sum(CASE WHEN state IN ('sending', 'in_doubt', 'needs_review') THEN 1 ELSE 0 END) AS BIGINT) AS unanswered
           FROM attempt WHERE state <> 'not_sent' GROUP BY run) AS sent ON sent.run = run.id;

-- A value is a text: the limits are JSON, and the counts are numbers.
CREATE VIEW v_limits AS
SELECT 'set' AS name, value, strftime('%Y-%m-%dT%H:%M:%SZ', at / 1000, 'unixepoch') AS at
FROM kv WHERE name = 'limits'
UNION ALL
SELECT 'of_the_latest_run', value, strftime('%Y-%m-%dT%H:%M:%SZ', at / 1000, 'unixepoch')
FROM (SELECT value, at FROM kv WHERE name LIKE 'limits of run %' ORDER BY at DESC, name DESC LIMIT 1) AS latest
UNION ALL
SELECT 'learned', value, strftime('%Y-%m-%dT%H:%M:%SZ', at / 1000, 'unixepoch')
FROM kv WHERE name = 'lessons'
UNION ALL
SELECT 'counted_in_2_hours', CAST(count(*) AS TEXT), NULL
FROM attempt WHERE counts_until IS NOT NULL AND counts_until > (unixepoch() - 7200) * 1000
UNION ALL
SELECT 'counted_in_24_hours', CAST(count(*) AS TEXT), NULL
FROM attempt WHERE counts_until IS NOT NULL AND counts_until > (unixepoch() - 86400) * 1000
UNION ALL
SELECT 'paid_or_maybe_paid', CAST(uploads AS TEXT), NULL
FROM committed_uploads;
