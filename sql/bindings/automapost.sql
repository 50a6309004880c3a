-- The binding: the only place that knows the application's tables. Another application is bound by
-- another file with the same functions.
--
-- Quoted bodies and no SET: PostgreSQL records no dependency on the application's tables (its next
-- ALTER or DROP COLUMN is never refused because of us) and inlines them into the caller's query.
-- They compare in the application's own types so that its indexes serve; an id that does not look
-- like one of its ids is filtered by pattern before the cast. Results are text, whatever the
-- application uses. Executable by the owner alone.

SET LOCAL check_function_bodies = off; -- the application's tables may come later

-- Posts whose time has come, after p_from and up to p_to, in order of (due_at, post_id).
CREATE OR REPLACE FUNCTION automapost.app_due_posts(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (post_id text, user_id text, due_at timestamptz)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT p.id::text, p."userId"::text, p."scheduledTo"
    FROM public.posts p
    WHERE p.status = 'SCHEDULED' AND p."scheduledTo" > p_from AND p."scheduledTo" <= p_to
        AND p."deletedAt" IS NULL
$$;

-- status: 'SCHEDULED' may be published, 'SENT' has been; anything else may not.
CREATE OR REPLACE FUNCTION automapost.app_posts_by_id(p_ids text[])
RETURNS TABLE (post_id text, user_id text, content text, first_comment text, due_at timestamptz,
               status text, deleted_at timestamptz, providers text[], auth_provider_ids text[],
               media jsonb)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT p.id::text, p."userId"::text, p.content, p."firstComment", p."scheduledTo",
        p.status::text, p."deletedAt", p.providers, p."authProviderIds", '[]'::jsonb
    FROM public.posts p
    WHERE p.id = ANY (ARRAY(
        SELECT i::uuid FROM pg_catalog.unnest(p_ids) i
        WHERE i ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'))
$$;

CREATE OR REPLACE FUNCTION automapost.app_accounts_by_id(p_ids text[])
RETURNS TABLE (auth_provider_id text, user_id text, provider text, remote_id text, service_url text,
               access_token text, refresh_token text, expires_at timestamptz)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT a.id::text, a."userId"::text, a.provider, a."providerAccountId",
        CASE a.provider
            WHEN 'webhook' THEN a."providerAccountId"
            WHEN 'mastodon' THEN 'https://' || pg_catalog.split_part(a."providerAccountId", '@', -1)
        END,
        a."accessToken", a."refreshToken", a."expiresAt"
    FROM public.auth_providers a
    WHERE a.id = ANY (ARRAY(
        SELECT i::uuid FROM pg_catalog.unnest(p_ids) i
        WHERE i ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'))
$$;

-- A member's accounts, to find those of a platform that was chosen without naming an account.
CREATE OR REPLACE FUNCTION automapost.app_accounts_by_user(p_user_ids text[])
RETURNS TABLE (auth_provider_id text, user_id text, provider text)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT a.id::text, a."userId"::text, a.provider
    FROM public.auth_providers a
    WHERE a."userId" = ANY (ARRAY(
        SELECT i::uuid FROM pg_catalog.unnest(p_user_ids) i
        WHERE i ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'))
$$;

-- Locks posts in the order of their ids and answers which. 'share' passes over posts that somebody
-- is changing; 'update' waits for them (the caller sets lock_timeout).
CREATE OR REPLACE FUNCTION automapost.app_lock_posts(p_ids text[], p_mode text)
RETURNS TABLE (post_id text)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF p_mode = 'share' THEN
        RETURN QUERY
            SELECT p.id::text FROM public.posts p
            WHERE p.id = ANY (ARRAY(
                SELECT i::uuid FROM pg_catalog.unnest(p_ids) i
                WHERE i ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'))
            ORDER BY p.id FOR SHARE SKIP LOCKED;
    ELSE
        RETURN QUERY
            SELECT p.id::text FROM public.posts p
            WHERE p.id = ANY (ARRAY(
                SELECT i::uuid FROM pg_catalog.unnest(p_ids) i
                WHERE i ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'))
            ORDER BY p.id FOR UPDATE;
    END IF;
END
$$;

-- The posts are out: p_ids[n] since p_published[n].
CREATE OR REPLACE FUNCTION automapost.app_mark_posts_sent(p_ids text[], p_published timestamptz[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n bigint;
BEGIN
    UPDATE public.posts p
    SET status = 'SENT', "publishedAt" = s.published, "updatedAt" = pg_catalog.now()
    FROM ROWS FROM (pg_catalog.unnest(p_ids), pg_catalog.unnest(p_published)) AS s (id, published)
    WHERE p.id = s.id::uuid AND p.status <> 'SENT';
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;

-- New tokens for an account; a null refresh token keeps the stored one.
CREATE OR REPLACE FUNCTION automapost.app_store_tokens(p_id text, p_access text, p_refresh text,
                                                       p_expires timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n bigint;
BEGIN
    UPDATE public.auth_providers a
    SET "accessToken" = p_access,
        "refreshToken" = COALESCE(NULLIF(p_refresh, ''), a."refreshToken"),
        "expiresAt" = p_expires,
        "updatedAt" = pg_catalog.now()
    WHERE a.id = p_id::uuid;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;

-- Grants, given by whoever migrates (who must own the application's tables or be allowed to grant
-- on them). Read what is needed, write the marked columns, nothing else.
RESET ROLE;
DO $$
BEGIN
    IF pg_catalog.to_regclass('public.posts') IS NULL
        OR pg_catalog.to_regclass('public.auth_providers') IS NULL THEN
        RAISE WARNING 'the application''s tables posts and auth_providers are not there yet'
            USING HINT = 'Run "automapost migrate" again when they are: posts wait until then.';
        RETURN;
    END IF;
    IF pg_catalog.has_column_privilege('automapost_jobs_owner', 'public.posts', 'publishedAt', 'UPDATE')
        AND pg_catalog.has_column_privilege('automapost_jobs_owner', 'public.auth_providers',
                                            'expiresAt', 'UPDATE')
        AND NOT (SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class c
                 WHERE c.oid = 'public.posts'::regclass) THEN
        RETURN; -- the tables' owner has given them, and we may not
    END IF;
    GRANT USAGE ON SCHEMA public TO automapost_jobs_owner;
    GRANT SELECT (id, "userId", content, "firstComment", "scheduledTo", status, providers,
                  "authProviderIds", "deletedAt", "publishedAt")
        ON public.posts TO automapost_jobs_owner;
    GRANT UPDATE (status, "publishedAt", "updatedAt") ON public.posts TO automapost_jobs_owner;
    GRANT SELECT (id, "userId", provider, "providerAccountId", "accessToken", "refreshToken",
                  "expiresAt")
        ON public.auth_providers TO automapost_jobs_owner;
    GRANT UPDATE ("accessToken", "refreshToken", "expiresAt", "updatedAt")
        ON public.auth_providers TO automapost_jobs_owner;
END
$$;
SET LOCAL ROLE automapost_jobs_owner;
