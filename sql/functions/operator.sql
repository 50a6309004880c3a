-- What the operator's command reads: one JSON object per row, named like the columns, times in UTC.
-- The login of an operator may execute these and has no right to any table.

-- One job as a list shows it, with its delivery.
CREATE OR REPLACE FUNCTION automapost.job_row(q automapost.job_queue)
RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'id', q.id, 'job_type', q.job_type, 'status', q.status, 'priority', q.priority,
        'attempts', q.attempts, 'max_attempts', q.max_attempts,
        'created_at', q.created_at, 'scheduled_for', q.scheduled_for, 'locked_at', q.locked_at,
        'finished_at', q.finished_at, 'updated_at', q.updated_at,
        'job_key', q.job_key, 'error_class', q.error_class, 'error_code', q.error_code,
        'error_message', q.error_message, 'waits_for', q.waits_for,
        'cancel_requested_at', q.cancel_requested_at,
        'post_id', q.payload ->> 'postId', 'kind', d.kind, 'state', d.state,
        'provider', COALESCE(NULLIF(d.provider, ''), split_part(q.limit_key, ':', 1)),
        'auth_provider_id', COALESCE(d.auth_provider_id, q.payload ->> 'authProviderId'),
        'due_at', COALESCE(d.due_at, q.due_at), 'url', d.url)
    FROM (SELECT) one
    LEFT JOIN automapost.post_deliveries d ON d.job_id = q.id
$$;

-- Jobs: first what runs, then what waits in the order of its time, then what ended, latest first.
-- p_filters: type, status, post, account, provider, since (changed at or after), limit, all. Without
-- status and all: what runs and waits, and what failed within a day. Ids of posts and accounts may
-- be cut.
CREATE OR REPLACE FUNCTION automapost.list_jobs(p_filters jsonb)
RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC'
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    n bigint := COALESCE((p_filters ->> 'limit')::bigint, 50);
    since timestamptz := COALESCE((p_filters ->> 'since')::timestamptz, '-infinity');
    wanted text := p_filters ->> 'status';
    every boolean := COALESCE((p_filters ->> 'all')::boolean, false) OR p_filters ? 'since';
    statuses text[] := CASE WHEN wanted IS NOT NULL THEN ARRAY[wanted]
        WHEN every THEN ARRAY['pending', 'running', 'completed', 'failed', 'timeout', 'cancelled']
        ELSE ARRAY['pending', 'running', 'failed', 'timeout'] END;
    ended_after timestamptz := CASE WHEN every OR wanted IS NOT NULL THEN '-infinity'
        ELSE clock_timestamp() - interval '1 day' END;
    f_type text := p_filters ->> 'type';
    f_post text := p_filters ->> 'post';
    f_account text := p_filters ->> 'account';
    f_provider text := p_filters ->> 'provider';
