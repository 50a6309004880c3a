-- What a publishing tick would send now, without changing anything: problem is why it would not.
CREATE OR REPLACE FUNCTION automapost.due_preview(p_limit bigint)
RETURNS TABLE (post_id text, due_at timestamptz, provider text, auth_provider_id text, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.post_id, t.due_at, t.provider, t.auth_provider_id,
        COALESCE(t.code, CASE WHEN d.state <> 'pending' THEN 'the delivery is ' || d.state END,
            CASE WHEN t.due_at <= clock_timestamp() - e.late_limit THEN 'missed-late' END)
    FROM automapost.engine e, automapost.installation i,
        LATERAL (SELECT array_agg(p.post_id) AS ids FROM (
            SELECT a.post_id FROM automapost.app_due_posts(
                GREATEST(clock_timestamp() - e.late_limit - interval '1 hour', i.publish_from),
                clock_timestamp()) a
            ORDER BY a.due_at, a.post_id LIMIT p_limit) p) due,
        LATERAL automapost.post_targets(due.ids) t
    LEFT JOIN automapost.post_deliveries d ON d.post_id = t.post_id
        AND d.auth_provider_id = t.auth_provider_id AND d.kind = 'post'
    ORDER BY t.due_at, t.post_id, t.auth_provider_id
$$;
