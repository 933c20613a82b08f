-- What each ended day counted, once: the trail has the same, and the rows of the day go.
CREATE TABLE day_counts (
    day            TEXT PRIMARY KEY,
    counts         TEXT NOT NULL      -- JSON
) STRICT;
