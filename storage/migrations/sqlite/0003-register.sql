-- Up to which entry of the office's trail the register was compared; one row. An old copy of this file brings its own back, and so is seen.
CREATE TABLE register_compared (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    audit_seq      INTEGER NOT NULL,
    chain_hash     TEXT NOT NULL,     -- of that entry
    facts          TEXT NOT NULL      -- SHA-256 over the register's rows up to it
) STRICT;
