-- One JSON object: what publishing would do. It reads the application's tables themselves, as the
-- application's own login, for it is asked before there is a binding; it chooses accounts by the rules
-- of automapost.post_targets(). $1: the platforms that can be published to; $2: posts that are later
-- than this are too late, as an interval; $3: posts due before this are not published, or null.
WITH post AS MATERIALIZED (
    SELECT p.id::text AS post_id, p."userId" AS user_id, p."scheduledTo" AS due_at,
        pg_catalog.left(pg_catalog.regexp_replace(p.content, '\s+', ' ', 'g'), 60) AS text,
        p.providers, p."authProviderIds" AS account_ids,
        CASE WHEN p."scheduledTo" <= pg_catalog.now() - $2::interval THEN 'late'
             WHEN p."scheduledTo" <= $3::timestamptz THEN 'before'
             WHEN p."scheduledTo" <= pg_catalog.now() THEN 'due'
             WHEN p."scheduledTo" <= pg_catalog.now() + interval '1 hour' THEN 'soon'
             ELSE 'later' END AS at
    FROM public.posts p
    WHERE p.status = 'SCHEDULED' AND p."deletedAt" IS NULL AND p."scheduledTo" IS NOT NULL
), named AS MATERIALIZED (
    SELECT p.post_id, i.id, a.id IS NULL AS gone, a."userId" IS NOT DISTINCT FROM p.user_id AS own,
        a.provider, a."providerAccountId" AS account, a."accessToken" AS token,
        a."refreshToken" AS refresh, a."expiresAt" AS expires_at
    FROM post p
    CROSS JOIN LATERAL (SELECT DISTINCT u.id FROM pg_catalog.unnest(p.account_ids) u (id)
                        WHERE u.id <> '') i
    LEFT JOIN public.auth_providers a ON a.id::text = i.id
), platform AS MATERIALIZED (
    SELECT p.post_id, p.user_id, v.provider,
        EXISTS (SELECT FROM named n WHERE n.post_id = p.post_id AND n.gone) AS doubtful
    FROM post p
    CROSS JOIN LATERAL (SELECT DISTINCT u.provider FROM pg_catalog.unnest(p.providers) u (provider)
                        WHERE u.provider <> '') v
    WHERE NOT EXISTS (SELECT FROM named n WHERE n.post_id = p.post_id AND n.provider = v.provider)
), target AS MATERIALIZED (
    SELECT n.post_id, n.id AS account_id, n.provider, n.account, n.token, n.refresh, n.expires_at,
        CASE WHEN NOT n.own THEN 'not-your-account' END AS code
    FROM named n
    UNION ALL
    SELECT l.post_id, a.id::text, l.provider, a."providerAccountId", a."accessToken",
        a."refreshToken", a."expiresAt", CASE WHEN a.id IS NULL THEN 'no-account' END
    FROM platform l
    LEFT JOIN public.auth_providers a
        ON a."userId" = l.user_id AND a.provider = l.provider AND NOT l.doubtful
    UNION ALL
    SELECT p.post_id, NULL, NULL, NULL, NULL, NULL, NULL, 'no-account'
    FROM post p
    WHERE NOT EXISTS (SELECT FROM named n WHERE n.post_id = p.post_id)
        AND NOT EXISTS (SELECT FROM platform l WHERE l.post_id = p.post_id)
), delivery AS MATERIALIZED (
    SELECT t.post_id, t.account_id, t.provider, t.account, p.at, p.due_at, p.text,
        COALESCE(t.code,
            CASE WHEN t.provider <> ALL ($1::text[]) THEN 'unsupported-platform'
                 WHEN COALESCE(t.token, '') = '' AND COALESCE(t.refresh, '') = ''
                     THEN 'reconnect-account'
                 WHEN t.expires_at < GREATEST(p.due_at, pg_catalog.now())
                     AND COALESCE(t.refresh, '') = '' THEN 'reconnect-account' END) AS code
    FROM target t JOIN post p USING (post_id)
    WHERE p.at IN ('due', 'soon', 'later')
)
SELECT pg_catalog.jsonb_build_object(
    'due', count(*) FILTER (WHERE p.at = 'due'),
    'soon', count(*) FILTER (WHERE p.at = 'soon'),
    'later', count(*) FILTER (WHERE p.at = 'later'),
    'before', count(*) FILTER (WHERE p.at = 'before'),
    'late', count(*) FILTER (WHERE p.at = 'late'),
    'next', (SELECT pg_catalog.min(n.due_at) FROM post n WHERE n.at IN ('soon', 'later')),
    'platforms', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(x) ORDER BY x.provider), '[]')
        FROM (SELECT d.provider, count(*) FILTER (WHERE d.at = 'due') AS due,
                  count(*) FILTER (WHERE d.at = 'soon') AS soon,
                  count(*) FILTER (WHERE d.at = 'later') AS later,
                  count(DISTINCT d.account_id) AS accounts
              FROM delivery d WHERE d.code IS NULL GROUP BY d.provider) x),
    'examples', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(x) - 'rank'
                                                      ORDER BY x.due_at, x.provider), '[]')
        FROM (SELECT d.post_id, d.due_at, d.provider, d.account, d.text,
                  pg_catalog.row_number() OVER (PARTITION BY d.provider
                                                ORDER BY d.due_at, d.post_id) AS rank
              FROM delivery d WHERE d.code IS NULL) x
        WHERE x.rank <= 2),
    'failing', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(x)
                                                     ORDER BY x.posts DESC, x.code, x.account_id), '[]')
        FROM (SELECT d.code, d.provider, d.account, d.account_id, count(*) AS posts,
                  pg_catalog.min(d.due_at) AS first_due
              FROM delivery d WHERE d.code IS NOT NULL
              GROUP BY d.code, d.provider, d.account, d.account_id
              ORDER BY count(*) DESC, d.code, d.account_id LIMIT 100) x))
FROM post p
