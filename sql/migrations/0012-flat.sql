-- What holds claims flat while somebody keeps an old transaction open, and millions of finished jobs with it.

-- By a condition that no other index of running jobs has: a plan that was made while few ran took one of
-- those for a look by lease, and walked all that had ever run. (A CHECK says that it is the same rows.)
DROP INDEX automapost.job_queue_running;
CREATE INDEX job_queue_running ON automapost.job_queue (lease) WHERE lease IS NOT NULL;

-- How long a look at all jobs counts: the longer, the longer it took.
ALTER TABLE automapost.low_water ADD COLUMN good_for interval NOT NULL DEFAULT '1 s';
