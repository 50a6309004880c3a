-- settle_jobs() for what is done and has nothing else to tell: quick jobs that end by the hundred. The
-- arrays p_ids to p_results have an element for each job, those from p_line_ids (line_id) on one for each
-- line that a job said, and p_line_of is its execution. Durations are milliseconds. Types are those of the
-- columns, because hundreds come in binary form. Answers the leases of which nothing was recorded, because
-- they are another's or their jobs need a closer look: settle_jobs() does that. 23505: some of it was stored
-- before (a run that was shown while it took long); then nothing is.
CREATE OR REPLACE FUNCTION automapost.settle_done(
    p_worker text, p_ids uuid[], p_leases bigint[], p_executions uuid[], p_started timestamptz[],
    p_durations bigint[], p_results text[],
    p_line_ids uuid[], p_line_of uuid[], p_levels text[], p_messages text[], p_times timestamptz[])
RETURNS TABLE (lease bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    settled uuid[]; -- executions
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    -- Beside what this worker does over another connection, never beside its end (end_worker).
    PERFORM FROM automapost.workers w WHERE w.id = p_worker FOR KEY SHARE;

    WITH done AS (
        UPDATE automapost.job_queue q
        SET status = 'completed', lease = NULL, claim_batch = NULL, locked_by = NULL,
            locked_at = NULL, execution_id = NULL, begun = false, waits_for = NULL,
            error_class = NULL, error_code = NULL, error_message = NULL, result = i.result::jsonb,
            finished_at = clock_timestamp(), updated_at = clock_timestamp()
        FROM unnest(p_ids, p_leases, p_executions, p_started, p_durations, p_results)
            i (id, lease, execution_id, started_at, duration_ms, result)
        WHERE q.id = i.id AND q.lease = i.lease AND q.locked_by IS NOT DISTINCT FROM p_worker
            AND q.job_type <> ALL ('{social-media-post, refresh-token}'::text[])
        RETURNING q.id, i.execution_id, i.started_at, i.duration_ms, q.attempts
    ), executed AS (
        INSERT INTO automapost.job_executions
            (id, job_queue_id, status, started_at, finished_at, duration_ms, retry_count, worker_id,
             metadata)
        SELECT p.execution_id, p.id, 'completed', p.started_at,
            p.started_at + p.duration_ms * interval '1 ms', p.duration_ms,
            GREATEST(p.attempts - 1, 0), p_worker, '{"outcome": "done"}'
        FROM done p
    )
    SELECT array_agg(p.execution_id) INTO settled FROM done p;

    INSERT INTO automapost.job_logs (id, job_execution_id, level, message, "timestamp")
    SELECT l.id, l.execution_id, l.level, l.message, l.at
    FROM unnest(p_line_ids, p_line_of, p_levels, p_messages, p_times) l (id, execution_id, level, message, at)
    WHERE cardinality(settled) = cardinality(p_ids) OR l.execution_id = ANY (settled);

    RETURN QUERY
        SELECT i.lease FROM unnest(p_leases, p_executions) i (lease, execution_id)
        WHERE settled IS NULL
            OR cardinality(settled) < cardinality(p_ids) AND i.execution_id <> ALL (settled);
END
$$;
