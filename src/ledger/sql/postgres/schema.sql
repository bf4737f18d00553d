-- What a ledger in PostgreSQL has beside the tables of schema.sql: the version, the lease, and the functions of SQLite that its
-- statements use.

CREATE TABLE ledger_version (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL);

-- Which process may write. `seq` is the number of its last transaction in this term. Times are milliseconds by the clock of the
-- database.
CREATE TABLE lease (
    one        BIGINT PRIMARY KEY CHECK (one = 1),
    holder     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    term       BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    renewed_at BIGINT NOT NULL,
    until      BIGINT NOT NULL
);
INSERT INTO lease VALUES (1, '', '', 0, 0, 0, 0);

CREATE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- NULL if one of them is.
CREATE FUNCTION max(a BIGINT, b BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT greatest(a, b) $$;
CREATE FUNCTION min(a BIGINT, b BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT least(a, b) $$;

CREATE FUNCTION instr(text TEXT, part TEXT) RETURNS INTEGER LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT strpos(text, part) $$;
CREATE FUNCTION hex(bytes BYTEA) RETURNS TEXT LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT upper(encode(bytes, 'hex')) $$;

-- `column ->> '$.file.size'`: a value of a JSON text, by its path.
CREATE FUNCTION json_text(document TEXT, path TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT document::json #>> string_to_array(ltrim(translate(path, '$[]', ''), '.'), '.') $$;
CREATE OPERATOR ->> (LEFTARG = TEXT, RIGHTARG = TEXT, FUNCTION = json_text);

-- Times of the views, in the words of SQLite. The views use one format.
CREATE FUNCTION strftime(format TEXT, at BIGINT, kind TEXT) RETURNS TEXT LANGUAGE sql STABLE STRICT
    AS $$ SELECT to_char(to_timestamp(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;
CREATE FUNCTION unixepoch() RETURNS BIGINT LANGUAGE sql STABLE
    AS $$ SELECT extract(epoch FROM statement_timestamp())::bigint $$;