BEGIN
    IF wanted IS NOT NULL
        AND wanted NOT IN ('pending', 'running', 'completed', 'failed', 'timeout', 'cancelled') THEN
        RAISE EXCEPTION 'there is no status "%"', wanted USING ERRCODE = '22023',
            HINT = 'pending, running, completed, failed, timeout, cancelled';
    END IF;
    IF f_type IS NOT NULL AND NOT EXISTS (
            SELECT FROM automapost.job_definitions d WHERE d.name = f_type AND d.kind = 'type')
        AND NOT EXISTS (SELECT FROM automapost.job_queue q WHERE q.job_type = f_type) THEN
        RAISE EXCEPTION 'there is no job type "%"', f_type USING ERRCODE = '22023',
            HINT = (SELECT string_agg(d.name, ', ' ORDER BY d.name)
                    FROM automapost.job_definitions d WHERE d.kind = 'type');
    END IF;
    -- Each part is cut where enough is found, the last along its index: the table may be large.
    RETURN QUERY
        WITH live AS (
            SELECT q.id, q.status, q.scheduled_for, NULL::timestamptz AS finished_at
            FROM automapost.job_queue q
            WHERE statuses && ARRAY['pending', 'running']
                AND q.status IN ('pending', 'running') AND q.status = ANY (statuses)
                AND q.updated_at >= since
                AND (f_type IS NULL OR q.job_type = f_type)
                AND (f_post IS NULL OR starts_with(q.payload ->> 'postId', f_post))
                AND (f_account IS NULL OR starts_with(q.payload ->> 'authProviderId', f_account))
                AND (f_provider IS NULL OR split_part(q.limit_key, ':', 1) = f_provider)
            ORDER BY q.status DESC, q.scheduled_for, q.id LIMIT n
        ), ended AS (
            SELECT e.* FROM unnest(ARRAY['completed', 'failed', 'timeout', 'cancelled']) t (status),
                LATERAL (
                    SELECT q.id, q.status, q.scheduled_for, q.finished_at
                    FROM automapost.job_queue q
                    WHERE q.status = t.status AND q.finished_at >= ended_after AND q.updated_at >= since
                        AND (f_type IS NULL OR q.job_type = f_type)
                        AND (f_post IS NULL OR starts_with(q.payload ->> 'postId', f_post))
                        AND (f_account IS NULL OR starts_with(q.payload ->> 'authProviderId', f_account))
                        AND (f_provider IS NULL OR split_part(q.limit_key, ':', 1) = f_provider)
                    ORDER BY q.finished_at DESC LIMIT n) e
            WHERE t.status = ANY (statuses)
        ), found AS (
            SELECT a.*, row_number() OVER (ORDER BY a.finished_at IS NOT NULL, a.finished_at DESC,
                a.status DESC, a.scheduled_for, a.id) AS place
            FROM (SELECT * FROM live UNION ALL SELECT * FROM ended) a
            ORDER BY 5 LIMIT n)
        SELECT automapost.job_row(q)
        FROM found f JOIN automapost.job_queue q ON q.id = f.id ORDER BY f.place;
END
$$;

