-- refresh-token: one at a time per account (its job_key), compare-and-set by the tokens' version.

CREATE OR REPLACE FUNCTION automapost.load_refresh_token(p_jobs uuid[])
RETURNS TABLE (id uuid, mode text, input jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    j record;
BEGIN
    FOR j IN
        SELECT q.id AS job, a.*, automapost.token_version(a.access_token, a.refresh_token) AS version
        FROM automapost.job_queue q
        LEFT JOIN automapost.app_accounts_by_id(ARRAY(
            SELECT i.payload ->> 'authProviderId' FROM automapost.job_queue i
            WHERE i.id = ANY (p_jobs))) a ON a.auth_provider_id = q.payload ->> 'authProviderId'
        WHERE q.id = ANY (p_jobs) AND q.status = 'running'
        ORDER BY q.id
    LOOP
        IF j.auth_provider_id IS NULL THEN
            PERFORM automapost.end_job(j.job, 'cancelled', 'account-gone', 'the account is gone');
            CONTINUE;
        END IF;
        id := j.job;
        mode := 'run';
        input := jsonb_build_object('account', jsonb_build_object(
            'id', j.auth_provider_id, 'provider', j.provider, 'remoteId', j.remote_id,
            'serviceUrl', j.service_url, 'accessToken', j.access_token,
            'refreshToken', j.refresh_token, 'expiresAt', j.expires_at, 'tokenVersion', j.version));
        RETURN NEXT;
    END LOOP;
END
$$;

-- The account whose tokens the job had loaded, locked; null version when they changed since.
CREATE OR REPLACE FUNCTION automapost.lock_account(p_auth_provider_id text, p_version text)
RETURNS TABLE (provider text, user_id text, unchanged boolean)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO automapost.account_state (auth_provider_id, provider, user_id)
    SELECT a.auth_provider_id, a.provider, a.user_id
    FROM automapost.app_accounts_by_id(ARRAY[p_auth_provider_id]) a
    ON CONFLICT DO NOTHING;
    PERFORM FROM automapost.account_state s WHERE s.auth_provider_id = p_auth_provider_id FOR UPDATE;
    RETURN QUERY
        SELECT a.provider, a.user_id,
            automapost.token_version(a.access_token, a.refresh_token) IS NOT DISTINCT FROM p_version
        FROM automapost.app_accounts_by_id(ARRAY[p_auth_provider_id]) a;
END
$$;

CREATE OR REPLACE FUNCTION automapost.store_tokens(item automapost.settle_item, job automapost.job_queue)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account text := job.payload ->> 'authProviderId';
    a record;
BEGIN
    SELECT * INTO a FROM automapost.lock_account(account, item.token_version);
    IF a.unchanged THEN
        PERFORM automapost.app_store_tokens(account, item.tokens ->> 'accessToken',
            item.tokens ->> 'refreshToken', (item.tokens ->> 'expiresAt')::timestamptz);
    END IF;
    UPDATE automapost.account_state s
    SET token_version = NULL, refresh_failed_at = NULL, code = NULL, detail = NULL,
        refreshed_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE s.auth_provider_id = account;
    PERFORM automapost.wake_waiting(a.provider || ':' || account);
END
$$;

-- Refused for good, for the tokens that were loaded: if they changed since, nobody is disconnected.
CREATE OR REPLACE FUNCTION automapost.refresh_refused(item automapost.settle_item, job automapost.job_queue)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account text := job.payload ->> 'authProviderId';
    a record;
BEGIN
    SELECT * INTO a FROM automapost.lock_account(account, item.token_version);
    IF a.unchanged THEN
        PERFORM automapost.account_refused(account, a.provider, a.user_id, item.token_version,
                                           item.code, item.message);
    ELSE
        PERFORM automapost.wake_waiting(a.provider || ':' || account);
    END IF;
END
$$;
