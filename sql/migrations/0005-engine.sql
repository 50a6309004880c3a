-- What collect looks for, so that it neither starves nor looks in vain.

-- When the application was last told in vain of a post that is out: those that it refuses go behind
-- the others.
ALTER TABLE automapost.post_deliveries ADD COLUMN apply_tried_at timestamptz;

-- First comments that an edit may take up again.
CREATE INDEX post_deliveries_ended_comments ON automapost.post_deliveries (due_at)
    WHERE kind = 'comment' AND state IN ('failed', 'missed', 'cancelled');

-- The post's version when somebody asked to cancel the running job: what is edited later takes it up
-- again, what was edited before does not.
ALTER TABLE automapost.job_queue ADD COLUMN cancel_version text;
