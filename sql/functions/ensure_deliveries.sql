-- Functions of one expression are bound when they are made (RETURN), and so need no search_path: the
-- planner puts them in the place of their call.

-- A post's version, as far as publishing it goes: its text, its time, its accounts.
CREATE OR REPLACE FUNCTION automapost.post_version(
    p_content text, p_due_at timestamptz, p_providers text[], p_auth_provider_ids text[])
RETURNS text
LANGUAGE sql STABLE
RETURN pg_catalog.md5(pg_catalog.concat_ws(E'\x1f', p_content, extract(epoch FROM p_due_at)::text,
    pg_catalog.array_to_string(p_providers, E'\x1e'),
    pg_catalog.array_to_string(p_auth_provider_ids, E'\x1e')));

-- A first comment's version: its text alone. When and where it appears is its post's business.
CREATE OR REPLACE FUNCTION automapost.comment_version(p_first_comment text)
RETURNS text
LANGUAGE sql IMMUTABLE
RETURN pg_catalog.md5(p_first_comment);

-- The version that a delivery of this kind would have now; null where the post is gone.
CREATE OR REPLACE FUNCTION automapost.current_version(p_post_id text, p_kind text)
RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE p_kind WHEN 'post' THEN automapost.post_version(
            p.content, p.due_at, p.providers, p.auth_provider_ids)
        ELSE automapost.comment_version(p.first_comment) END
    FROM automapost.app_posts_by_id(ARRAY[p_post_id]) p
$$;

