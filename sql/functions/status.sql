-- For the person who is called at night: what is wrong, since when, whom it touches, what to type.

-- Publishing that is due now, one row per job, and one per due post that nobody has collected yet
-- (no job_id). since: when it became due (again). waits: what holds it rightly (pause, limit, or
-- pace: its account is behind and sends one post per pace), null where a worker should take it.
CREATE OR REPLACE FUNCTION automapost.due_publications(p_app boolean)
RETURNS TABLE (post_id text, user_id text, limit_key text, job_id uuid, since timestamptz,
               waits text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    e automapost.engine;
    t timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO e FROM automapost.engine;
    RETURN QUERY
        SELECT q.payload ->> 'postId', d.user_id, q.limit_key, q.id,
            CASE WHEN q.attempts = 0 AND q.error_class IS NULL
                THEN LEAST(q.scheduled_for, q.due_at) ELSE q.scheduled_for END,
            CASE WHEN l.is_pause THEN 'pause' WHEN l.key IS NOT NULL THEN 'limit'
                WHEN q.due_at < t - e.pace_after AND k.last_begun > t - 2 * e.pace THEN 'pace' END
        FROM automapost.job_queue q
        LEFT JOIN automapost.post_deliveries d ON d.job_id = q.id
        LEFT JOIN automapost.limit_keys k ON k.key = q.limit_key
        LEFT JOIN LATERAL (
            SELECT r.key, r.is_pause FROM automapost.rate_limits r
            WHERE r.key IN (q.limit_key, split_part(q.limit_key, ':', 1)) AND r.until > t
            ORDER BY r.is_pause DESC LIMIT 1) l ON true
        WHERE q.status = 'pending' AND q.job_type = 'social-media-post' AND q.scheduled_for <= t;
    IF p_app THEN
        RETURN QUERY
            SELECT p.post_id, p.user_id, NULL::text, NULL::uuid, p.due_at, NULL::text
            FROM automapost.app_due_posts(
                GREATEST(t - e.late_limit, (SELECT i.publish_from FROM automapost.installation i)),
                t) p
            WHERE NOT EXISTS (
                SELECT FROM automapost.post_deliveries x
                WHERE x.post_id = p.post_id AND x.kind = 'post'
                    AND NOT (x.state = 'cancelled' AND x.cancelled_by IS NULL));
    END IF;
END
$$;

-- Platforms of which nothing but silence and failures comes: at least two accounts whose last try
-- failed for a reason that lies there, and no answer since, nor in the minutes before now: one that
-- takes some and refuses others is not down. Accounts with a server of their own (Mastodon,
-- webhooks) count by that server.
CREATE OR REPLACE FUNCTION automapost.failing_platforms()
RETURNS TABLE (provider text, host text, since timestamptz, accounts bigint, posts bigint,
               members bigint, job_id uuid, message text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH tried AS MATERIALIZED (
        SELECT d.provider, d.auth_provider_id, d.post_id, d.user_id, d.due_at, q.id AS job_id,
            q.error_message, q.updated_at AS failed_at, NULL::timestamptz AS answered_at
        FROM automapost.post_deliveries d JOIN automapost.job_queue q ON q.id = d.job_id
        WHERE d.state IN ('pending', 'sending', 'unconfirmed')
            AND q.status IN ('pending', 'running')
            AND q.error_class IN ('transient', 'unknown-outcome')
            AND q.error_code IS DISTINCT FROM 'worker-died'
        UNION ALL
        SELECT d.provider, d.auth_provider_id, NULL, NULL, NULL, NULL, NULL, NULL, d.finished_at
        FROM automapost.post_deliveries d, automapost.engine e
        WHERE d.finished_at > clock_timestamp() - e.late_limit AND d.begin_number > 0
            AND d.state IN ('sent', 'failed')
    ), host AS MATERIALIZED (
        SELECT a.auth_provider_id, substring(a.service_url FROM '^[a-z]+://([^/?#]+)') AS name
        FROM automapost.app_accounts_by_id(
            CASE WHEN EXISTS (SELECT FROM tried f WHERE f.failed_at IS NOT NULL)
                THEN ARRAY(SELECT DISTINCT f.auth_provider_id FROM tried f) ELSE '{}' END) a
    ), place AS (
        SELECT f.*, h.name AS host FROM tried f LEFT JOIN host h USING (auth_provider_id)
    ), answered AS (
        SELECT p.provider, p.host, max(p.answered_at) AS at FROM place p
        WHERE p.answered_at IS NOT NULL GROUP BY p.provider, p.host
    )
    SELECT p.provider, p.host, GREATEST(min(p.due_at), max(s.at)),
        count(DISTINCT p.auth_provider_id), count(DISTINCT p.post_id), count(DISTINCT p.user_id),
        (array_agg(p.job_id ORDER BY p.failed_at DESC))[1],
        (array_agg(p.error_message ORDER BY p.failed_at DESC))[1]
    FROM place p
    LEFT JOIN answered s ON s.provider = p.provider AND s.host IS NOT DISTINCT FROM p.host
    WHERE p.failed_at IS NOT NULL AND (s.at IS NULL OR p.failed_at > s.at
        AND s.at < clock_timestamp() - (SELECT e.pace_after FROM automapost.engine e))
    GROUP BY p.provider, p.host
    HAVING count(DISTINCT p.auth_provider_id) >= 2
$$;

-- The name under which people know a platform.
CREATE OR REPLACE FUNCTION automapost.platform_name(p_provider text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE p_provider WHEN 'linkedin' THEN 'LinkedIn' WHEN 'tiktok' THEN 'TikTok'
        WHEN 'webhook' THEN 'webhook' WHEN '' THEN 'no platform' ELSE initcap(p_provider) END
$$;

-- "1 post", "2 posts", "2 deliveries".
CREATE OR REPLACE FUNCTION automapost.counted(n bigint, p_word text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT n || ' ' || CASE WHEN n = 1 THEN p_word
        ELSE regexp_replace(p_word, '([^aeiou])y$', '\1ie') || 's' END
$$;

-- Every problem that the database can see, and the counts, in one answer. Writes nothing, waits for
-- no lock longer than half a second. A problem is {"id", "what", "since", "posts", "members",
-- "command" or "start", "facts"}: id is one of the list in src/health/problems.c, which has severities
-- and words; command is what to type, as words of a shell; start names a service of which one run
-- is the way out. What only the command can see (no connection, its own clock, its own version) it
-- adds itself, from now, schema, migrations and publishers (hosts that worked in the last hour).
CREATE OR REPLACE FUNCTION automapost.status()
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' SET timezone = 'UTC' AS $$
DECLARE
    e automapost.engine;
    t timestamptz := clock_timestamp();
    posts text[]; -- what is due, as columns: there may be tens of thousands of rows
    users text[];
    keys text[];
    jobs uuid[];
    sinces timestamptz[];
    holds text[];
    last_begun timestamptz := (SELECT max(k.last_begun) FROM automapost.limit_keys k);
    next_due timestamptz;
    failing jsonb := '[]';
    reconnect jsonb := '[]';
    app_error text;
    publishing boolean; -- nobody paused it
    problems jsonb;
    counts jsonb;
BEGIN
    SELECT * INTO e FROM automapost.engine;

    -- Whatever reads the application's tables: they may be locked, or not what they were.
    BEGIN
        SELECT array_agg(d.post_id), array_agg(d.user_id), array_agg(d.limit_key),
            array_agg(d.job_id), array_agg(d.since), array_agg(d.waits)
        INTO posts, users, keys, jobs, sinces, holds
        FROM automapost.due_publications(true) d;
        SELECT min(p.due_at) INTO next_due FROM (
            SELECT a.due_at FROM automapost.app_due_posts(t, t + interval '1 year') a
            ORDER BY a.due_at LIMIT 1) p;
        SELECT COALESCE(jsonb_agg(f), '[]') INTO failing FROM automapost.failing_platforms() f;
        SELECT COALESCE(jsonb_agg(jsonb_build_object('id', s.auth_provider_id,
                'provider', s.provider, 'user', s.user_id, 'code', s.code,
                'since', s.refresh_failed_at)), '[]')
        INTO reconnect
        FROM automapost.account_state s
        JOIN automapost.app_accounts_by_id(ARRAY(
            SELECT x.auth_provider_id FROM automapost.account_state x
            WHERE x.refresh_failed_at IS NOT NULL)) a USING (auth_provider_id)
        WHERE s.refresh_failed_at IS NOT NULL
            AND s.token_version = automapost.token_version(a.access_token, a.refresh_token);
    EXCEPTION WHEN OTHERS THEN
        app_error := SQLERRM;
        SELECT array_agg(d.post_id), array_agg(d.user_id), array_agg(d.limit_key),
            array_agg(d.job_id), array_agg(d.since), array_agg(d.waits)
        INTO posts, users, keys, jobs, sinces, holds
        FROM automapost.due_publications(false) d;
    END;
    publishing := NOT EXISTS (
        SELECT FROM automapost.job_definitions d
        WHERE d.name IN ('social-media', 'social-media-post') AND NOT automapost.is_runnable(d));

    WITH publication AS MATERIALIZED (
        SELECT * FROM unnest(posts, users, keys, jobs, sinces, holds)
            d (post_id, user_id, limit_key, job_id, since, waits)
    ), waiting AS MATERIALIZED (
        SELECT * FROM publication p WHERE publishing AND p.waits IS NULL
    ), ended AS MATERIALIZED (
        SELECT d.id, d.post_id, d.user_id, d.auth_provider_id, d.provider, d.state, d.code, d.detail,
            d.finished_at,
            count(*) FILTER (WHERE d.state = 'sent') OVER (PARTITION BY d.provider) AS sent
        FROM automapost.post_deliveries d
        WHERE d.finished_at > t - interval '1 hour' AND d.state IN ('sent', 'failed')
    ), other AS MATERIALIZED (
        SELECT q.job_type, y.id AS definition, y.handler, automapost.is_runnable(y) AS runnable,
            count(*) AS n, min(q.scheduled_for) AS since,
            (array_agg(q.id ORDER BY q.scheduled_for))[1] AS job_id
        FROM automapost.job_queue q
        JOIN automapost.job_definitions y ON y.name = q.job_type AND y.kind = 'type'
        WHERE q.status = 'pending' AND q.job_type <> 'social-media-post' AND q.scheduled_for <= t
        GROUP BY q.job_type, y.id
    ), stopped AS (
        SELECT d.*, COALESCE(d.name || ' is paused by ' || d.paused_by || ': ' || d.paused_reason,
                             d.name || ' is not active') AS what
        FROM automapost.job_definitions d WHERE NOT automapost.is_runnable(d)
    ), problem (id, since, posts, members, what, command, start, facts) AS (
        SELECT 'application-tables', NULL::timestamptz, NULL::bigint, NULL::bigint,
            'the application''s tables cannot be read: ' || app_error,
            ARRAY['automapost', 'migrate'], NULL::text, '{}'::jsonb
        WHERE app_error IS NOT NULL

        UNION ALL -- which server, which hosts
        SELECT 'copy', NULL, NULL, NULL, 'this database is a copy, and nothing is published from '
            'it: ' || n.differs, ARRAY['automapost', 'setup', '--adopt'], NULL,
            jsonb_build_object('installation', n.id)
        FROM automapost.installation_now n WHERE n.state = 'copy'
        UNION ALL
        SELECT 'comparing', n.compare_since, count(DISTINCT p.post_id), count(DISTINCT p.user_id),
            'nothing is sent for ' || automapost.span(e.compare_wait) || ' at most: the database is '
                'another than before, and not every host has said what it sent last', NULL,
            'social-media', jsonb_build_object('reason', n.compare_reason, 'hosts', (
                SELECT jsonb_agg(w.name ORDER BY w.name) FROM automapost.awaited_hosts() w))
        FROM automapost.installation_now n LEFT JOIN publication p ON true
        WHERE n.state = 'comparing' GROUP BY n.id, n.compare_since, n.compare_reason
        UNION ALL
        SELECT 'host-refused', h.refused_at, NULL, NULL, h.name || CASE WHEN h.admitted
                THEN ' has a clone: another machine with its machine-id wants to publish too'
                ELSE ' wants to publish and is no host of this installation' END,
            CASE WHEN NOT h.admitted THEN
                ARRAY['automapost', 'setup', '--join', i.id::text] END, NULL,
            jsonb_build_object('host', h.name, 'installation', i.id)
        FROM automapost.hosts h, automapost.installation i WHERE h.refused_at > t - interval '1 hour'

        UNION ALL -- paused, and posts are due
        SELECT 'publishing-paused', COALESCE(s.paused_at, s.updated_at),
            count(DISTINCT p.post_id), count(DISTINCT p.user_id), s.what,
            ARRAY['automapost', 'resume', s.name], NULL, jsonb_build_object('name', s.name,
                'by', s.paused_by, 'reason', s.paused_reason, 'until', s.paused_until,
                'waiting', min(p.since))
        FROM stopped s, publication p
        WHERE s.name IN ('social-media', 'social-media-post')
        GROUP BY s.id, s.name, s.paused_at, s.updated_at, s.what, s.paused_by, s.paused_reason,
            s.paused_until
        UNION ALL
        SELECT 'platform-paused', l.created_at, count(DISTINCT p.post_id),
            count(DISTINCT p.user_id),
            automapost.platform_name(split_part(l.key, ':', 1)) || CASE WHEN l.key LIKE '%:%'
                THEN ' account ' || split_part(l.key, ':', 2) ELSE '' END
                || ' is paused by ' || l.by || ': ' || l.reason,
            ARRAY['automapost', 'resume', 'provider:' || l.key], NULL,
            jsonb_build_object('key', l.key, 'by', l.by, 'reason', l.reason, 'until', l.until,
                'waiting', min(p.since))
        FROM automapost.rate_limits l
        JOIN publication p ON l.key IN (p.limit_key, split_part(p.limit_key, ':', 1))
        WHERE l.is_pause AND l.until > t
        GROUP BY l.key, l.created_at, l.by, l.reason, l.until

        UNION ALL -- nobody begins anything
        SELECT 'nothing-begun', GREATEST(min(w.since), last_begun), count(DISTINCT w.post_id),
            count(DISTINCT w.user_id), CASE WHEN count(DISTINCT w.post_id) = 1 THEN '1 post is'
                ELSE count(DISTINCT w.post_id) || ' posts are' END
                || ' due and nothing is begun: automapost-social-media does not run, or it fails',
            NULL, 'social-media', jsonb_build_object('lastBegun', last_begun)
        FROM waiting w
        HAVING min(w.since) < t - e.pace_after
            AND COALESCE(last_begun, '-infinity') < t - e.pace_after
        UNION ALL -- somebody works, but not on this
        SELECT 'posts-too-old', min(w.since), count(DISTINCT w.post_id), count(DISTINCT w.user_id),
            automapost.counted(count(DISTINCT w.post_id), 'post')
                || ' due for longer than ' || automapost.span(5 * e.pace),
            ARRAY['automapost', 'why', COALESCE(
                (array_agg(w.job_id ORDER BY w.since) FILTER (WHERE w.job_id IS NOT NULL))[1]::text,
                (array_agg(w.post_id ORDER BY w.since))[1])], NULL, '{}'
        FROM waiting w
        WHERE w.since < t - 5 * e.pace AND last_begun >= t - e.pace_after
        HAVING count(*) > 0

        UNION ALL
        SELECT 'platform-failing', f.since, f.posts, f.members,
            automapost.platform_name(f.provider) || COALESCE(' ' || f.host, '') || ' takes '
                'nothing from '
                || automapost.counted(f.accounts, 'account') || ': ' || COALESCE(f.message, 'no '
                    'answer'),
            ARRAY['automapost', 'why', f.job_id::text], NULL, jsonb_build_object(
                'provider', f.provider, 'host', f.host, 'accounts', f.accounts)
        FROM jsonb_to_recordset(failing) f (provider text, host text, since timestamptz,
            accounts bigint, posts bigint, members bigint, job_id uuid, message text)

        UNION ALL -- refused for a reason that an operator must take away
        SELECT 'operator-action', min(d.due_at), count(DISTINCT d.post_id),
            count(DISTINCT d.user_id), 'publishing to ' || automapost.platform_name(d.provider)
                || ' needs an operator: '
                || (array_agg(q.error_message ORDER BY q.updated_at DESC))[1],
            ARRAY['automapost', 'why', (array_agg(q.id::text ORDER BY q.updated_at DESC))[1]], NULL,
            jsonb_build_object('provider', d.provider)
        FROM automapost.post_deliveries d JOIN automapost.job_queue q ON q.id = d.job_id
        WHERE d.state IN ('pending', 'unconfirmed') AND q.status = 'pending'
            AND q.error_class = 'config'
        GROUP BY d.provider

        UNION ALL -- one member's mistake is that member's; the same of many is somebody else's
        SELECT 'posts-failing', min(d.finished_at), count(DISTINCT d.post_id), count(DISTINCT d.user_id),
            automapost.counted(count(DISTINCT d.auth_provider_id), 'account') || ' of '
                || automapost.platform_name(d.provider) || ' failed alike within an hour ('
                || d.code || '), more than went out: '
                || COALESCE((array_agg(d.detail ORDER BY d.finished_at DESC))[1], 'no reason'),
            ARRAY['automapost', 'why', (array_agg(d.id::text ORDER BY d.finished_at DESC))[1]], NULL,
            jsonb_build_object('provider', d.provider, 'code', d.code)
        FROM ended d
        WHERE d.state = 'failed' AND d.code <> 'reconnect-account'
        GROUP BY d.provider, d.code
        HAVING count(DISTINCT d.auth_provider_id) >= 10 AND count(DISTINCT d.user_id) >= 10
            AND count(*) > min(d.sent)

        UNION ALL
        SELECT 'worker-lapsed', w.last_beat, count(DISTINCT d.post_id), count(DISTINCT d.user_id),
            'a worker of ' || w.service || ' on ' || w.host || ' (pid ' || w.pid
                || ') gives no sign of life and holds '
                    '' || automapost.counted(count(DISTINCT q.id), 'job'),
            NULL, 'cleanup', jsonb_build_object('worker', w.id, 'host', w.host, 'pid', w.pid)
        FROM automapost.workers w
        JOIN automapost.running_jobs q ON q.locked_by = w.id
        LEFT JOIN automapost.post_deliveries d ON d.job_id = q.id
        WHERE w.ended_at IS NULL AND w.last_beat < t - e.lapse
        GROUP BY w.id

        UNION ALL -- what waits for a person
        SELECT 'restored', min(d.updated_at), count(DISTINCT d.post_id),
            count(DISTINCT d.user_id), automapost.counted(count(*), 'delivery')
                || ' held: ' || min(d.detail), ARRAY['automapost', 'held'], NULL,
            jsonb_build_object('firstDue', min(d.due_at), 'lastDue', max(d.due_at))
        FROM automapost.post_deliveries d WHERE d.state = 'held' AND d.in_doubt
        HAVING count(*) > 0
        UNION ALL
        SELECT 'held', min(d.updated_at), count(DISTINCT d.post_id), count(DISTINCT d.user_id),
            automapost.counted(count(*), 'delivery') || ' held: sent, but nobody could tell '
                'whether '
                || 'it arrived', ARRAY['automapost', 'held'], NULL, '{}'
        FROM automapost.post_deliveries d WHERE d.state = 'held' AND NOT d.in_doubt
        HAVING count(*) > 0
        UNION ALL
        SELECT 'account-to-reconnect', min(r.since), count(DISTINCT d.post_id),
            count(DISTINCT r."user"),
            automapost.counted(count(DISTINCT r.id), 'account') || ' to reconnect: '
                || string_agg(DISTINCT automapost.platform_name(r.provider), ', ')
                || ' refuses the token',
            ARRAY['automapost', 'why', (array_agg(d.id::text ORDER BY r.since))[1]], NULL, '{}'
        FROM jsonb_to_recordset(reconnect) r (id text, provider text, "user" text, code text,
                                               since timestamptz)
        JOIN automapost.post_deliveries d ON d.auth_provider_id = r.id
            AND (d.state IN ('pending', 'unconfirmed', 'held') OR d.state = 'failed'
                AND d.code = r.code AND d.finished_at > t - interval '7 days')
        HAVING count(*) > 0
        UNION ALL
        SELECT 'paused', COALESCE(s.paused_at, s.updated_at), NULL, NULL, s.what,
            ARRAY['automapost', 'resume', s.name], NULL, jsonb_build_object('name', s.name,
                'by', s.paused_by, 'reason', s.paused_reason, 'until', s.paused_until)
        FROM stopped s
        WHERE s.name = 'cleanup'
            OR s.name IN ('social-media', 'social-media-post')
                AND NOT EXISTS (SELECT FROM publication)
            OR EXISTS (SELECT FROM other o WHERE o.definition = s.id)
            OR s.name = 'queue' AND EXISTS (SELECT FROM other o WHERE o.job_type <> 'refresh-token')
        UNION ALL
        SELECT 'jobs-too-old', o.since, NULL, NULL, automapost.counted(o.n, 'job') || ' of type '
                || o.job_type || ' due for longer than ' || automapost.span(5 * e.pace),
            CASE WHEN NOT automapost.is_done_here(o.job_type, o.handler)
                THEN ARRAY['automapost', 'why', o.job_id::text] END,
            CASE WHEN NOT automapost.is_done_here(o.job_type, o.handler) THEN NULL
                WHEN o.job_type = 'refresh-token' THEN 'social-media' ELSE 'queue' END,
            jsonb_build_object('type', o.job_type)
        FROM other o
        WHERE o.runnable AND o.since < t - 5 * e.pace
        UNION ALL
        SELECT 'schedule-bad', s.problem_since, NULL, NULL, 'the schedule of ' || d.name
                || ' cannot be used: ' || split_part(s.problem, E'\n', 1)
                || CASE WHEN s.good_schedule IS NULL THEN '' ELSE '; ' || s.good_schedule || ' '
                    || s.good_timezone || ' stays in use' END,
            ARRAY['automapost', 'schedule', d.name,
                  CASE WHEN d.default_schedule IS NULL THEN '--off' ELSE '--default' END], NULL,
            jsonb_build_object('name', d.name)
        FROM automapost.slots s JOIN automapost.job_definitions d ON d.id = s.definition_id
        WHERE s.problem IS NOT NULL
        UNION ALL
        SELECT 'clock-off', w.last_beat, NULL, NULL, 'the clock of ' || w.host || ' is '
                || round(abs(extract(epoch FROM w.clock_offset)), 1) || ' s '
                || CASE WHEN w.clock_offset > '0' THEN 'ahead of' ELSE 'behind' END
                || ' the database''s', NULL, NULL, jsonb_build_object('host', w.host,
                'offset', extract(epoch FROM w.clock_offset))
        FROM (SELECT DISTINCT ON (x.host) x.* FROM automapost.workers x
              WHERE x.last_beat > t - interval '1 hour' ORDER BY x.host, x.last_beat DESC) w
        WHERE abs(extract(epoch FROM w.clock_offset)) > 2
    )
    SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(to_jsonb(p)) ORDER BY p.since), '[]') INTO problems
    FROM problem p;

    SELECT jsonb_build_object(
        'due', COALESCE(cardinality(posts), 0)
            + (SELECT count(*) FROM automapost.job_queue q WHERE q.status = 'pending'
                AND q.job_type <> 'social-media-post' AND q.scheduled_for <= t),
        'running', (SELECT count(*) FROM automapost.running_jobs),
        'publishedHour', count(*) FILTER (
            WHERE d.state = 'sent' AND d.finished_at > t - interval '1 hour'),
        'publishedDay', count(*) FILTER (WHERE d.state = 'sent'),
        'failedDay', count(*) FILTER (WHERE d.state = 'failed'),
        'missedDay', count(*) FILTER (WHERE d.state = 'missed'),
        'held', (SELECT count(*) FROM automapost.post_deliveries h WHERE h.state = 'held'),
        'nextDue', LEAST(next_due, (SELECT min(q.scheduled_for) FROM automapost.job_queue q
                                    WHERE q.status = 'pending' AND q.scheduled_for > t)))
    INTO counts
    FROM automapost.post_deliveries d WHERE d.finished_at > t - interval '1 day';

    RETURN jsonb_build_object('now', clock_timestamp(), 'problems', problems, 'counts', counts,
        'installation', (SELECT jsonb_build_object('id', i.id, 'hosts', COALESCE((
            SELECT jsonb_agg(jsonb_build_object('name', h.name, 'since', h.since, 'by', h.by,
                'seenAt', h.seen_at, 'begunAt', h.begun_at) ORDER BY h.since)
            FROM automapost.hosts h WHERE h.admitted), '[]')) FROM automapost.installation i),
        'publishers', (SELECT COALESCE(jsonb_agg(DISTINCT w.host), '[]') FROM automapost.workers w
                       WHERE w.service IN ('social-media', 'realtime')
                           AND w.last_beat > t - interval '1 hour'),
        'schema', (SELECT v.version FROM automapost.schema_version() v),
        'lowestBinary', (SELECT v.lowest_binary FROM automapost.schema_version() v),
        'migrations', (SELECT COALESCE(jsonb_agg(m.version ORDER BY m.version), '[]')
                       FROM automapost.schema_migrations m));
END
$$;