-- One job with all that is known of it: {job, definition, delivery, executions, logs, others},
-- others being the deliveries of the same post.
CREATE OR REPLACE FUNCTION automapost.show_job(p_id text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
DECLARE
    job automapost.job_queue := automapost.find_job(p_id);
    d automapost.post_deliveries;
BEGIN
    SELECT * INTO d FROM automapost.post_deliveries p WHERE p.job_id = job.id;
    RETURN jsonb_build_object(
        'job', to_jsonb(job) - 'claim_batch',
        'definition', (SELECT jsonb_build_object('name', y.name, 'active', automapost.is_runnable(y),
                           'paused_reason', y.paused_reason, 'paused_by', y.paused_by,
                           'paused_until', y.paused_until, 'timeout_ms', y.timeout_ms)
                       FROM automapost.job_definitions y
                       WHERE y.name = job.job_type AND y.kind = 'type'),
        'worker', (SELECT jsonb_build_object('id', w.id, 'service', w.service, 'host', w.host,
                       'pid', w.pid, 'last_beat', w.last_beat)
                   FROM automapost.workers w WHERE w.id = job.locked_by),
        'delivery', CASE WHEN d.id IS NOT NULL THEN to_jsonb(d) - 'request' - 'receipt' - 'begin_batch'
                             - 'lease' - 'version' END,
        'others', (SELECT jsonb_agg(jsonb_build_object('id', o.id, 'kind', o.kind, 'state', o.state,
                       'provider', o.provider, 'auth_provider_id', o.auth_provider_id, 'url', o.url,
                       'code', o.code, 'job_id', o.job_id) ORDER BY o.kind DESC, o.provider)
                   FROM automapost.post_deliveries o
                   WHERE o.post_id = d.post_id AND o.id <> d.id),
        'executions', COALESCE((
            SELECT jsonb_agg(to_jsonb(x) - 'job_definition_id' - 'job_queue_id' ORDER BY x.created_at)
            FROM (SELECT * FROM automapost.job_executions e WHERE e.job_queue_id = job.id
                  ORDER BY e.created_at DESC LIMIT 20) x), '[]'),
        'logs', COALESCE((
            SELECT jsonb_agg(l.line ORDER BY l.at) FROM (
                SELECT line, (line ->> 'timestamp')::timestamptz AS at
                FROM automapost.job_log_lines(job.id::text, NULL, 'debug', 10) line) l), '[]'));
END
$$;

-- Log lines in the order of their time, at most the last p_limit, not older than p_since (null:
-- for one job all of them, for all jobs those of an hour). p_level: the least important. A line may
-- come later than others with a later time, for a job's lines are written every few seconds and when
-- it settles: who follows looks back a little and knows lines by their id.
CREATE OR REPLACE FUNCTION automapost.job_log_lines(p_id text, p_since timestamptz, p_level text, p_limit bigint)
RETURNS SETOF jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
DECLARE
    levels CONSTANT text[] := ARRAY['debug', 'info', 'warn', 'error'];
    least bigint := array_position(levels, CASE p_level WHEN 'warning' THEN 'warn' ELSE p_level END);
    job uuid;
BEGIN
    IF least IS NULL THEN
        RAISE EXCEPTION 'there is no log level "%"', p_level USING ERRCODE = '22023',
            HINT = 'debug, info, warning, error';
    END IF;
    IF p_id IS NOT NULL THEN
        job := (automapost.find_job(p_id)).id;
        RETURN QUERY
            SELECT t.line FROM (
                SELECT jsonb_build_object('id', l.id, 'job_id', x.job_queue_id,
                        'execution_id', x.id, 'timestamp', l."timestamp", 'level', l.level,
                        'message', l.message, 'data', l.data) AS line, l."timestamp" AS at, l.id
                FROM automapost.job_executions x
                JOIN automapost.job_logs l ON l.job_execution_id = x.id
                WHERE x.job_queue_id = job AND l.level = ANY (levels[least:])
                    AND l."timestamp" >= COALESCE(p_since, '-infinity')
                ORDER BY l."timestamp" DESC, l.id LIMIT p_limit) t
            ORDER BY t.at, t.id;
        RETURN;
    END IF;
    RETURN QUERY
        SELECT t.line FROM (
            SELECT jsonb_build_object('id', l.id, 'job_id', x.job_queue_id, 'job_type', q.job_type,
                    'execution_id', x.id, 'timestamp', l."timestamp", 'level', l.level,
                    'message', l.message, 'data', l.data) AS line, l."timestamp" AS at, l.id
            FROM automapost.job_logs l
            JOIN automapost.job_executions x ON x.id = l.job_execution_id
            LEFT JOIN automapost.job_queue q ON q.id = x.job_queue_id
            WHERE l.level = ANY (levels[least:])
                AND l."timestamp" >= COALESCE(p_since, clock_timestamp() - interval '1 hour')
            ORDER BY l."timestamp" DESC, l.id LIMIT p_limit) t
        ORDER BY t.at, t.id;
END
$$;

-- Deliveries whose outcome nobody can tell: a person looks at the platform and says. With what helps
-- to find the post there: the account, when it was sent, how the text begins.
CREATE OR REPLACE FUNCTION automapost.held_deliveries()
RETURNS SETOF jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
    SELECT jsonb_build_object(
        'id', d.id, 'job_id', d.job_id, 'post_id', d.post_id, 'kind', d.kind, 'provider', d.provider,
        'auth_provider_id', d.auth_provider_id, 'account', a.remote_id, 'due_at', d.due_at,
        'begun_at', d.begun_at, 'held_at', d.updated_at, 'detail', d.detail,
        'restored', d.in_doubt,
        'text', left(CASE d.kind WHEN 'post' THEN p.content ELSE p.first_comment END, 200))
    FROM automapost.post_deliveries d
    LEFT JOIN LATERAL automapost.app_posts_by_id(ARRAY[d.post_id]) p ON true
    LEFT JOIN LATERAL automapost.app_accounts_by_id(ARRAY[d.auth_provider_id]) a ON true
    WHERE d.state = 'held'
    ORDER BY d.due_at, d.id
$$;

-- What is paused or limited at this moment: services and types, providers and accounts.
CREATE OR REPLACE FUNCTION automapost.pauses()
RETURNS SETOF jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
    SELECT row FROM (
        SELECT 1 AS part, d.name::text AS name, jsonb_build_object('name', d.name, 'what', d.kind,
            'reason', COALESCE(d.paused_reason, 'not active'), 'by', d.paused_by,
            'since', d.paused_at, 'until', COALESCE(d.paused_until, 'infinity')) AS row
        FROM automapost.job_definitions d WHERE NOT automapost.is_runnable(d)
        UNION ALL
        SELECT 2, l.key, jsonb_build_object('name', 'provider:' || l.key,
            'what', CASE WHEN l.is_pause THEN 'provider' ELSE 'rate limit' END,
            'reason', l.reason, 'by', l.by, 'since', l.created_at, 'until', l.until)
        FROM automapost.rate_limits l WHERE l.until > clock_timestamp()) p
    ORDER BY p.part, p.name
$$;

-- The numbers that all hosts agree on: the row automapost.engine, one object per column.
CREATE OR REPLACE FUNCTION automapost.engine_settings()
RETURNS SETOF jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
    SELECT jsonb_build_object('name', v.key, 'value', v.value, 'default', c.fallback, 'help', h.help)
    FROM automapost.engine e
    CROSS JOIN LATERAL jsonb_each_text(to_jsonb(e) - 'only_row') v
    JOIN LATERAL (
        SELECT t.attnum, substring(pg_get_expr(f.adbin, f.adrelid) FROM '''(.*)''::interval') AS fallback
        FROM pg_attribute t
        LEFT JOIN pg_attrdef f ON f.adrelid = t.attrelid AND f.adnum = t.attnum
        WHERE t.attrelid = 'automapost.engine'::regclass AND t.attname = v.key) c ON true
    LEFT JOIN (VALUES
        ('beat', 'between two signs of life of a worker'),
        ('self_fence', 'a worker without an answer for so long begins nothing'),
        ('lapse', 'a worker without a sign of life for so long is taken for dead'),
        ('statement_limit', 'no statement takes longer while jobs are held'),
        ('send_deadline', 'how long sending one post may take'),
        ('reconcile_margin', 'after that, before anybody looks whether it arrived'),
        ('reread_after', 'between two looks that find nothing'),
        ('reconcile_limit', 'an outcome unknown for so long waits for a person'),
        ('retry_base', 'the first wait before a retry; it doubles'),
        ('retry_cap', 'the longest wait before a retry'),
        ('rate_limited_max', 'the longest wait that a platform may ask for'),
        ('token_wait', 'how long a job waits for a new token at a time'),
        ('token_ahead', 'tokens that expire within it are refreshed first'),
        ('locked_wait', 'how long a post waits that the application is changing'),
        ('late_limit', 'a post that is later is missed'),
        ('pace', 'between two posts of an account that is behind'),
        ('pace_after', 'an account is behind when a post is so late'),
        ('collect_every', 'between two looks for due posts while a service works'),
        ('long_run', 'a job that runs longer shows as running'),
        ('keep_completed', 'completed and cancelled jobs are kept so long'),
        ('keep_failed', 'failed jobs and deliveries are kept so long'),
        ('slot_grace', 'a service that does not run for so long has its work done by the queue''s'),
        ('compare_wait', 'after a failover or restore, hosts have so long to say what they sent'),
        ('seen_every', 'a host that finds nothing to do is noted so often')
    ) h (name, help) ON h.name = v.key
    ORDER BY c.attnum
$$;
