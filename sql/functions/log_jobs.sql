-- What jobs say before they end; the rest comes with their settle. p_items: an array of {"id",
-- "lease", "execution_id", "logs": [{"n", "level", "message", "at"}]}. Jobs that are no longer this
-- worker's have no row in the answer, and nothing of them is stored. stored: the lines with smaller
-- numbers need not come again. Twice is as good as once. AM001: this worker has ended.
CREATE OR REPLACE FUNCTION automapost.log_jobs(p_worker text, p_items jsonb)
RETURNS TABLE (lease bigint, stored bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    w automapost.workers := automapost.lock_worker(p_worker);
    i record;
BEGIN
    FOR i IN
        SELECT q AS job, to_jsonb(g) AS item, g.logs
        FROM jsonb_to_recordset(p_items) g (id uuid, lease bigint, execution_id uuid, logs jsonb)
        JOIN automapost.job_queue q ON q.id = g.id AND q.lease = g.lease AND q.status = 'running'
            AND q.locked_by = w.id AND q.execution_id = g.execution_id
        ORDER BY q.id FOR NO KEY UPDATE OF q
    LOOP
        BEGIN
            PERFORM automapost.show_running(i.job);
            PERFORM automapost.store_lines(jsonb_build_array(i.item), ARRAY[(i.job).execution_id]);
            lease := (i.job).lease;
            stored := (SELECT max(l.n) + 1 FROM jsonb_to_recordset(i.logs) l (n bigint));
            RETURN NEXT;
        EXCEPTION WHEN OTHERS THEN
            -- Of one job nothing can be written: the others' lines are.
            RAISE WARNING 'what job % says cannot be stored: %', (i.job).id, SQLERRM;
        END;
    END LOOP;
END
$$;

-- The row of an attempt that takes long, with its start, before it ends.
CREATE OR REPLACE FUNCTION automapost.show_running(job automapost.job_queue)
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO automapost.job_executions (id, job_queue_id, status, started_at, retry_count, worker_id)
    VALUES (job.execution_id, job.id, 'running', job.locked_at, GREATEST(job.attempts - 1, 0),
            job.locked_by)
    ON CONFLICT (id) DO NOTHING
$$;

-- A line's id is its attempt's with the line's number in its last two bytes: it is there once, however
-- often it is sent, and beside its neighbours.
CREATE OR REPLACE FUNCTION automapost.line_id(execution uuid, n smallint)
RETURNS uuid
LANGUAGE sql IMMUTABLE
RETURN pg_catalog.encode(pg_catalog.overlay(pg_catalog.uuid_send(execution),
                                            pg_catalog.int2send(n), 15, 2), 'hex')::uuid;

-- The lines of items, each {"execution_id", "logs"}: those of p_executions, which have a row. What a line
-- lacks, or says in other words than ours, keeps no other out.
CREATE OR REPLACE FUNCTION automapost.store_lines(p_items jsonb, p_executions uuid[])
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO automapost.job_logs (id, job_execution_id, level, message, data, "timestamp")
    SELECT COALESCE(automapost.line_id(i.execution_id, l.n), gen_random_uuid()), i.execution_id,
        CASE WHEN l.level IN ('debug', 'info', 'warn', 'error') THEN l.level ELSE 'info' END,
        COALESCE(l.message, ''), l.data, COALESCE(l.at, clock_timestamp())
    FROM jsonb_to_recordset(p_items) i (execution_id uuid, logs jsonb)
    CROSS JOIN LATERAL jsonb_to_recordset(i.logs)
        l (n smallint, level text, message text, data jsonb, at timestamptz)
    WHERE i.execution_id IN (SELECT unnest(p_executions))
    ON CONFLICT (job_execution_id, id) DO NOTHING;
END
$$;
