-- How far claims have come, so that they need not walk over what is done: the server keeps that in its
-- indexes until a vacuum, and for as long as anybody has a transaction open that might see it.

-- By lease, which only grow; of one worker's jobs there are few enough to look at all that run.
DROP INDEX automapost.job_queue_running;
CREATE INDEX job_queue_running ON automapost.job_queue (lease) WHERE status = 'running';

-- low_lease, of 'builtin': no job runs under a lesser one, whoever has it. noted: the last lease given when that was found out, and
-- when; it is found out again after so many more.
ALTER TABLE automapost.claim_turns
    ADD COLUMN low_lease bigint NOT NULL DEFAULT 0,
    ADD COLUMN noted bigint NOT NULL DEFAULT 0,
    ADD COLUMN noted_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN note_after bigint NOT NULL DEFAULT 5000 CHECK (note_after > 0);

-- Of types of which many are done at this time: before scheduled_for no job of that priority waited when
-- all of them were looked at last. What comes in below it is seen at the next such look, a second later.
CREATE TABLE automapost.low_water (
    job_type text NOT NULL,
    priority integer NOT NULL,
    scheduled_for timestamptz NOT NULL,
    looked_at timestamptz NOT NULL,
    PRIMARY KEY (job_type, priority)
);
