-- What collect looks for, so that it neither starves nor looks in vain; and which binding is applied.

-- When the application was last told in vain of a post that is out: those that it refuses go behind
-- the others.
ALTER TABLE automapost.post_deliveries ADD COLUMN apply_tried_at timestamptz;

-- First comments that an edit may take up again.
CREATE INDEX post_deliveries_ended_comments ON automapost.post_deliveries (due_at)
    WHERE kind = 'comment' AND state IN ('failed', 'missed', 'cancelled');

-- The post's version when somebody asked to cancel the running job: what is edited later takes it up
-- again, what was edited before does not.
ALTER TABLE automapost.job_queue ADD COLUMN cancel_version text;

-- Which binding is applied, so that the next migration applies no other one unasked. name: 'default'
-- for the shipped one, else the file's; checksum: SHA-256 of its text.
CREATE TABLE automapost.binding (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    applied_by text NOT NULL DEFAULT session_user
);
