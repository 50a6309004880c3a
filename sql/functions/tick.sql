-- What this schema is, for binaries that meet it: the lowest binary it bears.
CREATE OR REPLACE FUNCTION automapost.schema_version()
RETURNS TABLE (version bigint, lowest_binary text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT max(m.version), '0.1.0'::text FROM automapost.schema_migrations m
$$;

-- The first question of every tick, and of most the only one: may this service run, and is there
-- anything to do? Writes nothing.
CREATE OR REPLACE FUNCTION automapost.tick(p_service text, p_types text[])
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'schema', (SELECT v.version FROM automapost.schema_version() v),
        'lowestBinary', (SELECT v.lowest_binary FROM automapost.schema_version() v),
        'defined', d.id IS NOT NULL,
        'active', COALESCE(automapost.is_runnable(d), false),
        'pausedReason', d.paused_reason,
        'work', automapost.has_work(p_service, p_types),
        'engine', (SELECT jsonb_object_agg(k.key, extract(epoch FROM k.value::interval)::double precision)
                   FROM automapost.engine e, jsonb_each_text(to_jsonb(e) - 'only_row') k))
    FROM (SELECT) one
    LEFT JOIN automapost.job_definitions d ON d.name = p_service AND d.kind = 'service'
$$;

CREATE OR REPLACE FUNCTION automapost.has_work(p_service text, p_types text[])
RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
            SELECT FROM unnest(p_types) y (name), LATERAL (
                SELECT FROM automapost.job_queue q
                WHERE q.status = 'pending' AND q.job_type = y.name
                    AND q.scheduled_for <= clock_timestamp() LIMIT 1) due)
        OR EXISTS (
            SELECT FROM automapost.workers w
            WHERE w.ended_at IS NULL
                AND w.last_beat < clock_timestamp() - (SELECT e.lapse FROM automapost.engine e))
        OR CASE WHEN p_service = 'social-media' THEN automapost.has_due_posts() ELSE false END
$$;

-- A due post without a delivery, or one whose end the application does not know yet.
CREATE OR REPLACE FUNCTION automapost.has_due_posts()
RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
            SELECT FROM automapost.app_due_posts(
                GREATEST(clock_timestamp() - e.late_limit - interval '1 hour', i.publish_from),
                clock_timestamp()))
        OR EXISTS (SELECT FROM automapost.post_deliveries d
                   WHERE d.state = 'sent' AND d.kind = 'post' AND d.applied_at IS NULL)
    FROM automapost.engine e, automapost.installation i
$$;
