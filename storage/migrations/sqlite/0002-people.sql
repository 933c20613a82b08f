-- The register: a row a fact, never changed. Ids, dates, codes and digests; names and bases lie sealed in register_texts.
CREATE TABLE register (
    row            INTEGER PRIMARY KEY AUTOINCREMENT,
    at             INTEGER NOT NULL,  -- Unix nanoseconds, as the entry of the trail
    audit_seq      INTEGER NOT NULL UNIQUE,
    actor          TEXT NOT NULL,     -- JSON
    fact           TEXT NOT NULL      -- JSON
) STRICT;

-- Names, bases, reasons and what else is text, sealed to the month of the register.
CREATE TABLE register_texts (
    row            INTEGER PRIMARY KEY AUTOINCREMENT,
    about          TEXT NOT NULL,     -- an id: of a person, a case, a decision
    kind           TEXT NOT NULL,     -- name, basis
    sealed         TEXT NOT NULL      -- JSON
) STRICT;

CREATE INDEX register_texts_by_subject ON register_texts (about);

-- The passwords that a person may not take again, the newest in force.
CREATE TABLE passwords (
    row            INTEGER PRIMARY KEY AUTOINCREMENT,
    person         TEXT NOT NULL,
    set_at         INTEGER NOT NULL,  -- Unix milliseconds, as all times below
    origin         TEXT NOT NULL,     -- own, issued
    hash           TEXT NOT NULL      -- JSON: argon2id with its parameters and salt
) STRICT;

CREATE INDEX passwords_by_person ON passwords (person);

CREATE TABLE second_factors (
    person         TEXT PRIMARY KEY,
    secret         TEXT NOT NULL,     -- JSON: sealed to the month of the register
    last_step      INTEGER
) STRICT;

-- Wrong attempts in a row. The key is a hash of id and source: what was typed in as an id may be a password.
CREATE TABLE attempts (
    key            TEXT PRIMARY KEY,
    failures       INTEGER NOT NULL,
    last_at        INTEGER NOT NULL
) STRICT;

CREATE TABLE login_sessions (
    token          TEXT PRIMARY KEY,  -- SHA-256 of what the person holds
    person         TEXT NOT NULL,
    began_at       INTEGER NOT NULL,
    seen_at        INTEGER NOT NULL
) STRICT;
