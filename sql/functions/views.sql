-- For the application: what became of a post, one row per post that was collected (no row: it is
-- scheduled). Over our own tables only, one index lookup per post. code is one of a closed list
-- that the application translates; state: publishing, sent, partly_sent, failed, held, missed,
-- cancelled.
CREATE OR REPLACE VIEW automapost.post_publication AS
SELECT d.post_id,
    CASE
        WHEN bool_or(d.state IN ('pending', 'sending', 'unconfirmed')) FILTER (WHERE d.kind = 'post')
            THEN 'publishing'
        WHEN bool_or(d.state = 'held') FILTER (WHERE d.kind = 'post') THEN 'held'
        WHEN bool_and(d.state = 'sent') FILTER (WHERE d.kind = 'post') THEN 'sent'
        WHEN bool_or(d.state = 'sent') FILTER (WHERE d.kind = 'post') THEN 'partly_sent'
        WHEN bool_or(d.state = 'failed') FILTER (WHERE d.kind = 'post') THEN 'failed'
        WHEN bool_or(d.state = 'missed') FILTER (WHERE d.kind = 'post') THEN 'missed'
        ELSE 'cancelled'
    END AS state,
    min(d.due_at) FILTER (WHERE d.kind = 'post') AS due_at,
    CASE WHEN bool_and(d.finished_at IS NOT NULL) FILTER (WHERE d.kind = 'post')
        THEN max(d.finished_at) FILTER (WHERE d.kind = 'post') END AS finished_at,
    jsonb_agg(jsonb_build_object(
        'auth_provider_id', CASE WHEN d.code = 'no-account' AND d.auth_provider_id LIKE 'no-account%'
                            THEN NULL ELSE d.auth_provider_id END,
        'provider', NULLIF(d.provider, ''), 'state', d.state, 'url', d.url, 'code', d.code,
        'detail', d.detail, 'retry_at', d.retry_at,
        'first_comment', (
            SELECT jsonb_build_object('state', c.state, 'url', c.url, 'code', c.code, 'detail', c.detail)
            FROM automapost.post_deliveries c
            WHERE c.post_id = d.post_id AND c.auth_provider_id = d.auth_provider_id
                AND c.kind = 'comment'))
        ORDER BY d.provider, d.auth_provider_id) FILTER (WHERE d.kind = 'post') AS accounts
FROM automapost.post_deliveries d
GROUP BY d.post_id;

-- For the application: accounts that were published to. state: ok, expires-soon (within 7 days, and
-- nothing can refresh it), reconnect. posts_at_risk counts deliveries that wait for the account or
-- failed for it in the last 7 days.
CREATE OR REPLACE VIEW automapost.account_status AS
SELECT s.auth_provider_id, s.user_id, s.provider,
    CASE WHEN s.refresh_failed_at IS NOT NULL THEN 'reconnect'
        WHEN NOT s.refreshable AND s.expires_at <= clock_timestamp() + interval '7 days'
            THEN 'expires-soon'
        ELSE 'ok' END AS state,
    COALESCE(s.refresh_failed_at, s.refreshed_at, s.updated_at) AS since,
    s.expires_at, s.code, s.detail,
    (SELECT count(*) FROM automapost.post_deliveries d
     WHERE d.auth_provider_id = s.auth_provider_id
        AND (d.state IN ('pending', 'unconfirmed') OR d.state = 'failed' AND d.code = s.code
            AND d.finished_at > clock_timestamp() - interval '7 days')) AS posts_at_risk
FROM automapost.account_state s;

-- The same for callers who pass ids, one row per id that is known.
CREATE OR REPLACE FUNCTION automapost.publication(post_ids text[])
RETURNS TABLE (post_id text, state text, due_at timestamptz, finished_at timestamptz, accounts jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT v.post_id, v.state, v.due_at, v.finished_at, v.accounts
    FROM automapost.post_publication v WHERE v.post_id = ANY (publication.post_ids)
$$;

-- The same for accounts as they are in the application at this moment: one that a member has just
-- reconnected is ok.
CREATE OR REPLACE FUNCTION automapost.accounts(ids text[])
RETURNS TABLE (auth_provider_id text, user_id text, provider text, state text, since timestamptz,
               expires_at timestamptz, posts_at_risk bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.auth_provider_id, a.user_id, a.provider,
        CASE WHEN v.state = 'reconnect' AND s.token_version = automapost.token_version(
                a.access_token, a.refresh_token) THEN 'reconnect'
            WHEN a.expires_at <= clock_timestamp() + interval '7 days' AND COALESCE(a.refresh_token, '') = ''
                THEN 'expires-soon'
            ELSE 'ok' END,
        v.since, a.expires_at, COALESCE(v.posts_at_risk, 0)
    FROM automapost.app_accounts_by_id(accounts.ids) a
    LEFT JOIN automapost.account_status v USING (auth_provider_id)
    LEFT JOIN automapost.account_state s USING (auth_provider_id)
$$;
