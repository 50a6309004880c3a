-- settle_jobs() for what is done and has nothing else to tell: quick jobs that end by the hundred. The
-- arrays p_ids to p_results have an element for each job; those from p_line_of on one for each line
-- that a job said, and p_line_of says at which place its job stands (from 1). Times are microseconds
-- since 1970, durations milliseconds. Answers the leases of which nothing was recorded, because they
-- are another's or their jobs need a closer look: settle_jobs() does that. 23505: some of it was stored
-- before (a run that was shown while it took long); then nothing is.
CREATE OR REPLACE FUNCTION automapost.settle_done(
    p_worker text, p_ids text[], p_leases bigint[], p_executions text[], p_started bigint[],
    p_durations bigint[], p_results text[],
    p_line_of bigint[], p_line_n bigint[], p_levels text[], p_messages text[], p_times bigint[])
RETURNS TABLE (lease bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    executions uuid[] := p_executions::uuid[];
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
        FROM unnest(p_ids::uuid[], p_leases, executions, p_started, p_durations, p_results)
            i (id, lease, execution_id, started, duration_ms, result)
        WHERE q.id = i.id AND q.lease = i.lease AND q.locked_by IS NOT DISTINCT FROM p_worker
            AND q.job_type <> ALL ('{social-media-post, refresh-token}'::text[])
        RETURNING q.id, i.execution_id, i.started, i.duration_ms, q.attempts
    ), executed AS (
        INSERT INTO automapost.job_executions
            (id, job_queue_id, status, started_at, finished_at, duration_ms, retry_count, worker_id,
             metadata)
        SELECT p.execution_id, p.id, 'completed', automapost.from_us(p.started),
            automapost.from_us(p.started + p.duration_ms * 1000), p.duration_ms,
            GREATEST(p.attempts - 1, 0), p_worker, '{"outcome": "done"}'
        FROM done p
    )
    SELECT array_agg(p.execution_id) INTO settled FROM done p;

    INSERT INTO automapost.job_logs (id, job_execution_id, level, message, "timestamp")
    SELECT automapost.line_id(x.id, l.n::smallint), x.id, l.level, l.message, automapost.from_us(l.at)
    FROM unnest(p_line_of, p_line_n, p_levels, p_messages, p_times) l (job, n, level, message, at)
    CROSS JOIN LATERAL (SELECT executions[l.job::integer] AS id) x
    WHERE cardinality(settled) = cardinality(p_ids) OR x.id = ANY (settled);

    RETURN QUERY
        SELECT i.lease FROM unnest(p_leases, executions) i (lease, execution_id)
        WHERE settled IS NULL
            OR cardinality(settled) < cardinality(p_ids) AND i.execution_id <> ALL (settled);
END
$$;

-- Microseconds since 1970 as a time.
CREATE OR REPLACE FUNCTION automapost.from_us(us bigint)
RETURNS timestamptz
LANGUAGE sql STABLE
RETURN 'epoch'::timestamptz + us * interval '1 us';
