-- The worker's row, locked for the rest of the transaction: everything that a worker does, and
-- everything done to it (rescue, release), goes through this lock first, so that none of them
-- overlap; a claim and a settle take a weaker one, which only what is done to the worker waits for.
-- AM001: this worker has ended (it lapsed and its jobs were put back).
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

-- The weaker lock, for what a worker does beside other things: over another connection.
CREATE OR REPLACE FUNCTION automapost.share_worker(p_worker text)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM automapost.workers w WHERE w.id = p_worker AND w.ended_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'worker % is not registered, or has lapsed', p_worker
            USING ERRCODE = 'AM001';
    END IF;
END
$$;

-- Due jobs of p_types under leases, at most p_n, each with its input: claim and load in one
-- transaction. mode: run; http (the application is called: input says where, and has the payload); or
-- reconcile (the outcome of an earlier send is unknown; input has the request).
CREATE OR REPLACE FUNCTION automapost.claim_jobs(p_worker text, p_batch text, p_types text[], p_n bigint)
RETURNS TABLE (id text, lease bigint, execution_id text, job_type text, attempt bigint,
               timeout_ms bigint, mode text, input jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    claimed automapost.job_queue[];
    loaded text[] := ARRAY(SELECT y.name FROM unnest(p_types) y (name)
                           WHERE to_regprocedure(automapost.load_function(y.name) || '(uuid[])') IS NOT NULL);
    kind text;
    of_kind uuid[];
    one uuid;
BEGIN
    IF loaded <> '{}' THEN
        claimed := automapost.lease_jobs(p_worker, p_batch, automapost.asked_types(p_types), p_n, 'builtin');
    END IF;
    -- The input of a type without a function of its own is its payload. Hundreds of such jobs go from one
    -- function to the other without lying in a variable, for which their array would be taken apart.
    RETURN QUERY
        SELECT q.id::text, q.lease, q.execution_id::text, q.job_type::text, q.attempts::bigint,
            d.timeout_ms::bigint, CASE d.handler WHEN 'http' THEN 'http' ELSE 'run' END,
            CASE d.handler WHEN 'http' THEN jsonb_build_object('url', d.http_url,
                'credential', d.http_credential, 'headers', d.http_headers, 'payload', q.payload)
            ELSE COALESCE(q.payload, '{}') END
        FROM unnest(CASE loaded WHEN '{}' THEN automapost.lease_jobs(p_worker, p_batch,
                automapost.asked_types(p_types), p_n, 'builtin') ELSE claimed END) q
        JOIN automapost.job_definitions d ON d.name = q.job_type
        WHERE q.job_type <> ALL (loaded);
    IF loaded = '{}' THEN
        RETURN;
    END IF;
    -- A row that cannot be loaded (somebody's data is not what it should be) keeps no other waiting.
    FOR kind, of_kind IN
        SELECT q.job_type, array_agg(q.id) FROM unnest(claimed) q
        WHERE q.job_type = ANY (loaded) GROUP BY q.job_type
    LOOP
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

-- Takes due jobs of p_types with that handler under leases, at most p_n, as choose_jobs() finds them.
-- p_batch is the client's: asking again with the same one, after an answer that was lost, returns what
-- that claim took. AM003: this database is a copy.
CREATE OR REPLACE FUNCTION automapost.lease_jobs(
    p_worker text, p_batch text, p_types text[], p_n bigint, p_handler text)
RETURNS automapost.job_queue[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here automapost.installation_now;
    e automapost.engine;
    turn automapost.claim_turns;
    chosen tid[];
    claimed automapost.job_queue[];
    first_id uuid := automapost.new_id();
    world text[] := ARRAY(SELECT d.name FROM automapost.job_definitions d WHERE d.touches_world);
    durable boolean;
    newest bigint;
    began timestamptz;
    took interval;
BEGIN
    -- A claim that a crash of the server takes back was never made: the job waits as before, and is done
    -- once more; what touches the world goes no further without a begin, which is waited for. Not so a
    -- token, which refreshing uses up; and an external worker's transaction is its own.
    IF p_handler = 'builtin' THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    PERFORM automapost.share_worker(p_worker);
    SELECT * INTO here FROM automapost.installation_now;
    IF here.state = 'copy' THEN
        RAISE EXCEPTION 'this database is a copy: %', here.differs USING ERRCODE = 'AM003',
            HINT = 'If it is the installation now, and nothing else publishes for it: sudo '
                'automapost setup --adopt';
    ELSIF here.state IN ('moved', 'comparing') THEN
        RETURN '{}'; -- until its hosts know what they sent
    END IF;
    SELECT * INTO e FROM automapost.engine;

    -- Claims of one handler take turns, each a few milliseconds: what the one before took counts in
    -- the next one's limits, which are exact for that. External workers may claim within a longer
    -- transaction of their own, and so hold up each other at most.
    SELECT * INTO turn FROM automapost.claim_turns c WHERE c.handler = p_handler FOR NO KEY UPDATE;
    turn.low_lease := (SELECT c.low_lease FROM automapost.claim_turns c WHERE c.handler = 'builtin');
    SELECT array_agg(q) INTO claimed FROM automapost.job_queue q
    WHERE q.lease >= turn.low_lease AND q.lease > 0 AND q.locked_by = p_worker AND q.claim_batch = p_batch;
    IF claimed IS NOT NULL THEN
        RETURN claimed;
    END IF;
    began := clock_timestamp();
    chosen := automapost.choose_jobs(p_types, p_n, p_handler, turn.low_lease, e);
    took := clock_timestamp() - began;
    IF chosen = '{}' THEN
        PERFORM automapost.note_sweep(p_types, '{}', took);
        RETURN '{}';
    END IF;
    BEGIN
        WITH taken AS (
            UPDATE automapost.job_queue q
            SET status = 'running', locked_by = p_worker, locked_at = clock_timestamp(),
                claim_batch = p_batch, lease = nextval('automapost.leases'),
                execution_id = automapost.id_after(first_id, nextval('automapost.leases')),
                begun = false, waits_for = NULL,
                attempts = q.attempts + CASE WHEN q.job_type = ANY (world) THEN 0 ELSE 1 END,
                updated_at = clock_timestamp()
            -- Somebody changes or cancels one at this moment: the next claim sees what became of it.
            WHERE q.ctid = ANY (ARRAY(
                SELECT l.ctid FROM automapost.job_queue l
                -- Pending, in words of which no index knows: one that was planned on an empty queue
                -- would be walked for ever after.
                WHERE l.ctid = ANY (chosen) AND l.lease IS NULL AND l.finished_at IS NULL
                    AND l.scheduled_for <= clock_timestamp()
                FOR UPDATE SKIP LOCKED))
            RETURNING q AS job
        )
        SELECT array_agg(t.job), bool_or((t.job).job_type = 'refresh-token'), max((t.job).lease)
        INTO claimed, durable, newest FROM taken t;
        IF durable THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
    EXCEPTION WHEN unique_violation THEN
        RETURN '{}'; -- a key began to run elsewhere at this moment; the next claim sees it
    END;
    IF newest >= turn.noted + turn.note_after OR EXISTS (
        SELECT FROM automapost.low_water l
        WHERE l.job_type = ANY (p_types) AND NOT automapost.is_fresh(l, clock_timestamp())) THEN
        PERFORM automapost.note_sweep(p_types, claimed, took);
        PERFORM automapost.note_low_water(turn, claimed, newest, took);
    END IF;
    RETURN COALESCE(claimed, '{}');
END
$$;

-- The name of the function that a type may have to load its jobs' inputs.
CREATE OR REPLACE FUNCTION automapost.load_function(p_type text)
RETURNS text
LANGUAGE sql IMMUTABLE
RETURN pg_catalog.format('automapost.%I', 'load_' || pg_catalog.replace(p_type, '-', '_'));

-- Does a service of ours do jobs of this type: by calling the application, or with code of its own?
-- Those that load nothing are named.
CREATE OR REPLACE FUNCTION automapost.is_done_here(p_type text, p_handler text)
RETURNS boolean
LANGUAGE sql STABLE
RETURN p_handler = 'http' OR p_handler = 'builtin' AND (p_type IN ('noop', 'noop-send', 'sleep')
    OR pg_catalog.to_regproc(automapost.load_function(p_type)) IS NOT NULL);

-- The inputs of claimed jobs of one type. What ends or is put back while loading has no row.
CREATE OR REPLACE FUNCTION automapost.load_jobs(p_type text, p_jobs uuid[])
RETURNS TABLE (id text, lease bigint, execution_id text, job_type text, attempt bigint,
               timeout_ms bigint, mode text, input jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT q.id::text, q.lease, q.execution_id::text, q.job_type::text,
             CASE WHEN d.touches_world THEN q.attempts + 1 ELSE q.attempts END::bigint,
             d.timeout_ms::bigint, l.mode, l.input
         FROM %s($1) l
         JOIN automapost.job_queue q ON q.id = l.id
         JOIN automapost.job_definitions d ON d.name = q.job_type',
        automapost.load_function(p_type))
    USING p_jobs;
END
$$;

-- Which jobs a claim takes. Order: priority descending; within a priority the types take turns, after what
-- each of them had of higher ones; of each type it is due time, creation. Walked priority by priority, so
-- that future rows of any priority cost nothing. Passed over: types paused or at their concurrency limit,
-- keys that run, providers and accounts that are limited or have key_limit running, and accounts that are
-- behind and must pace themselves. Exact for a caller who has the turn (lease_jobs). They are named by
-- their places in the table: nothing else can come to stand there before the caller's statement ends, which
-- might still look at what was there when it began.
CREATE OR REPLACE FUNCTION automapost.choose_jobs(
    p_types text[], p_n bigint, p_handler text, p_low_lease bigint, e automapost.engine)
RETURNS tid[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t timestamptz := clock_timestamp();
    late timestamptz := t - e.pace_after; -- what was due before is behind
    chosen tid[];
    all_seen boolean;
    depth bigint;      -- how many of a level are looked at
    first_look boolean := true;
BEGIN
    -- Mostly it is the first few of the highest priority, as they come; only where some must be passed
    -- over is it worth to read far.
    FOREACH depth IN ARRAY ARRAY[p_n + 1, p_n + 1, 5000] LOOP
        WITH running AS MATERIALIZED (
            -- Who has a lease runs. The second condition is the index's (job_queue_running).
            SELECT r.job_type, r.job_key, r.limit_key FROM automapost.job_queue r
            WHERE r.lease >= p_low_lease AND r.lease > 0
        ), kind AS MATERIALIZED (
            SELECT d.name, row_number() OVER () AS nr, -- compared instead of the name
                d.key_limit, CASE WHEN d.concurrency_limit IS NULL THEN p_n ELSE d.concurrency_limit - (
                    SELECT count(*) FROM running r WHERE r.job_type = d.name) END AS room
            FROM automapost.job_definitions d
            WHERE d.kind = 'type' AND d.name = ANY (p_types)
                AND (d.handler = p_handler OR p_handler = 'builtin' AND d.handler = 'http')
                AND automapost.is_runnable(d)
        ), level AS MATERIALIZED ( -- where something is due
            SELECT l.*, k.nr, k.key_limit, k.room
            FROM automapost.levels(ARRAY(SELECT k.name::text FROM kind k WHERE k.room > 0), t) l
            JOIN kind k ON k.name = l.name
            -- Not EXISTS: that may be planned as a join, which reads all that is due.
            WHERE (SELECT true FROM automapost.job_queue q
                   WHERE q.status = 'pending' AND q.job_type = l.name AND q.priority = l.priority
                       AND q.scheduled_for >= l.since AND q.scheduled_for < l.until
                       AND q.scheduled_for <= t LIMIT 1)
        ), busy AS MATERIALIZED (
            SELECT r.limit_key AS key, count(*) AS n FROM running r
            WHERE r.limit_key IS NOT NULL GROUP BY 1
        ), blocked AS MATERIALIZED (
            SELECT l.key FROM automapost.rate_limits l WHERE l.until > t
            UNION ALL
            SELECT b.key FROM busy b WHERE b.n >= (SELECT max(k.key_limit) FROM kind k)
        ), looked_at AS MATERIALIZED (
            SELECT l.nr, l.name, l.priority, l.since, l.key_limit, l.room, q.*
            FROM level l
            CROSS JOIN LATERAL (
                SELECT c.ctid AS place, c.id, c.limit_key, c.job_key, c.due_at, c.scheduled_for, c.created_at
                FROM automapost.job_queue c
                WHERE c.status = 'pending' AND c.job_type = l.name AND c.priority = l.priority
                    AND c.scheduled_for >= l.since AND c.scheduled_for < l.until
                    AND c.scheduled_for <= t
                    AND (c.limit_key IS NULL OR c.limit_key NOT IN (SELECT b.key FROM blocked b)
                        AND split_part(c.limit_key, ':', 1) NOT IN (SELECT b.key FROM blocked b))
                ORDER BY c.scheduled_for, c.created_at
                LIMIT CASE WHEN first_look THEN (
                    SELECT p_n / count(*) + 1 FROM level h
                    WHERE h.priority = (SELECT max(m.priority) FROM level m)) ELSE depth END) q
            WHERE NOT first_look OR l.priority = (SELECT max(m.priority) FROM level m)
        ), free AS (
            SELECT a.* FROM looked_at a
            WHERE a.job_key IS NULL OR NOT EXISTS (
                SELECT FROM running r WHERE r.job_type = a.name AND r.job_key = a.job_key)
        ), crowded AS MATERIALIZED ( -- keys of which not everything may go; mostly there are none
            SELECT a.limit_key AS key FROM looked_at a
            LEFT JOIN busy b ON b.key = a.limit_key
            WHERE a.limit_key IS NOT NULL
            GROUP BY 1
            HAVING count(*) + COALESCE(max(b.n), 0) > min(a.key_limit) OR bool_or(a.due_at < late)
        ), of_key AS (
            SELECT f.*, 0 AS nth, false AS behind FROM free f
            WHERE f.limit_key IS NULL OR f.limit_key NOT IN (SELECT c.key FROM crowded c)
            UNION ALL
            SELECT f.*, row_number() OVER in_order, bool_or(f.due_at < late) OVER in_order
            FROM free f
            WHERE f.limit_key IN (SELECT c.key FROM crowded c)
            WINDOW in_order AS (PARTITION BY f.limit_key
                                ORDER BY f.priority DESC, f.scheduled_for, f.created_at, f.id)
        ), fitting AS (
            SELECT o.*,
                row_number() OVER (PARTITION BY o.nr
                    ORDER BY o.priority DESC, o.scheduled_for, o.created_at, o.id) AS turn
            FROM of_key o
            LEFT JOIN busy b ON b.key = o.limit_key
            WHERE o.limit_key IS NULL
                -- Behind: one at a time, and not sooner than a pace after the one before.
                OR COALESCE(b.n, 0) + o.nth <= CASE WHEN o.behind THEN 1 ELSE o.key_limit END
                    AND NOT (COALESCE(o.behind, false) AND EXISTS (
                        SELECT FROM automapost.limit_keys k
                        WHERE k.key = o.limit_key AND k.last_begun > t - e.pace))
        ), picked AS (
            SELECT f.place FROM fitting f WHERE f.turn <= f.room
            ORDER BY f.priority DESC, f.turn, f.scheduled_for, f.created_at, f.id
            LIMIT p_n
        )
        SELECT ARRAY(SELECT p.place FROM picked p),
            -- of no level more than is looked at, and of each that there is
            NOT EXISTS (SELECT FROM level l
                LEFT JOIN (SELECT a.name, a.priority, a.since, count(*) AS n
                           FROM looked_at a GROUP BY 1, 2, 3) a USING (name, priority, since)
                WHERE a.n >= CASE WHEN first_look THEN p_n / (SELECT count(*) FROM level) ELSE depth END
                    OR a.n IS NULL AND first_look)
        INTO chosen, all_seen;
        EXIT WHEN cardinality(chosen) >= p_n OR all_seen;
        first_look := false;
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