-- Is a delivery that has ended taken up again, now that this is the version? What the system
-- cancelled, whenever its reason is gone; what failed, was missed, or was cancelled by a person, only
-- when it is another than at its end.
CREATE OR REPLACE FUNCTION automapost.is_reopened(d automapost.post_deliveries, p_version text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN d.state = 'cancelled' AND d.cancelled_by IS NULL
    OR d.state IN ('failed', 'missed', 'cancelled') AND d.version IS DISTINCT FROM p_version;

-- Which accounts a post goes to. An account named by id that is gone or another member's, and a
-- platform without an account, are rows too, with the code that says so. A platform named without
-- an id means all the member's accounts there, but not where a named account is gone: that one may
-- have been of this platform, and the member chose only it.
CREATE OR REPLACE FUNCTION automapost.post_targets(p_post_ids text[])
RETURNS TABLE (post_id text, user_id text, due_at timestamptz, version text,
               auth_provider_id text, provider text, code text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH post AS MATERIALIZED (
        SELECT p.*, automapost.post_version(p.content, p.due_at, p.providers, p.auth_provider_ids)
            AS version
        FROM automapost.app_posts_by_id(p_post_ids) p
    ), named AS MATERIALIZED (
        SELECT p.post_id, p.user_id, i.id, a.provider,
            a.user_id IS NOT DISTINCT FROM p.user_id AS own, a.auth_provider_id IS NULL AS gone
        FROM post p
        CROSS JOIN LATERAL (SELECT DISTINCT u.id FROM unnest(p.auth_provider_ids) u (id)
                            WHERE u.id <> '') i
        LEFT JOIN automapost.app_accounts_by_id(
            ARRAY(SELECT DISTINCT unnest(q.auth_provider_ids) FROM post q)) a
            ON a.auth_provider_id = i.id
    ), platform AS MATERIALIZED (
        SELECT p.post_id, p.user_id, v.provider,
            EXISTS (SELECT FROM named n WHERE n.post_id = p.post_id AND n.gone) AS doubtful
        FROM post p
        CROSS JOIN LATERAL (SELECT DISTINCT u.provider FROM unnest(p.providers) u (provider)
                            WHERE u.provider <> '') v
        WHERE NOT EXISTS (SELECT FROM named n
                          WHERE n.post_id = p.post_id AND n.provider = v.provider)
    ), target AS (
        SELECT n.post_id, n.id AS auth_provider_id, COALESCE(n.provider, '') AS provider,
            CASE WHEN NOT n.own THEN 'not-your-account' END AS code
        FROM named n
        UNION ALL
        SELECT l.post_id, COALESCE(a.auth_provider_id, 'no-account:' || l.provider), l.provider,
            CASE WHEN a.auth_provider_id IS NULL THEN 'no-account' END
        FROM platform l
        LEFT JOIN automapost.app_accounts_by_user(
            ARRAY(SELECT DISTINCT m.user_id FROM platform m WHERE NOT m.doubtful)) a
            ON a.user_id = l.user_id AND a.provider = l.provider AND NOT l.doubtful
        UNION ALL
        SELECT p.post_id, 'no-account', '', 'no-account'
        FROM post p
        WHERE NOT EXISTS (SELECT FROM named n WHERE n.post_id = p.post_id)
            AND NOT EXISTS (SELECT FROM platform l WHERE l.post_id = p.post_id)
    )
    SELECT p.post_id, p.user_id, p.due_at, p.version, t.auth_provider_id, t.provider, t.code
    FROM target t JOIN post p USING (post_id)
    WHERE p.status = 'SCHEDULED' AND p.deleted_at IS NULL AND p.due_at <= clock_timestamp()
$$;

-- Makes the durable facts of due posts (one delivery per account), takes up again what an edit, a
-- new time or a reason that is gone reopened, and gives every pending delivery of these posts a
-- job. Twice is as good as once, on any number of hosts. Returns the number of new jobs.
CREATE OR REPLACE FUNCTION automapost.ensure_deliveries(p_post_ids text[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    late interval := (SELECT e.late_limit FROM automapost.engine e);
    n bigint;
BEGIN
    IF p_post_ids = '{}' THEN
        RETURN 0;
    END IF;
    INSERT INTO automapost.post_deliveries AS d
        (post_id, auth_provider_id, kind, user_id, provider, due_at, version, state, code, detail,
         finished_at)
    SELECT t.post_id, t.auth_provider_id, 'post', t.user_id, t.provider, t.due_at, t.version,
        s.state, CASE s.state WHEN 'failed' THEN t.code WHEN 'missed' THEN 'missed-late' END,
        CASE s.state
            WHEN 'failed' THEN CASE t.code
                WHEN 'no-account' THEN 'no account is connected there'
                ELSE 'the account is gone or belongs to another member' END
            WHEN 'missed' THEN 'more than ' || late || ' late when it was first seen' END,
        CASE WHEN s.state <> 'pending' THEN clock_timestamp() END
    FROM automapost.post_targets(p_post_ids) t,
        LATERAL (SELECT CASE WHEN t.code IS NOT NULL THEN 'failed'
                             WHEN t.due_at <= clock_timestamp() - late THEN 'missed'
                             ELSE 'pending' END AS state) s
    ORDER BY t.post_id, t.auth_provider_id
    ON CONFLICT (post_id, auth_provider_id, kind) DO NOTHING;

    UPDATE automapost.post_deliveries d
    SET state = 'pending', due_at = t.due_at, version = t.version, code = NULL, detail = NULL,
        retry_at = NULL, cancelled_by = NULL, finished_at = NULL, job_id = NULL, absent_at = NULL,
        late_allowed = false,
        updated_at = clock_timestamp()
    FROM automapost.post_targets(p_post_ids) t
    WHERE d.post_id = t.post_id AND d.auth_provider_id = t.auth_provider_id AND d.kind = 'post'
        AND t.code IS NULL AND t.due_at > clock_timestamp() - late
        AND automapost.is_reopened(d, t.version);

    -- What was refused was refused for the tokens of then: a member who reconnected is connected.
    UPDATE automapost.account_state s
    SET refresh_failed_at = NULL, token_version = NULL, code = NULL, detail = NULL,
        updated_at = clock_timestamp()
    WHERE s.auth_provider_id IN (
        SELECT f.auth_provider_id FROM automapost.account_state f
        JOIN automapost.app_accounts_by_id(ARRAY(
            SELECT DISTINCT d.auth_provider_id FROM automapost.post_deliveries d
            WHERE d.post_id = ANY (p_post_ids) AND d.state = 'pending')) a
            ON a.auth_provider_id = f.auth_provider_id
        WHERE f.refresh_failed_at IS NOT NULL AND f.token_version
            IS DISTINCT FROM automapost.token_version(a.access_token, a.refresh_token)
        ORDER BY f.auth_provider_id FOR NO KEY UPDATE OF f);

    INSERT INTO automapost.account_state AS s
        (auth_provider_id, provider, user_id, expires_at, refreshable)
    SELECT a.auth_provider_id, a.provider, a.user_id, a.expires_at,
        COALESCE(a.refresh_token, '') <> ''
    FROM automapost.app_accounts_by_id(ARRAY(
        SELECT DISTINCT d.auth_provider_id FROM automapost.post_deliveries d
        WHERE d.post_id = ANY (p_post_ids) AND d.state = 'pending')) a
    ORDER BY a.auth_provider_id
    ON CONFLICT (auth_provider_id) DO UPDATE
        SET expires_at = excluded.expires_at, refreshable = excluded.refreshable
        WHERE (s.expires_at, s.refreshable) IS DISTINCT FROM (excluded.expires_at, excluded.refreshable);

    -- Ahead of need: a token about to expire is refreshed beside the first job that needs it.
    PERFORM automapost.enqueue('refresh-token',
        jsonb_build_object('authProviderId', s.auth_provider_id), 9, on_conflict => 'keep')
    FROM automapost.account_state s
    WHERE s.auth_provider_id IN (
            SELECT d.auth_provider_id FROM automapost.post_deliveries d
            WHERE d.post_id = ANY (p_post_ids) AND d.state = 'pending')
        AND s.refreshable AND s.refresh_failed_at IS NULL
        AND s.expires_at < clock_timestamp() + (SELECT e.token_ahead FROM automapost.engine e);

    WITH job AS (
        INSERT INTO automapost.job_queue AS q
            (job_type, payload, priority, scheduled_for, due_at, max_attempts, job_key, limit_key)
        SELECT 'social-media-post',
            jsonb_build_object('postId', d.post_id, 'authProviderId', d.auth_provider_id,
                               'kind', d.kind),
            5, d.due_at, d.due_at, y.max_retries + 1,
            d.post_id || ':' || d.auth_provider_id || ':' || d.kind,
            d.provider || ':' || d.auth_provider_id
        FROM automapost.post_deliveries d, automapost.job_definitions y
        WHERE d.post_id = ANY (p_post_ids) AND d.state = 'pending'
            AND (d.late_allowed OR d.due_at > clock_timestamp() - late)
            AND y.name = 'social-media-post'
            -- Read once, not looked up for each: whatever the planner believes of a queue that was
            -- empty a moment ago, this is never more than the live jobs.
            AND d.post_id || ':' || d.auth_provider_id || ':' || d.kind NOT IN (
                SELECT l.job_key FROM automapost.job_queue l
                WHERE l.job_type = 'social-media-post' AND l.status = 'pending'
                    AND l.job_key IS NOT NULL
                UNION ALL
                SELECT l.job_key FROM automapost.job_queue l
                WHERE l.job_type = 'social-media-post' AND l.status = 'running'
                    AND l.job_key IS NOT NULL)
        ORDER BY d.due_at, d.post_id, d.auth_provider_id
        ON CONFLICT (job_type, job_key) WHERE status = 'pending' DO NOTHING
        RETURNING q.id, q.payload
    )
    UPDATE automapost.post_deliveries d SET job_id = j.id
    FROM job j
    WHERE d.post_id = j.payload ->> 'postId' AND d.auth_provider_id = j.payload ->> 'authProviderId'
        AND d.kind = j.payload ->> 'kind';
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
