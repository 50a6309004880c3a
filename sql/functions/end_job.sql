-- The ways in which a running job stops running. Callers hold its row's lock and have checked the
-- lease. Each writes what became of it; none leaves a lease behind.

CREATE OR REPLACE FUNCTION automapost.end_job(
    p_job uuid, p_status text, p_code text, p_message text, p_result jsonb DEFAULT NULL,
    p_class text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO automapost.job_executions
        (id, job_queue_id, status, started_at, finished_at, duration_ms, retry_count, worker_id,
         error_class, error_code, error_message)
    SELECT q.execution_id, q.id, p_status, q.locked_at, clock_timestamp(),
        extract(epoch FROM clock_timestamp() - q.locked_at) * 1000,
        GREATEST(q.attempts - 1, 0), q.locked_by, p_class, p_code, p_message
    FROM automapost.job_queue q
    WHERE q.id = p_job AND q.execution_id IS NOT NULL
    ON CONFLICT (id) DO UPDATE
        SET status = excluded.status, finished_at = excluded.finished_at,
            duration_ms = excluded.duration_ms, error_class = excluded.error_class,
            error_code = excluded.error_code, error_message = excluded.error_message
        WHERE job_executions.status = 'running'; -- what a worker said of its attempt stays

    UPDATE automapost.job_queue q
    SET status = p_status, lease = NULL, claim_batch = NULL, locked_by = NULL, locked_at = NULL,
        execution_id = NULL, begun = false, waits_for = NULL,
        error_class = p_class, error_code = p_code, error_message = p_message, result = p_result,
        finished_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE q.id = p_job;
END
$$;

-- Back to pending, due at p_when (null: as it was, so that it keeps its place). A job whose
-- cancellation was asked for, or whose key has a successor by now, ends instead.
CREATE OR REPLACE FUNCTION automapost.put_back_job(
    p_job uuid, p_when timestamptz, p_class text DEFAULT NULL, p_code text DEFAULT NULL,
    p_message text DEFAULT NULL, p_attempts bigint DEFAULT NULL, p_waits_for text DEFAULT NULL)
RETURNS text -- the job's status now
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job automapost.job_queue;
    successor uuid;
BEGIN
    SELECT * INTO job FROM automapost.job_queue q WHERE q.id = p_job;
    SELECT q.id INTO successor FROM automapost.job_queue q
    WHERE q.job_type = job.job_type AND q.job_key = job.job_key AND q.status = 'pending';
    IF successor IS NOT NULL THEN
        UPDATE automapost.post_deliveries d SET job_id = successor WHERE d.job_id = p_job;
        PERFORM automapost.end_job(p_job, 'cancelled', 'superseded', 'superseded by ' || successor);
        RETURN 'cancelled';
    END IF;
    IF job.cancel_requested_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM automapost.post_deliveries d
        WHERE d.job_id = p_job AND d.state IN ('sending', 'unconfirmed')) THEN
        UPDATE automapost.job_queue q SET attempts = COALESCE(p_attempts, q.attempts) WHERE q.id = p_job;
        PERFORM automapost.cancel_as_requested(job,
            (SELECT d.id FROM automapost.post_deliveries d
             WHERE d.job_id = p_job AND d.state = 'pending'),
            'cancelled by ' || job.cancel_requested_by || COALESCE('; last: ' || p_message, ''));
        RETURN 'cancelled';
    END IF;

    -- What did not count as an attempt leaves a row only if it said something.
    DELETE FROM automapost.job_executions x
    WHERE x.id = job.execution_id AND x.status = 'running'
        AND NOT EXISTS (SELECT FROM automapost.job_logs l WHERE l.job_execution_id = x.id);
    UPDATE automapost.job_executions x
    SET status = 'cancelled', finished_at = clock_timestamp(),
        duration_ms = extract(epoch FROM clock_timestamp() - x.started_at) * 1000,
        error_code = 'put-back', error_message = COALESCE(NULLIF(p_message, job.error_message), 'put back')
    WHERE x.id = job.execution_id AND x.status = 'running';

    UPDATE automapost.job_queue q
    SET status = 'pending', lease = NULL, claim_batch = NULL, locked_by = NULL, locked_at = NULL,
        execution_id = NULL, begun = false, scheduled_for = COALESCE(p_when, q.scheduled_for),
        waits_for = p_waits_for,
        attempts = COALESCE(p_attempts, q.attempts),
        error_class = p_class, error_code = p_code, error_message = p_message,
        updated_at = clock_timestamp()
    WHERE q.id = p_job;
    RETURN 'pending';
END
$$;

-- Waiting before try n + 1: exponential with full jitter, capped (the numbers are the engine's).
CREATE OR REPLACE FUNCTION automapost.backoff(p_attempts bigint)
RETURNS interval
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT random() * LEAST(e.retry_cap, e.retry_base * power(2, LEAST(p_attempts, 20)))
    FROM automapost.engine e
$$;
