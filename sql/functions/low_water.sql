-- How far claims have come (the table low_water), so that they need not walk over what is done.

-- The priorities of which jobs of these types wait, or did when the low water was noted, and from when on
-- they do at each. Found one by one, so that what waits costs nothing; and where the low water is known, what
-- was done since an old transaction began costs nothing either. Where it is not, that is walked over here, and
-- once: who reads on begins with what was found. Of what lies below the low water there is a row more for the
-- part that is to be looked at now (until is infinite otherwise, and itself not in it).
CREATE OR REPLACE FUNCTION automapost.levels(p_types text[], t timestamptz)
RETURNS TABLE (name text, priority integer, since timestamptz, until timestamptz)
LANGUAGE plpgsql STABLE ROWS 4 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        WITH RECURSIVE low AS MATERIALIZED (
            SELECT l.job_type AS name, l.priority, l.scheduled_for AS since
            FROM automapost.low_water l WHERE l.job_type = ANY (p_types) AND automapost.is_known(l, t)
        ), gap AS ( -- priorities of which no low water is known: all, or those between
            SELECT y.name, 1::bigint << 31 AS below,
                (SELECT COALESCE(max(l.priority), -1) FROM low l WHERE l.name = y.name) AS above
            FROM unnest(p_types) y (name)
            UNION ALL
            SELECT l.name, l.priority, lead(l.priority, 1, -1) OVER (
                PARTITION BY l.name ORDER BY l.priority DESC) FROM low l
        ), found AS (
            SELECT g.name, g.above, g.below AS priority, NULL::timestamptz AS since FROM gap g
            UNION ALL
            SELECT f.name, f.above, n.priority, n.scheduled_for
            FROM found f, LATERAL (
                SELECT q.priority::bigint, q.scheduled_for FROM automapost.job_queue q
                WHERE q.status = 'pending' AND q.job_type = f.name
                    AND q.priority < f.priority AND q.priority > f.above
                ORDER BY q.priority DESC, q.scheduled_for LIMIT 1) n
        )
        SELECT f.name, f.priority::integer, f.since, 'infinity'::timestamptz
        FROM found f WHERE f.since IS NOT NULL
        UNION ALL
        SELECT w.name, w.priority, w.since, 'infinity' FROM low w
        UNION ALL
        SELECT l.job_type, l.priority, automapost.sweeps_to(l, t), l.swept
        FROM automapost.low_water l
        WHERE l.job_type = ANY (p_types) AND l.swept IS NOT NULL AND NOT automapost.is_fresh(l, t);
END
$$;

-- What runs. Under a lesser lease than the noted one nothing does, and much may have run, of which an old
-- transaction keeps every entry in an index: who looks for it by status walks over all of that.
CREATE OR REPLACE VIEW automapost.running_jobs AS
    SELECT q.id, q.job_type, q.limit_key, q.lease, q.locked_by, q.execution_id
    FROM automapost.job_queue q
    WHERE q.lease >= (SELECT c.low_lease FROM automapost.claim_turns c WHERE c.handler = 'builtin')
        AND q.lease > 0;

-- How far this claim has come, which took so long to choose: after so many leases (claim_turns.note_after),
-- after each look at all, and no more when the many are over.
CREATE OR REPLACE FUNCTION automapost.note_low_water(
    turn automapost.claim_turns, p_claimed automapost.job_queue[], newest bigint, took interval)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t timestamptz := clock_timestamp();
    many boolean := newest >= turn.noted + turn.note_after;
    level record;
    types text[];
    alone boolean;
