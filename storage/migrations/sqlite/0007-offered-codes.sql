-- One-time codes that were offered to a person and wait for a code that confirms them.
CREATE TABLE offered_codes (
    person         TEXT PRIMARY KEY,
    secret         TEXT NOT NULL,     -- JSON: sealed to the month of the register
    offered_at     INTEGER NOT NULL   -- Unix milliseconds
) STRICT;
