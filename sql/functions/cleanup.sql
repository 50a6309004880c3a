-- Posts that are too late: deliveries still pending past the late limit, and posts that were never
-- collected. Said once each. Returns how many deliveries were marked.
CREATE OR REPLACE FUNCTION automapost.mark_missed(p_limit bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e automapost.engine;
    i automapost.installation;
    d record;
    ids text[];
    n bigint := 0;
    last_due timestamptz;
    t timestamptz := clock_timestamp();
    late_since timestamptz;
BEGIN
    SELECT * INTO e FROM automapost.engine;
    late_since := t - e.late_limit;
    FOR d IN
        SELECT p.id, p.job_id, p.version FROM automapost.post_deliveries p
        WHERE p.state = 'pending' AND p.due_at <= late_since
            AND NOT p.late_allowed
        ORDER BY p.due_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        PERFORM FROM automapost.job_queue q
        WHERE q.id = d.job_id AND q.status = 'pending' FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            PERFORM automapost.miss_delivery(d.job_id, d.id, d.version);
        ELSIF NOT EXISTS (SELECT FROM automapost.job_queue q
                          WHERE q.id = d.job_id AND q.status IN ('pending', 'running')) THEN
            PERFORM automapost.finish_delivery(d.id, 'missed', 'missed-late',
                                               'more than ' || e.late_limit || ' late', d.version);
        ELSE
            CONTINUE; -- running, or being changed: the next run sees how it ended
        END IF;
        n := n + 1;
    END LOOP;

    -- Never collected: looked for since the last look, and over the last 8 days again, for a post
    -- may be moved into the past.
    SELECT * INTO i FROM automapost.installation FOR NO KEY UPDATE;
    SELECT array_agg(p.post_id), max(p.due_at) INTO ids, last_due FROM (
        SELECT a.post_id, a.due_at
        FROM automapost.app_due_posts(
            GREATEST(i.publish_from, LEAST(i.missed_until, t - interval '8 days')), late_since) a
        WHERE NOT EXISTS (SELECT FROM automapost.post_deliveries x WHERE x.post_id = a.post_id)
        ORDER BY a.due_at LIMIT p_limit) p;
    IF ids IS NOT NULL THEN
        PERFORM automapost.ensure_deliveries(ids);
        SELECT n + count(*) INTO n FROM automapost.post_deliveries x
        WHERE x.post_id = ANY (ids) AND x.state = 'missed';
    END IF;
    UPDATE automapost.installation
    SET missed_until = CASE WHEN cardinality(ids) = p_limit THEN last_due
                       ELSE late_since END;
    RETURN n;
END
$$;

-- Old history, in small deletes that pass over what somebody holds. Deliveries that are sent stay
-- as long as failed jobs do: they say that a post is out. Returns rows forgotten; call until 0.
CREATE OR REPLACE FUNCTION automapost.forget_old(p_limit bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e automapost.engine;
    t timestamptz := clock_timestamp();
    n bigint;
    total bigint := 0;
BEGIN
    SELECT * INTO e FROM automapost.engine;
    total := automapost.forget_jobs(ARRAY(
        SELECT q.id FROM automapost.job_queue q
        WHERE (q.status IN ('completed', 'cancelled') AND q.finished_at < t - e.keep_completed
            OR q.status IN ('failed', 'timeout') AND q.finished_at < t - e.keep_failed)
            AND NOT EXISTS (SELECT FROM automapost.post_deliveries d
                            WHERE d.job_id = q.id AND d.state = 'held')
        LIMIT p_limit FOR UPDATE SKIP LOCKED));
    WITH execution AS (
        DELETE FROM automapost.job_executions WHERE id IN (
            SELECT x.id FROM automapost.job_executions x
            WHERE x.job_definition_id IS NOT NULL AND x.finished_at < t - e.keep_completed
            LIMIT p_limit FOR UPDATE SKIP LOCKED)
        RETURNING id
    ), line AS (
        DELETE FROM automapost.job_logs l USING execution x WHERE l.job_execution_id = x.id
    )
    SELECT count(*) INTO n FROM execution;
    total := total + n;
    DELETE FROM automapost.workers WHERE id IN (
        SELECT w.id FROM automapost.workers w WHERE w.ended_at < t - interval '1 day'
        LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    total := total + n;
    DELETE FROM automapost.hosts h WHERE NOT h.admitted AND h.refused_at < t - interval '1 day';
    DELETE FROM automapost.rate_limits l WHERE l.until < t - interval '1 day';
    -- A delivery goes when its post is past every window in which it could be looked at again.
    DELETE FROM automapost.post_deliveries WHERE id IN (
        SELECT d.id FROM automapost.post_deliveries d
        WHERE d.finished_at < t - GREATEST(e.keep_failed, interval '30 days')
            AND NOT EXISTS (SELECT FROM automapost.post_deliveries u
                            WHERE u.post_id = d.post_id AND u.kind = 'post' AND u.state = 'sent'
                                AND u.applied_at IS NULL)
        LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN total + n;
END
$$;

-- Jobs that do not run, with their executions and what these said. Returns the number of jobs.
CREATE OR REPLACE FUNCTION automapost.forget_jobs(p_jobs uuid[])
RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    WITH job AS (
        DELETE FROM automapost.job_queue q WHERE q.id = ANY (p_jobs) AND q.status <> 'running'
        RETURNING q.id
    ), execution AS (
        DELETE FROM automapost.job_executions x USING job j WHERE x.job_queue_id = j.id
        RETURNING x.id
    ), line AS (
        DELETE FROM automapost.job_logs l USING execution x WHERE l.job_execution_id = x.id
    )
    SELECT count(*) FROM job
$$;