BEGIN
    IF many IS NOT TRUE THEN
        types := ARRAY(SELECT l.job_type FROM automapost.low_water l
                       WHERE NOT automapost.is_known(l, t)
                           AND l.job_type IN (SELECT q.job_type FROM unnest(p_claimed) q));
        IF types = '{}' THEN
            RETURN;
        ELSIF turn.noted_at < t - interval '1 min' THEN
            DELETE FROM automapost.low_water l WHERE l.job_type = ANY (types) AND l.swept IS NULL;
            RETURN;
        END IF;
    END IF;
    -- Before what waits, and before what is put in by a transaction that began a little while ago.
    FOR level IN
        SELECT c.job_type, c.priority, b.looked_at, b.good_for, b.swept,
            GREATEST(b.scheduled_for, LEAST(t - interval '100 ms', COALESCE((
                SELECT min(q.scheduled_for) FROM automapost.job_queue q
                WHERE q.status = 'pending' AND q.job_type = c.job_type AND q.priority = c.priority
                    AND q.scheduled_for >= COALESCE(b.scheduled_for, '-infinity')), c.latest))) AS since
        FROM (SELECT q.job_type, q.priority, max(q.scheduled_for) AS latest
              FROM unnest(p_claimed) q GROUP BY 1, 2) c
        LEFT JOIN automapost.low_water b
            ON b.job_type = c.job_type AND b.priority = c.priority AND automapost.is_known(b, t)
    LOOP
        INSERT INTO automapost.low_water AS l
            (job_type, priority, scheduled_for, looked_at, good_for, swept)
        VALUES (level.job_type, level.priority, level.since, COALESCE(level.looked_at, t),
            COALESCE(level.good_for, automapost.good_for(took)),
            -- Where this one looked at all, and was long about it: a part at a time from now on.
            COALESCE(level.swept, CASE WHEN level.looked_at IS NULL AND took > interval '200 ms'
                                       THEN level.since END))
        ON CONFLICT (job_type, priority) DO UPDATE
            SET scheduled_for = excluded.scheduled_for, looked_at = excluded.looked_at,
                good_for = excluded.good_for, swept = excluded.swept;
    END LOOP;

    IF NOT many THEN
        RETURN;
    END IF;
    -- Of leases that another claim is giving at this moment nothing can be known. An external worker
    -- may have time until it commits: it takes no turn but its own.
    SELECT count(*) = (SELECT count(*) FROM automapost.claim_turns) INTO alone
    FROM (SELECT FROM automapost.claim_turns WHERE turn.handler = 'builtin'
          FOR NO KEY UPDATE SKIP LOCKED) c;
    UPDATE automapost.claim_turns c
    SET noted = newest, noted_at = t, low_lease = CASE WHEN alone THEN (
            SELECT min(q.lease) FROM automapost.job_queue q
            WHERE q.lease >= turn.low_lease AND q.lease > 0) ELSE c.low_lease END
    WHERE c.handler = turn.handler;
END
$$;

-- What this claim, which took so long to choose, has seen of the parts below the low water: the next one looks
-- further down, or at the same part once more where it found something. After all of them it begins anew, or
-- is done with if they cost little: a look at all is several times what its parts are one by one. A step is to
-- take a tenth of a second; what was not looked at before takes ten times as long as what was, so it grows with
-- care.
CREATE OR REPLACE FUNCTION automapost.note_sweep(
    p_types text[], p_claimed automapost.job_queue[], took interval)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE automapost.low_water l
    SET swept = CASE WHEN n.bottom > '-infinity' THEN n.bottom
                WHEN l.cost + took > interval '50 ms' THEN l.scheduled_for END,
        step = CASE WHEN n.bottom = '-infinity' THEN interval '10 s'
               ELSE GREATEST(interval '1 s', l.step * LEAST(
                   CASE WHEN took < interval '10 ms' THEN 4 ELSE 2 END, GREATEST(0.1,
                   0.1 / GREATEST(extract(epoch FROM took), 0.001)))::double precision) END,
        cost = CASE WHEN n.bottom > '-infinity' THEN l.cost + took ELSE '0' END,
        looked_at = n.t, good_for = automapost.good_for(took)
    FROM (SELECT w.job_type, w.priority, c.t, automapost.sweeps_to(w, c.t) AS bottom
          FROM automapost.low_water w, clock_timestamp() c (t)
          WHERE w.job_type = ANY (p_types) AND w.swept IS NOT NULL AND NOT automapost.is_fresh(w, c.t)) n
    WHERE l.job_type = n.job_type AND l.priority = n.priority
        AND NOT EXISTS (SELECT FROM unnest(p_claimed) q
                        WHERE q.job_type = l.job_type AND q.priority = l.priority
                            AND q.scheduled_for < l.swept);
END
$$;

-- How far down the next step goes: to the end, where nothing can have come in for days (check_job).
CREATE OR REPLACE FUNCTION automapost.sweeps_to(l automapost.low_water, t timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE
RETURN CASE WHEN l.swept - l.step > t - interval '8 days' THEN l.swept - l.step ELSE '-infinity' END;

-- The longer a look took, the longer it counts.
CREATE OR REPLACE FUNCTION automapost.good_for(took interval)
RETURNS interval
LANGUAGE sql IMMUTABLE
RETURN GREATEST(interval '1 s', LEAST(20 * took, interval '30 s'));

-- Whether what lies below the low water was looked at within good_for.
CREATE OR REPLACE FUNCTION automapost.is_fresh(l automapost.low_water, t timestamptz)
RETURNS boolean
LANGUAGE sql STABLE
RETURN l.looked_at > t - l.good_for AND l.looked_at <= t;

-- Whether claims begin at the low water. They do for as long as it is fresh, and after that too where the rest
-- is looked at a part at a time.
CREATE OR REPLACE FUNCTION automapost.is_known(l automapost.low_water, t timestamptz)
RETURNS boolean
LANGUAGE sql STABLE
RETURN l.swept IS NOT NULL OR automapost.is_fresh(l, t);
