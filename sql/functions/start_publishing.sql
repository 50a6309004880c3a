-- Which installation this is, when publishing began here (switched on by setup, or begun without it;
-- null: it did not yet), from when on posts are published, and the seconds after which one is too late.
CREATE OR REPLACE FUNCTION automapost.publishing_state()
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
    SELECT jsonb_build_object(
        'installation', i.id,
        'since', COALESCE(i.publishing_since, (SELECT min(d.begun_at) FROM automapost.post_deliveries d)),
        'from', i.publish_from,
        'lateLimit', floor(extract(epoch FROM e.late_limit)))
    FROM automapost.installation i, automapost.engine e
$$;

-- Publishing is switched on from a host. The first time nothing is published that was due before, but
-- for p_since: what was due since then. Later only p_since moves it, and never forward: what is under
-- way stays so. Returns from when on posts are published.
CREATE OR REPLACE FUNCTION automapost.start_publishing(p_since timestamptz)
RETURNS timestamptz
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE automapost.installation i
    SET publish_from = CASE WHEN f.state ->> 'since' IS NULL THEN COALESCE(p_since, clock_timestamp())
                       ELSE LEAST(i.publish_from, p_since) END,
        publishing_since = COALESCE(i.publishing_since, clock_timestamp())
    FROM (SELECT automapost.publishing_state() AS state) f
    RETURNING i.publish_from
$$;
