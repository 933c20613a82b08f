-- What opens a package, until it is shown or nobody may see it any more: encrypted under keys of every recording in the package.
CREATE TABLE passphrases (
    hand_over      TEXT PRIMARY KEY,
    kept           TEXT NOT NULL      -- JSON
) STRICT;

DELETE FROM register_texts WHERE kind = 'passphrase';
