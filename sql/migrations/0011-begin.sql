-- What touches the world and is no delivery begins too: its row says under which batch.
ALTER TABLE automapost.job_queue ADD COLUMN begin_batch text;

INSERT INTO automapost.job_definitions
    (name, kind, description, cron_schedule, max_retries, timeout_ms, concurrency_limit, touches_world)
VALUES
    ('noop-send', 'type', 'Does nothing, as if it sent something: to see what that costs', NULL, 2, 60000, NULL,
     true);
