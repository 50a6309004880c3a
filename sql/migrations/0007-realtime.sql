-- The worker that stays, and what it is woken by.

INSERT INTO automapost.job_definitions
    (name, kind, description, cron_schedule, max_retries, timeout_ms, concurrency_limit, touches_world)
VALUES
    ('realtime', 'service', 'Do everything as soon as it is due', NULL, 0, 600000, NULL, false);

-- Types for trials and measurements; an application that has one of its own by this name keeps it.
INSERT INTO automapost.job_definitions
    (name, kind, description, cron_schedule, max_retries, timeout_ms, concurrency_limit, touches_world)
VALUES
    ('noop', 'type', 'Does nothing: to see the queue at work', NULL, 2, 60000, NULL, false),
    ('sleep', 'type', 'Takes payload.ms milliseconds: to see limits and timeouts at work', NULL, 2,
     60000, NULL, false)
ON CONFLICT (name) DO NOTHING;

-- It has a limit_key now; a second one beside it would make calls ambiguous.
DROP FUNCTION IF EXISTS automapost.enqueue(text, jsonb, bigint, timestamptz, bigint, text, text);

ALTER TABLE automapost.job_queue ADD CONSTRAINT job_queue_limit_key_check
    CHECK (length(limit_key) BETWEEN 1 AND 500) NOT VALID;
