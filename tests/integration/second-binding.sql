-- A binding to an application that has nothing in common with the first one: other names, ids that
-- are text, times without zone (UTC by its convention), states in words of its own, no first choice
-- of platforms. tests/integration/test_binding.py has its tables.

SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION automapost.app_due_posts(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (post_id text, user_id text, due_at timestamptz)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT p.post_id, p.member_id, p.publish_at AT TIME ZONE 'UTC'
    FROM desk.scheduled_posts p
    WHERE p.state = 'ready' AND NOT p.removed
        AND p.publish_at > p_from AT TIME ZONE 'UTC' AND p.publish_at <= p_to AT TIME ZONE 'UTC'
$$;

CREATE OR REPLACE FUNCTION automapost.app_posts_by_id(p_ids text[])
RETURNS TABLE (post_id text, user_id text, content text, first_comment text, due_at timestamptz,
               status text, deleted_at timestamptz, providers text[], auth_provider_ids text[],
               media jsonb)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT p.post_id, p.member_id, p.body, p.remark, p.publish_at AT TIME ZONE 'UTC',
        CASE p.state WHEN 'ready' THEN 'SCHEDULED' WHEN 'out' THEN 'SENT' ELSE p.state END,
        CASE WHEN p.removed THEN '-infinity'::timestamptz END, '{}'::text[], p.targets, '[]'::jsonb
    FROM desk.scheduled_posts p
    WHERE p.post_id = ANY (p_ids)
$$;

CREATE OR REPLACE FUNCTION automapost.app_accounts_by_id(p_ids text[])
RETURNS TABLE (auth_provider_id text, user_id text, provider text, remote_id text, service_url text,
               access_token text, refresh_token text, expires_at timestamptz)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT a.account_id, a.member_id, a.platform, a.remote_name, a.remote_url, a.token, a.renewal,
        a.token_ends AT TIME ZONE 'UTC'
    FROM desk.social_accounts a
    WHERE a.account_id = ANY (p_ids)
$$;

CREATE OR REPLACE FUNCTION automapost.app_accounts_by_user(p_user_ids text[])
RETURNS TABLE (auth_provider_id text, user_id text, provider text)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT a.account_id, a.member_id, a.platform
    FROM desk.social_accounts a
    WHERE a.member_id = ANY (p_user_ids)
$$;

CREATE OR REPLACE FUNCTION automapost.app_lock_posts(p_ids text[], p_mode text)
RETURNS TABLE (post_id text)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF p_mode = 'share' THEN
        RETURN QUERY SELECT p.post_id FROM desk.scheduled_posts p
            WHERE p.post_id = ANY (p_ids) ORDER BY p.post_id FOR SHARE SKIP LOCKED;
    ELSE
        RETURN QUERY SELECT p.post_id FROM desk.scheduled_posts p
            WHERE p.post_id = ANY (p_ids) ORDER BY p.post_id FOR UPDATE;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION automapost.app_mark_posts_sent(p_ids text[], p_published timestamptz[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n bigint;
BEGIN
    UPDATE desk.scheduled_posts p
    SET state = 'out', published_at = s.published AT TIME ZONE 'UTC'
    FROM ROWS FROM (pg_catalog.unnest(p_ids), pg_catalog.unnest(p_published)) AS s (id, published)
    WHERE p.post_id = s.id AND p.state <> 'out';
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;

CREATE OR REPLACE FUNCTION automapost.app_store_tokens(p_id text, p_access text, p_refresh text,
                                                       p_expires timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n bigint;
BEGIN
    UPDATE desk.social_accounts a
    SET token = p_access, renewal = COALESCE(NULLIF(p_refresh, ''), a.renewal),
        token_ends = p_expires AT TIME ZONE 'UTC'
    WHERE a.account_id = p_id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;

RESET ROLE;
GRANT USAGE ON SCHEMA desk TO automapost_jobs_owner;
GRANT SELECT ON desk.scheduled_posts, desk.social_accounts TO automapost_jobs_owner;
GRANT UPDATE (state, published_at) ON desk.scheduled_posts TO automapost_jobs_owner;
GRANT UPDATE (token, renewal, token_ends) ON desk.social_accounts TO automapost_jobs_owner;
SET LOCAL ROLE automapost_jobs_owner;
