-- Where one look at all jobs takes long (somebody holds an old transaction open, and millions of finished jobs
-- with it), they are looked at a part at a time, from the low water down. swept: how far that has come; null: all
-- at once. step: how much is looked at next. cost: how long it took since it began anew at the low water.
ALTER TABLE automapost.low_water
    ADD COLUMN swept timestamptz,
    ADD COLUMN step interval NOT NULL DEFAULT '10 s' CHECK (step > '0'),
    ADD COLUMN cost interval NOT NULL DEFAULT '0';
