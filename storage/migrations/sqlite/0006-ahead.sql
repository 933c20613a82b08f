-- Of which fact a text is whose entry is not written yet: SHA-256 of who and what as JSON. Nobody reads it before the fact is recorded.
ALTER TABLE register_texts ADD COLUMN ahead TEXT;
