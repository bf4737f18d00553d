-- Version 5: what looks at the sources themselves showed, before anything is paid for them.

-- The latest look at an address, known by a digest of it. `reach` says which hosts it may have gone to.
CREATE TABLE probe (
    address   BLOB    PRIMARY KEY CHECK (length(address) = 16),
    fitness   TEXT    NOT NULL CHECK (fitness IN ('fit', 'unfit', 'unclear')),
    class     TEXT    NOT NULL,
    found     TEXT    NOT NULL,
    size      INTEGER CHECK (size >= 0),
    reach     TEXT    NOT NULL CHECK (reach IN ('public', 'private')),
    looked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
