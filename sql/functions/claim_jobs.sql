-- The worker's row, locked for the rest of the transaction: everything that a worker does, and
-- everything done to it (rescue, release), goes through this lock first, so that none of them
-- overlap. AM001: this worker has ended (it lapsed and its jobs were put back).
CREATE OR REPLACE FUNCTION automapost.lock_worker(p_worker text)
RETURNS automapost.workers
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w automapost.workers;
BEGIN
    SELECT * INTO w FROM automapost.workers WHERE id = p_worker FOR NO KEY UPDATE;
    IF w.id IS NULL OR w.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'worker % is not registered, or has lapsed', p_worker
            USING ERRCODE = 'AM001';
    END IF;
    RETURN w;
END
$$;

-- Due jobs of p_types under leases, at most p_n, each with its input: claim and load in one
-- transaction. mode: run, or reconcile (the outcome of an earlier send is unknown; input has the
-- request).
CREATE OR REPLACE FUNCTION automapost.claim_jobs(p_worker text, p_batch text, p_types text[], p_n bigint)
RETURNS TABLE (id text, lease bigint, execution_id text, job_type text, attempt bigint,
               timeout_ms bigint, mode text, input jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    claimed uuid[] := automapost.take_jobs(p_worker, p_batch, p_types, p_n, 'builtin');
    kind text;
    of_kind uuid[];
    one uuid;
BEGIN
    -- A row that cannot be loaded (somebody's data is not what it should be) keeps no other waiting.
    FOR kind IN SELECT DISTINCT q.job_type FROM automapost.job_queue q WHERE q.id = ANY (claimed) LOOP
        of_kind := ARRAY(SELECT q.id FROM automapost.job_queue q
                         WHERE q.id = ANY (claimed) AND q.job_type = kind);
        BEGIN
            RETURN QUERY SELECT * FROM automapost.load_jobs(kind, of_kind);
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
            FOREACH one IN ARRAY of_kind LOOP
                BEGIN
                    RETURN QUERY SELECT * FROM automapost.load_jobs(kind, ARRAY[one]);
                EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
                    PERFORM automapost.put_back_job(one, clock_timestamp() + automapost.backoff(5),
                        'permanent', 'input', 'its input cannot be read: ' || SQLERRM);
                END;
            END LOOP;
        END;
    END LOOP;
END
$$;

-- Takes due jobs of p_types with that handler under leases, at most p_n. Order: priority descending,
-- due time, creation; walked priority by priority, so that future rows of any priority cost
-- nothing. Passed over: types paused or at their concurrency limit, keys that run, providers and
-- accounts that are limited or have key_limit running, and accounts that are behind and must pace
-- themselves. p_batch is the client's: asking again with the same one, after an answer that was
-- lost, returns what that claim took. AM003: this database is a copy.
CREATE OR REPLACE FUNCTION automapost.take_jobs(
    p_worker text, p_batch text, p_types text[], p_n bigint, p_handler text,
    p_again boolean DEFAULT false)
RETURNS uuid[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here automapost.installation_now;
    e automapost.engine;
    chosen uuid[];
    candidates uuid[];
    claimed uuid[];
BEGIN
    PERFORM automapost.lock_worker(p_worker);
    SELECT * INTO here FROM automapost.installation_now;
    IF here.state = 'copy' THEN
        RAISE EXCEPTION 'this database is a copy: %', here.differs USING ERRCODE = 'AM003',
            HINT = 'If it is the installation now, and nothing else publishes for it: sudo '
                'automapost setup --adopt';
    ELSIF here.state IN ('moved', 'comparing') THEN
        RETURN '{}'; -- until its hosts know what they sent
    END IF;
    SELECT * INTO e FROM automapost.engine;

    SELECT array_agg(q.id) INTO claimed FROM automapost.job_queue q
    WHERE q.locked_by = p_worker AND q.status = 'running' AND q.claim_batch = p_batch;

    IF claimed IS NULL THEN
        chosen := automapost.choose_jobs(p_types, p_n, p_handler, e);
        IF chosen = '{}' THEN
            RETURN '{}';
        END IF;
        candidates := chosen;

        -- What must be exact is counted in a new statement, under locks: a type with a limit on
        -- its definition, every limit_key on its own row.
        PERFORM FROM automapost.job_definitions d
        WHERE d.concurrency_limit IS NOT NULL AND d.name IN (
            SELECT q.job_type FROM automapost.job_queue q WHERE q.id = ANY (chosen))
        ORDER BY d.name FOR NO KEY UPDATE;
        INSERT INTO automapost.limit_keys (key)
        SELECT DISTINCT q.limit_key FROM automapost.job_queue q
        WHERE q.id = ANY (chosen) AND q.limit_key IS NOT NULL
            AND NOT EXISTS (SELECT FROM automapost.limit_keys k WHERE k.key = q.limit_key)
        ORDER BY 1 ON CONFLICT DO NOTHING;
        WITH free AS MATERIALIZED (
            SELECT k.key FROM automapost.limit_keys k
            WHERE k.key IN (SELECT q.limit_key FROM automapost.job_queue q WHERE q.id = ANY (chosen))
            ORDER BY k.key FOR NO KEY UPDATE SKIP LOCKED
        ), locked AS MATERIALIZED (
            SELECT q.id FROM automapost.job_queue q
            WHERE q.id = ANY (chosen) AND q.status = 'pending'
                AND q.scheduled_for <= clock_timestamp()
                AND (q.limit_key IS NULL OR q.limit_key IN (SELECT f.key FROM free f))
            ORDER BY q.id FOR UPDATE SKIP LOCKED
        )
        SELECT array_agg(l.id) INTO chosen FROM locked l;
        IF chosen IS NULL THEN
            -- Another claim took just these. Once it is through there may be others; a worker that
            -- was told that nothing is due would end.
            IF p_again THEN
                RETURN '{}';
            END IF;
            PERFORM FROM automapost.limit_keys k
            WHERE k.key IN (SELECT q.limit_key FROM automapost.job_queue q
                            WHERE q.id = ANY (candidates))
            ORDER BY k.key FOR NO KEY UPDATE;
            RETURN automapost.take_jobs(p_worker, p_batch, p_types, p_n, p_handler, true);
        END IF;

        BEGIN
            WITH candidate AS (
                SELECT q.id, d.concurrency_limit, d.key_limit, q.limit_key, q.job_type,
                    row_number() OVER (PARTITION BY q.job_type
                        ORDER BY q.priority DESC, q.scheduled_for, q.created_at) AS nth_of_type,
                    row_number() OVER (PARTITION BY q.job_type, q.limit_key
                        ORDER BY q.priority DESC, q.scheduled_for, q.created_at) AS nth_of_key
                FROM automapost.job_queue q
                JOIN automapost.job_definitions d ON d.name = q.job_type
                WHERE q.id = ANY (chosen)
                    AND NOT EXISTS (SELECT FROM automapost.job_queue r
                                    WHERE r.job_type = q.job_type AND r.job_key = q.job_key
                                        AND r.status = 'running')
            ), fitting AS (
                SELECT c.id FROM candidate c
                WHERE (c.concurrency_limit IS NULL OR c.nth_of_type + (
                        SELECT count(*) FROM automapost.job_queue r
                        WHERE r.status = 'running' AND r.job_type = c.job_type)
                            <= c.concurrency_limit)
                    AND (c.limit_key IS NULL OR c.nth_of_key + (
                        SELECT count(*) FROM automapost.job_queue r
                        WHERE r.status = 'running' AND r.limit_key = c.limit_key)
                            <= c.key_limit)
            ), taken AS (
                UPDATE automapost.job_queue q
                SET status = 'running', locked_by = p_worker, locked_at = clock_timestamp(),
                    claim_batch = p_batch, lease = nextval('automapost.leases'),
                    execution_id = gen_random_uuid(), begun = false, waits_for = NULL,
                    attempts = q.attempts + CASE WHEN d.touches_world THEN 0 ELSE 1 END,
                    updated_at = clock_timestamp()
                FROM fitting f, automapost.job_definitions d
                WHERE q.id = f.id AND d.name = q.job_type
                RETURNING q.id
            )
            SELECT array_agg(t.id) INTO claimed FROM taken t;
        EXCEPTION WHEN unique_violation THEN
            RETURN '{}'; -- a key began to run elsewhere at this moment; the next claim sees it
        END;
    END IF;
    RETURN COALESCE(claimed, '{}');
END
$$;

-- The inputs of claimed jobs of one type. What ends or is put back while loading has no row.
CREATE OR REPLACE FUNCTION automapost.load_jobs(p_type text, p_jobs uuid[])
RETURNS TABLE (id text, lease bigint, execution_id text, job_type text, attempt bigint,
               timeout_ms bigint, mode text, input jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    -- A type whose input is its payload has no function of its own.
    IF to_regprocedure(format('automapost.%I(uuid[])', 'load_' || replace(p_type, '-', '_'))) IS NULL THEN
        RETURN QUERY
            SELECT q.id::text, q.lease, q.execution_id::text, q.job_type::text, q.attempts::bigint,
                d.timeout_ms::bigint, 'run', COALESCE(q.payload, '{}')
            FROM automapost.job_queue q
            JOIN automapost.job_definitions d ON d.name = q.job_type
            WHERE q.id = ANY (p_jobs) AND q.status = 'running';
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT q.id::text, q.lease, q.execution_id::text, q.job_type::text,
             CASE WHEN d.touches_world THEN q.attempts + 1 ELSE q.attempts END::bigint,
             d.timeout_ms::bigint, l.mode, l.input
         FROM automapost.%I($1) l
         JOIN automapost.job_queue q ON q.id = l.id
         JOIN automapost.job_definitions d ON d.name = q.job_type',
        'load_' || replace(p_type, '-', '_'))
    USING p_jobs;
END
$$;

-- Candidates, without a lock: what claim_jobs then locks and counts exactly.
CREATE OR REPLACE FUNCTION automapost.choose_jobs(
    p_types text[], p_n bigint, p_handler text, e automapost.engine)
RETURNS uuid[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t timestamptz := clock_timestamp();
    limited text[] := ARRAY(SELECT l.key FROM automapost.rate_limits l WHERE l.until > t);
    types text[] := ARRAY(
        SELECT d.name FROM automapost.job_definitions d
        WHERE d.kind = 'type' AND d.handler = p_handler AND d.name = ANY (p_types)
            AND automapost.is_runnable(d)
            AND (d.concurrency_limit IS NULL OR d.concurrency_limit > (
                SELECT count(*) FROM automapost.job_queue r
                WHERE r.status = 'running' AND r.job_type = d.name)));
    chosen uuid[];
    counts jsonb; -- limit_key: running or chosen so far
    alone jsonb;  -- limit_key: an account that is behind
    depth bigint; -- how many of a level are looked at
    seen bigint;
    n bigint;
    free boolean;
    job record;
BEGIN
    -- A level is sorted as far as it is looked at. Mostly the first few are taken as they come; only
    -- where some must be passed over is it worth to read far.
    FOREACH depth IN ARRAY ARRAY[p_n + 1, 5000] LOOP
        chosen := '{}';
        counts := '{}';
        alone := '{}';
        seen := 0;
        FOR job IN
            WITH RECURSIVE level AS (
                SELECT y.name, (SELECT max(q.priority) FROM automapost.job_queue q
                                WHERE q.status = 'pending' AND q.job_type = y.name) AS priority
                FROM unnest(types) y (name)
                UNION ALL
                SELECT l.name, (SELECT max(q.priority) FROM automapost.job_queue q
                                WHERE q.status = 'pending' AND q.job_type = l.name
                                    AND q.priority < l.priority)
                FROM level l WHERE l.priority IS NOT NULL
            )
            SELECT q.id, q.limit_key, q.job_type, q.job_key, q.due_at, d.key_limit
            FROM level l
            JOIN automapost.job_definitions d ON d.name = l.name
            CROSS JOIN LATERAL (
                SELECT c.* FROM automapost.job_queue c
                WHERE c.status = 'pending' AND c.job_type = l.name AND c.priority = l.priority
                    AND c.scheduled_for <= t
                    AND (c.limit_key IS NULL OR c.limit_key <> ALL (limited)
                        AND split_part(c.limit_key, ':', 1) <> ALL (limited))
                ORDER BY c.scheduled_for, c.created_at
                LIMIT depth) q
            WHERE l.priority IS NOT NULL
            ORDER BY l.priority DESC, q.scheduled_for, q.created_at
        LOOP
            EXIT WHEN cardinality(chosen) >= p_n;
            seen := seen + 1;
            IF job.job_key IS NOT NULL AND EXISTS (
                SELECT FROM automapost.job_queue r
                WHERE r.job_type = job.job_type AND r.job_key = job.job_key
                    AND r.status = 'running') THEN
                CONTINUE;
            END IF;
            IF job.limit_key IS NOT NULL THEN
                IF counts ? job.limit_key THEN
                    n := (counts ->> job.limit_key)::bigint;
                ELSE
                    SELECT count(*) INTO n FROM automapost.job_queue r
                    WHERE r.status = 'running' AND r.limit_key = job.limit_key;
                END IF;
                -- Behind: one at a time, and not sooner than a pace after the one before.
                IF job.due_at < t - e.pace_after AND NOT alone ? job.limit_key THEN
                    alone := alone || jsonb_build_object(job.limit_key, true);
                    SELECT k.last_begun IS NULL OR k.last_begun <= t - e.pace INTO free
                    FROM automapost.limit_keys k WHERE k.key = job.limit_key;
                    IF NOT COALESCE(free, true) THEN
                        n := job.key_limit;
                    END IF;
                END IF;
                counts := counts || jsonb_build_object(job.limit_key, n);
                IF n >= (CASE WHEN alone ? job.limit_key THEN 1 ELSE job.key_limit END) THEN
                    CONTINUE;
                END IF;
                counts := counts || jsonb_build_object(job.limit_key, n + 1);
            END IF;
            chosen := chosen || job.id;
        END LOOP;
        EXIT WHEN seen = cardinality(chosen) OR seen < depth;
    END LOOP;
    RETURN chosen;
END
$$;

-- Active, and not paused at this moment.
CREATE OR REPLACE FUNCTION automapost.is_runnable(d automapost.job_definitions)
RETURNS boolean
LANGUAGE sql STABLE
RETURN d.is_active AND (d.paused_at IS NULL
    OR COALESCE(d.paused_until, 'infinity') <= pg_catalog.statement_timestamp());
