-- One row for each call. In the clear: our ids, times, the city's own number and department, states.
-- A tombstone keeps recording, day, expires_at and state, all else null.
CREATE TABLE calls (
    row            INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id        TEXT UNIQUE,
    recording      TEXT,
    day            TEXT NOT NULL,
    expires_at     INTEGER NOT NULL,  -- Unix milliseconds, as all times here
    state          TEXT NOT NULL,
    rank           INTEGER NOT NULL,  -- open 0, sealed and unrecorded 1, recovered 2, disposed 3; never goes down
    called         TEXT,
    department     TEXT,
    started_at     INTEGER,
    answered_at    INTEGER,
    ended_at       INTEGER,
    end_cause      TEXT,
    emergency      TEXT,
    notice_kind    TEXT,
    notice         TEXT,              -- JSON
    reason         TEXT,              -- why there is no recording
    caller_kind    TEXT,
    caller         TEXT,              -- JSON: the sealed number
    chunks         INTEGER,
    duration_ms    INTEGER,
    gaps_ms        INTEGER,
    sha256         TEXT,
    bytes          INTEGER,
    recovery       TEXT
) STRICT;

CREATE INDEX calls_by_recording ON calls (recording);
CREATE INDEX calls_by_expiry ON calls (expires_at) WHERE state <> 'disposed';
CREATE INDEX calls_by_day ON calls (day);

-- Sealed reasons of emergencies; the audit trail holds their salted hashes.
CREATE TABLE reasons (
    emergency      TEXT PRIMARY KEY,
    declared_at    INTEGER NOT NULL,
    sealed         TEXT NOT NULL      -- JSON
) STRICT;

-- How many lines of each spool file are taken in.
CREATE TABLE spool_taken (
    file           TEXT PRIMARY KEY,
    lines          INTEGER NOT NULL
) STRICT;
