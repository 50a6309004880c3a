-- For the application's own workers: types whose definition says handler = 'external'. The same
-- queue, leases, beats, limits and retries as the services have. A worker names itself, beats at
-- least every 5 s (automapost.beat), and gives each claim a batch id of its own making, so that
-- asking again after a lost answer returns the same jobs.

CREATE OR REPLACE FUNCTION automapost.claim(types text[], worker text, batch text, n bigint DEFAULT 1)
RETURNS TABLE (id text, lease bigint, job_type text, attempt bigint, timeout_ms bigint, payload jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    claimed automapost.job_queue[];
    odd text;
BEGIN
    IF COALESCE(length(claim.worker), 0) NOT BETWEEN 8 AND 200 THEN
        RAISE EXCEPTION 'worker must be a name of 8 to 200 characters that no other process uses'
            USING ERRCODE = '22023';
    ELSIF COALESCE(claim.batch, '') = '' THEN
        RAISE EXCEPTION 'batch is missing: any text that is new for each claim'
            USING ERRCODE = '22023';
    ELSIF claim.n IS NULL OR claim.n NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'n must be from 1 to 1000, not %', COALESCE(claim.n::text, 'null')
            USING ERRCODE = '22023';
    END IF;
    SELECT t.name INTO odd FROM unnest(claim.types) t (name)
    WHERE NOT EXISTS (SELECT FROM automapost.job_definitions d
                      WHERE d.name = t.name AND d.kind = 'type' AND d.handler = 'external')
    LIMIT 1;
    IF odd IS NOT NULL OR COALESCE(cardinality(claim.types), 0) = 0 THEN
        RAISE EXCEPTION 'types: % is no job type with handler external', COALESCE('"' || odd || '"', 'nothing')
            USING ERRCODE = '22023',
            HINT = 'The handler is a column of automapost.job_definitions.';
    END IF;

    PERFORM automapost.register_worker(claim.worker, 'external', COALESCE(
        host(inet_client_addr()), 'local'), '', 0, current_setting('application_name'), clock_timestamp());
    claimed := automapost.lease_jobs(claim.worker, claim.batch, claim.types, claim.n, 'external');
    RETURN QUERY
        SELECT q.id::text, q.lease, q.job_type::text, q.attempts::bigint, d.timeout_ms::bigint, q.payload
        FROM unnest(claimed) q JOIN automapost.job_definitions d ON d.name = q.job_type
        ORDER BY q.priority DESC, q.scheduled_for, q.created_at;
END
$$;

-- The job is done. AM002: the lease is somebody else's by now, and nothing was recorded.
CREATE OR REPLACE FUNCTION automapost.complete(id text, lease bigint, result jsonb DEFAULT NULL)
RETURNS TABLE (job_id text, status text, scheduled_for timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM automapost.settle_external(complete.id, complete.lease, 'done', NULL, NULL, NULL,
                                             complete.result)
$$;

-- The job failed. class decides what follows: transient (again after a backoff, until max_attempts),
-- rate-limited (again at retry_at, no attempt used), config (again later, no attempt used), and
-- auth, permission, permanent (failed for good). AM002 as in complete().
CREATE OR REPLACE FUNCTION automapost.fail(
    id text, lease bigint, class text, message text, retry_at timestamptz DEFAULT NULL)
RETURNS TABLE (job_id text, status text, scheduled_for timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    outcome text := CASE fail.class
        WHEN 'transient' THEN 'retry' WHEN 'unknown-outcome' THEN 'retry'
        WHEN 'rate-limited' THEN 'limited' WHEN 'config' THEN 'config'
        WHEN 'auth' THEN 'failed' WHEN 'permission' THEN 'failed' WHEN 'permanent' THEN 'failed' END;
BEGIN
    IF outcome IS NULL THEN
        RAISE EXCEPTION 'class must be transient, rate-limited, config, auth, permission or permanent, not "%"',
            COALESCE(fail.class, 'null') USING ERRCODE = '22023';
    ELSIF fail.retry_at IS NOT NULL AND NOT isfinite(fail.retry_at) THEN
        RAISE EXCEPTION 'retry_at must be a time, not %', fail.retry_at USING ERRCODE = '22023';
    END IF;
    RETURN QUERY SELECT * FROM automapost.settle_external(fail.id, fail.lease, outcome, fail.class,
        left(fail.message, 600), fail.retry_at, NULL);
END
$$;

CREATE OR REPLACE FUNCTION automapost.settle_external(
    p_id text, p_lease bigint, p_outcome text, p_class text, p_message text, p_retry_at timestamptz,
    p_result jsonb)
RETURNS TABLE (job_id text, status text, scheduled_for timestamptz)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    job automapost.job_queue;
    item automapost.settle_item;
BEGIN
    SELECT q.locked_by INTO job.locked_by FROM automapost.job_queue q
    WHERE q.lease = p_lease AND q.status = 'running' AND q.id::text = lower(p_id);
    PERFORM FROM automapost.workers w WHERE w.id = job.locked_by FOR NO KEY UPDATE;
    SELECT q.* INTO job FROM automapost.job_queue q
    JOIN automapost.job_definitions d ON d.name = q.job_type
    WHERE q.id::text = lower(p_id) AND q.lease = p_lease AND q.status = 'running'
        AND d.handler = 'external' FOR NO KEY UPDATE OF q;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lease % of job % is not yours any more', p_lease, p_id
            USING ERRCODE = 'AM002',
            HINT = 'The job was put back, or given to another worker: drop the result.';
    END IF;
    item.id := job.id;
    item.lease := p_lease;
    item.execution_id := job.execution_id;
    item.started_at := job.locked_at;
    item.duration_ms := extract(epoch FROM clock_timestamp() - job.locked_at) * 1000;
    item.outcome := p_outcome;
    item.class := p_class;
    item.message := p_message;
    item.retry_at := p_retry_at;
    item.result := p_result;
    PERFORM automapost.settle_one(item, job);
    RETURN QUERY SELECT q.id::text, q.status::text, q.scheduled_for
        FROM automapost.job_queue q WHERE q.id = job.id;
END
$$;

-- Running jobs far past their timeout: their worker beats, but does not end them. Taken from it as
-- if it had died; its late answer is then "not yours any more". Returns how many.
CREATE OR REPLACE FUNCTION automapost.expire_overdue(p_limit bigint)
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(automapost.give_up_job(o.id, 'past its timeout of ' || o.timeout_ms || ' ms'))
    FROM (SELECT q.id, d.timeout_ms
          FROM automapost.job_queue q JOIN automapost.job_definitions d ON d.name = q.job_type
          WHERE q.id = ANY (ARRAY(SELECT r.id FROM automapost.running_jobs r))
            AND q.locked_at + d.timeout_ms * interval '1 ms' + (SELECT 2 * e.lapse FROM automapost.engine e)
                < clock_timestamp()
          ORDER BY q.id LIMIT p_limit FOR NO KEY UPDATE OF q SKIP LOCKED) o
$$;
