-- Turns due posts into jobs, p_limit posts at a time, in the order of their time; p_cursor is what
-- the call before returned, null to begin. Looks back over the late limit and an hour: the window
-- keeps the application's index in use. next_cursor is null when the window is through. Also makes
-- good what an earlier settle could not tell the application, and takes up again first comments that
-- were edited.
CREATE OR REPLACE FUNCTION automapost.collect_social_media_post(p_cursor jsonb, p_limit bigint)
RETURNS TABLE (posts bigint, jobs bigint, next_cursor jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    -- A time that stays: the application's index serves no comparison with one that does not.
    t timestamptz := clock_timestamp();
    since timestamptz := GREATEST(
        t - (SELECT e.late_limit + interval '1 hour' FROM automapost.engine e),
        (SELECT i.publish_from FROM automapost.installation i));
    after_time timestamptz := (p_cursor ->> 'due_at')::timestamptz;
    after_id text := p_cursor ->> 'post_id';
    ids text[];
    last_time timestamptz;
    unapplied text[];
    out_already text[];
BEGIN
    IF p_cursor IS NULL THEN
        unapplied := automapost.unapplied_posts(p_limit);
        IF unapplied <> '{}' THEN
            PERFORM automapost.apply_each(unapplied);
        END IF;
        PERFORM automapost.reopen_comments(p_limit);
    END IF;

    SELECT array_agg(p.post_id ORDER BY p.due_at, p.post_id), max(p.due_at) INTO ids, last_time
    FROM (
        SELECT d.post_id, d.due_at
        FROM automapost.app_due_posts(COALESCE(after_time - interval '1 microsecond', since), t) d
        WHERE p_cursor IS NULL OR (d.due_at, d.post_id) > (after_time, after_id)
        ORDER BY d.due_at, d.post_id
        LIMIT p_limit) p;

    posts := COALESCE(cardinality(ids), 0);
    jobs := CASE WHEN posts > 0 THEN automapost.ensure_deliveries(ids) ELSE 0 END;

    -- Scheduled once more, and out for ever: nothing is sent, and the application hears so again.
    out_already := automapost.posts_out(ids);
    IF out_already <> '{}' THEN
        PERFORM automapost.apply_each(out_already);
    END IF;

    next_cursor := CASE WHEN posts = p_limit THEN
        jsonb_build_object('due_at', last_time, 'post_id', ids[posts]) END;
    RETURN NEXT;
END
$$;

-- Those of the posts of which something is sent and nothing can change any more.
CREATE OR REPLACE FUNCTION automapost.posts_out(p_post_ids text[])
RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY(
        SELECT d.post_id FROM automapost.post_deliveries d
        WHERE d.post_id = ANY (p_post_ids) AND d.kind = 'post'
        GROUP BY d.post_id
        HAVING bool_or(d.state = 'sent')
            AND bool_and(d.state IN ('sent', 'failed', 'missed', 'cancelled')))
$$;

-- Has collect anything to do for the posts due between the two? Those that wait for their job, for a
-- person, or for an edit stay scheduled and due, and are no work. Exactly what ensure_deliveries would
-- make or take up again, and what is told once more.
CREATE OR REPLACE FUNCTION automapost.has_due_posts(p_from timestamptz, p_to timestamptz)
RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    late interval := (SELECT e.late_limit FROM automapost.engine e);
    ids text[];
BEGIN
    IF EXISTS (SELECT FROM automapost.app_due_posts(p_from, p_to) a
               WHERE NOT EXISTS (SELECT FROM automapost.post_deliveries d
                                 WHERE d.post_id = a.post_id)) THEN
        RETURN true;
    END IF;
    ids := ARRAY(SELECT a.post_id FROM automapost.app_due_posts(p_from, p_to) a);
    RETURN EXISTS (
            SELECT FROM automapost.post_targets(ids) t
            LEFT JOIN automapost.post_deliveries d ON d.post_id = t.post_id
                AND d.auth_provider_id = t.auth_provider_id AND d.kind = 'post'
            WHERE d.id IS NULL
                OR t.code IS NULL AND t.due_at > clock_timestamp() - late
                    AND automapost.is_reopened(d, t.version))
        OR EXISTS (
            SELECT FROM automapost.post_deliveries d
            WHERE d.post_id = ANY (ids) AND d.state = 'pending'
                AND (d.late_allowed OR d.due_at > clock_timestamp() - late)
                AND NOT EXISTS (SELECT FROM automapost.job_queue q
                                WHERE q.id = d.job_id AND q.status IN ('pending', 'running')))
        OR automapost.posts_out(ids) <> '{}';
END
$$;

-- Has collect anything to do? The cheap questions stand before those that look closer. tick() asks the
-- same, in place.
CREATE OR REPLACE FUNCTION automapost.has_posts_to_collect(p_from timestamptz, p_to timestamptz)
RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM automapost.app_due_posts(p_from, p_to))
            AND automapost.has_due_posts(p_from, p_to)
        OR EXISTS (SELECT FROM automapost.post_deliveries s
                   WHERE s.state = 'sent' AND s.kind = 'post' AND s.applied_at IS NULL)
            AND automapost.unapplied_posts(1) <> '{}'
        OR EXISTS (SELECT FROM automapost.post_deliveries c, automapost.engine e
                   WHERE c.kind = 'comment' AND c.state IN ('failed', 'missed', 'cancelled')
                       AND c.due_at > statement_timestamp() - e.late_limit)
            AND EXISTS (SELECT FROM automapost.edited_comments())
$$;
