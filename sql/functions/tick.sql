-- The lowest binary that this schema bears.
CREATE OR REPLACE FUNCTION automapost.lowest_binary()
RETURNS text
LANGUAGE sql IMMUTABLE
RETURN '0.1.0';

-- What this schema is, for binaries that meet it.
CREATE OR REPLACE FUNCTION automapost.schema_version()
RETURNS TABLE (version bigint, lowest_binary text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT max(m.version), automapost.lowest_binary() FROM automapost.schema_migrations m
$$;

-- The first question of every tick, and of most the only one: may this service run, and is there
-- anything to do? Writes nothing. In one statement without functions of its own: a new connection
-- plans it cold, and each function more would be planned apart. Those that look closer are called
-- only where there is something to look at.
-- hosts: who may go on at once if its boot and its mark are the same; everybody else calls
-- meet_host().
-- Times are the statement's: no index serves a comparison with a time that changes meanwhile.
-- work: a due job that may run, found priority by priority as claim does; a worker that lapsed, one
-- that works on such jobs and may lapse; for publishing also what its collect has to do. schedule:
-- from which src/queue/schedule.c tells whether a slot is open.
-- Never compiled: tables of one row are never analyzed, their guessed sizes multiply to a cost at
-- which the server would spend 200 ms on it.
CREATE OR REPLACE FUNCTION automapost.tick(p_service text, p_types text[])
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT jsonb_build_object(
        'schema', (SELECT max(m.version) FROM automapost.schema_migrations m),
        'lowestBinary', automapost.lowest_binary(),
        'installation', i.id,
        'hosts', (
            SELECT jsonb_object_agg(h.machine, jsonb_build_object('boot', h.boot_id,
                                                                  'begins', h.begins))
            FROM automapost.installation_now n, automapost.hosts h
            WHERE n.state = 'known' AND h.admitted AND h.compared_at IS NOT NULL
                AND h.seen_at > statement_timestamp() - e.seen_every),
        'defined', d.id IS NOT NULL,
        'active', COALESCE(automapost.is_runnable(d), false),
        'pausedReason', d.paused_reason,
        'work',
            EXISTS (
                WITH RECURSIVE level AS (
                    SELECT y.name, (SELECT max(q.priority) FROM automapost.job_queue q
                                    WHERE q.status = 'pending' AND q.job_type = y.name) AS priority
                    FROM automapost.job_definitions y
                    WHERE (y.name = ANY (p_types) OR y.handler = 'http' AND 'http' = ANY (p_types))
                        AND automapost.is_runnable(y)
                    UNION ALL
                    SELECT l.name, (SELECT max(q.priority) FROM automapost.job_queue q
                                    WHERE q.status = 'pending' AND q.job_type = l.name
                                        AND q.priority < l.priority)
                    FROM level l WHERE l.priority IS NOT NULL
                )
                SELECT FROM level l, LATERAL (
                    SELECT FROM automapost.job_queue q
                    WHERE q.status = 'pending' AND q.job_type = l.name AND q.priority = l.priority
                        AND q.scheduled_for <= statement_timestamp()
                        AND NOT EXISTS (SELECT FROM automapost.rate_limits r
                                        WHERE r.until > statement_timestamp()
                                            AND r.key IN (q.limit_key, split_part(q.limit_key, ':', 1)))
                    LIMIT 1) due)
            OR EXISTS (
                SELECT FROM automapost.workers w
                WHERE w.ended_at IS NULL AND (w.last_beat < statement_timestamp() - e.lapse
                    OR w.service <> 'external' AND EXISTS (
                        SELECT FROM automapost.running_jobs q
                        WHERE q.locked_by = w.id AND q.job_type = ANY (p_types))))
            OR p_service = 'social-media' AND (
                EXISTS (SELECT FROM automapost.app_due_posts(
                    GREATEST(statement_timestamp() - e.late_limit - interval '1 hour', i.publish_from),
                    statement_timestamp()))
                AND automapost.has_due_posts(
                    GREATEST(statement_timestamp() - e.late_limit - interval '1 hour', i.publish_from),
                    statement_timestamp())
                OR EXISTS (SELECT FROM automapost.post_deliveries s
                           WHERE s.state = 'sent' AND s.kind = 'post' AND s.applied_at IS NULL)
                AND automapost.unapplied_posts(1) <> '{}'
                OR EXISTS (SELECT FROM automapost.post_deliveries c
                           WHERE c.kind = 'comment' AND c.state IN ('failed', 'missed', 'cancelled')
                               AND c.due_at > statement_timestamp() - e.late_limit)
                AND EXISTS (SELECT FROM automapost.edited_comments())),
        'engine', jsonb_build_object(
            'beat', extract(epoch FROM e.beat),
            'self_fence', extract(epoch FROM e.self_fence),
            'lapse', extract(epoch FROM e.lapse),
            'statement_limit', extract(epoch FROM e.statement_limit),
            'send_deadline', extract(epoch FROM e.send_deadline),
            'collect_every', extract(epoch FROM e.collect_every),
            'slot_grace', extract(epoch FROM e.slot_grace)),
        'schedule', CASE WHEN d.id IS NOT NULL THEN jsonb_build_object(
            'cron_schedule', d.cron_schedule, 'timezone', d.timezone,
            'good_schedule', s.good_schedule, 'good_timezone', s.good_timezone,
            'due_after', GREATEST(COALESCE(s.due_after, d.created_at),
                                  CASE WHEN s.done_at IS NOT NULL THEN s.slot END),
            'idle_from', s.idle_from, 'idle_until', s.idle_until, 'now', clock_timestamp()) END)
    FROM automapost.engine e
    CROSS JOIN automapost.installation i
    LEFT JOIN automapost.job_definitions d ON d.name = p_service AND d.kind = 'service'
    LEFT JOIN automapost.slots s ON s.definition_id = d.id
$$;
