-- What a worker that stays asks once a second, and when the next thing becomes due:
--     paused   its service is paused, or not active
--     collect  there are posts to collect
--     due      jobs of p_types that are due and may run, counted up to 10000
--     lag      for how many seconds the oldest of them has been
--     sweep    a claim is to look for jobs below the low water
--     next     in how many seconds the next job or post becomes due, within 3 seconds from now; null
--              where none does
-- Writes nothing; a few index probes where nothing is to be done.
CREATE OR REPLACE FUNCTION automapost.look(p_service text, p_types text[])
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    t timestamptz := clock_timestamp();
    soon timestamptz := t + interval '3 seconds';
    since timestamptz := GREATEST(
        t - (SELECT e.late_limit + interval '1 hour' FROM automapost.engine e),
        (SELECT i.publish_from FROM automapost.installation i));
    types text[];
    due bigint;
    oldest timestamptz;
    next timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM automapost.job_definitions d
                   WHERE d.name = p_service AND d.kind = 'service' AND automapost.is_runnable(d)) THEN
        RETURN jsonb_build_object('paused', true);
    END IF;
    types := ARRAY(SELECT d.name FROM automapost.job_definitions d
                   WHERE d.name = ANY (automapost.asked_types(p_types))
                        AND automapost.is_runnable(d));
    WITH level AS MATERIALIZED (
        SELECT l.* FROM automapost.levels(types, t) l WHERE l.until = 'infinity'
    ), limited AS MATERIALIZED (
        SELECT r.key FROM automapost.rate_limits r WHERE r.until > t
    ), waiting AS (
        SELECT d.scheduled_for
        FROM level l, LATERAL (
            SELECT q.scheduled_for FROM automapost.job_queue q
            WHERE q.status = 'pending' AND q.job_type = l.name AND q.priority = l.priority
                AND q.scheduled_for >= l.since AND q.scheduled_for <= t
                AND (q.limit_key IS NULL OR q.limit_key NOT IN (SELECT r.key FROM limited r)
                    AND split_part(q.limit_key, ':', 1) NOT IN (SELECT r.key FROM limited r))
            ORDER BY q.scheduled_for LIMIT 10000) d
        LIMIT 10000
    )
    SELECT (SELECT count(*) FROM waiting), (SELECT min(w.scheduled_for) FROM waiting w),
        (SELECT min(n.scheduled_for) FROM level l, LATERAL (
            SELECT q.scheduled_for FROM automapost.job_queue q
            WHERE q.status = 'pending' AND q.job_type = l.name AND q.priority = l.priority
                AND q.scheduled_for > t AND q.scheduled_for <= soon
            ORDER BY q.scheduled_for LIMIT 1) n)
    INTO due, oldest, next;
    IF 'social-media-post' = ANY (types) THEN
        next := LEAST(next, (SELECT min(a.due_at) FROM automapost.app_due_posts(t, soon) a));
    END IF;
    RETURN jsonb_build_object(
        'paused', false,
        'collect', 'social-media-post' = ANY (types) AND automapost.has_posts_to_collect(since, t),
        'due', due,
        'lag', GREATEST(extract(epoch FROM t - oldest), 0),
        'sweep', EXISTS (SELECT FROM automapost.low_water l
                         WHERE l.job_type = ANY (types) AND l.swept IS NOT NULL
                             AND NOT automapost.is_fresh(l, t)),
        'next', CASE WHEN next IS NOT NULL THEN GREATEST(
            extract(epoch FROM next - clock_timestamp()), 0) END);
END
$$;
