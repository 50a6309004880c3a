-- What holds claims flat while somebody keeps an old transaction open, and millions of finished jobs with it.

-- By a condition of its own, which says the same as a CHECK: a plan that was made while few ran took another
-- index of running jobs for a look by lease, and walked all that had ever run. Who says lease > 0 gets this
-- one, and nobody else, for whom the id is the better way.
DROP INDEX automapost.job_queue_running;
CREATE INDEX job_queue_running ON automapost.job_queue (lease) WHERE lease > 0;

-- How long a look at all jobs counts: the longer, the longer it took.
ALTER TABLE automapost.low_water ADD COLUMN good_for interval NOT NULL DEFAULT '1 s';
