-- A person's next password, whose entry may or may not be durable. It opens nothing before the trail says that it is set.
CREATE TABLE passwords_ahead (
    person  TEXT PRIMARY KEY,
    origin  TEXT NOT NULL,
    hash    TEXT NOT NULL,      -- JSON
    after   INTEGER NOT NULL    -- the last entry of the office's chain before that one
) STRICT;
