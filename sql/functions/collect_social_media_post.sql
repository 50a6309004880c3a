-- Turns due posts into jobs, p_limit posts at a time, in the order of their time; p_cursor is what
-- the call before returned, null to begin. Looks back over the late limit and an hour: the window
-- keeps the application's index in use. next_cursor is null when the window is through. Also makes
-- good what an earlier settle could not tell the application.
CREATE OR REPLACE FUNCTION automapost.collect_social_media_post(p_cursor jsonb, p_limit bigint)
RETURNS TABLE (posts bigint, jobs bigint, next_cursor jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    since timestamptz := GREATEST(
        clock_timestamp() - (SELECT e.late_limit + interval '1 hour' FROM automapost.engine e),
        (SELECT i.publish_from FROM automapost.installation i));
    after_time timestamptz := (p_cursor ->> 'due_at')::timestamptz;
    after_id text := p_cursor ->> 'post_id';
    ids text[];
    last_time timestamptz;
    unapplied text[];
    out_already text[];
BEGIN
    IF p_cursor IS NULL THEN
        unapplied := ARRAY(
            SELECT DISTINCT d.post_id FROM automapost.post_deliveries d
            WHERE d.state = 'sent' AND d.kind = 'post' AND d.applied_at IS NULL
            LIMIT p_limit);
        IF unapplied <> '{}' THEN
            PERFORM automapost.apply_each(unapplied);
        END IF;
    END IF;

    SELECT array_agg(p.post_id ORDER BY p.due_at, p.post_id), max(p.due_at) INTO ids, last_time
    FROM (
        SELECT d.post_id, d.due_at
        FROM automapost.app_due_posts(COALESCE(after_time - interval '1 microsecond', since),
                                      clock_timestamp()) d
        WHERE p_cursor IS NULL OR (d.due_at, d.post_id) > (after_time, after_id)
        ORDER BY d.due_at, d.post_id
        LIMIT p_limit) p;

    posts := COALESCE(cardinality(ids), 0);
    jobs := CASE WHEN posts > 0 THEN automapost.ensure_deliveries(ids) ELSE 0 END;

    -- Scheduled once more, and out for ever: nothing is sent, and the application hears so again.
    out_already := ARRAY(
        SELECT d.post_id FROM automapost.post_deliveries d
        WHERE d.post_id = ANY (ids) AND d.kind = 'post'
        GROUP BY d.post_id
        HAVING bool_or(d.state = 'sent')
            AND bool_and(d.state IN ('sent', 'failed', 'missed', 'cancelled')));
    IF out_already <> '{}' THEN
        PERFORM automapost.apply_each(out_already);
    END IF;

    next_cursor := CASE WHEN posts = p_limit THEN
        jsonb_build_object('due_at', last_time, 'post_id', ids[posts]) END;
    RETURN NEXT;
END
$$;
