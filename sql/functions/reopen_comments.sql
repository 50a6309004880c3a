-- First comments that ended without being sent and were edited since, within the late limit of their
-- post's sending. Nothing else tells of it: the post is out, and collect does not look at it any more.
CREATE OR REPLACE FUNCTION automapost.edited_comments()
RETURNS TABLE (delivery_id uuid, post_id text, version text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH ended AS MATERIALIZED (
        SELECT d.* FROM automapost.post_deliveries d
        WHERE d.kind = 'comment' AND d.state IN ('failed', 'missed', 'cancelled')
            AND d.due_at > statement_timestamp() - (SELECT e.late_limit FROM automapost.engine e)
    )
    SELECT d.id, d.post_id, v.version
    FROM automapost.post_deliveries d
    JOIN automapost.app_posts_by_id(ARRAY(SELECT DISTINCT e.post_id FROM ended e)) p
        ON p.post_id = d.post_id
    CROSS JOIN LATERAL (SELECT automapost.comment_version(p.first_comment) AS version) v
    WHERE d.id IN (SELECT e.id FROM ended e)
        AND p.deleted_at IS NULL AND btrim(p.first_comment) <> ''
        AND automapost.is_reopened(d, v.version)
        AND EXISTS (SELECT FROM automapost.post_deliveries parent
                    WHERE parent.post_id = d.post_id AND parent.state = 'sent'
                        AND parent.auth_provider_id = d.auth_provider_id AND parent.kind = 'post')
$$;

-- Takes them up again, at most so many at a time: what is taken up is none of them any more, so that
-- each has its turn. Returns how many.
CREATE OR REPLACE FUNCTION automapost.reopen_comments(p_limit bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    post_ids text[];
BEGIN
    WITH reopened AS (
        UPDATE automapost.post_deliveries d
        SET state = 'pending', version = c.version, code = NULL, detail = NULL, retry_at = NULL,
            cancelled_by = NULL, finished_at = NULL, job_id = NULL, absent_at = NULL,
            late_allowed = false, updated_at = clock_timestamp()
        FROM (SELECT * FROM automapost.edited_comments() LIMIT p_limit) c
        WHERE d.id = c.delivery_id AND automapost.is_reopened(d, c.version)
        RETURNING d.post_id
    )
    SELECT COALESCE(array_agg(r.post_id), '{}') INTO post_ids FROM reopened r;
    PERFORM automapost.ensure_deliveries(post_ids);
    RETURN cardinality(post_ids);
END
$$;
