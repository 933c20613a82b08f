-- A code has confirmed what was offered, and the entry that says so may or may not be durable.
ALTER TABLE offered_codes ADD COLUMN confirmed_step INTEGER;    -- the step whose code it was
ALTER TABLE offered_codes ADD COLUMN confirmed_after INTEGER;   -- the last entry of the office's chain before that one
