-- A job that found its account's token expired or refused. The account's row is locked, as the
-- refresh's own settle does, so that neither misses the other.
CREATE OR REPLACE FUNCTION automapost.wait_for_token(
    item automapost.settle_item, job automapost.job_queue, d automapost.post_deliveries, cost integer)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s automapost.account_state;
    current text;
    expires timestamptz;
    wait interval := (SELECT e.token_wait FROM automapost.engine e);
    due timestamptz := clock_timestamp();
BEGIN
    INSERT INTO automapost.account_state (auth_provider_id, provider, user_id)
    VALUES (d.auth_provider_id, d.provider, d.user_id) ON CONFLICT DO NOTHING;
    SELECT * INTO s FROM automapost.account_state a
    WHERE a.auth_provider_id = d.auth_provider_id FOR UPDATE;
    SELECT automapost.token_version(a.access_token, a.refresh_token), a.expires_at
    INTO current, expires
    FROM automapost.app_accounts_by_id(ARRAY[d.auth_provider_id]) a;

    -- A token that has just been refreshed, has not expired, and is refused all the same: another
    -- refresh would only bring the next one. The member must reconnect.
    IF current IS NOT DISTINCT FROM item.token_version AND s.refresh_failed_at IS NULL
        AND s.refreshed_at > clock_timestamp() - wait
        AND COALESCE(expires, 'infinity') > clock_timestamp() + interval '1 minute' THEN
        PERFORM automapost.account_refused(d.auth_provider_id, d.provider, d.user_id,
                                           item.token_version, item.code, item.message);
        SELECT * INTO s FROM automapost.account_state a WHERE a.auth_provider_id = d.auth_provider_id;
    END IF;

    IF current IS DISTINCT FROM item.token_version THEN
        NULL; -- somebody refreshed it already: due at once
    ELSIF s.refresh_failed_at IS NOT NULL AND s.token_version = current THEN
        IF d.state = 'unconfirmed' THEN
            PERFORM automapost.hold_delivery(job.id, d.id,
                'it may be published, and the account must be reconnected before anybody can look');
        ELSE
            PERFORM automapost.fail_delivery(job.id, d.id, COALESCE(s.code, 'reconnect-account'),
                                             s.detail, NULL);
        END IF;
        RETURN;
    ELSE
        PERFORM automapost.enqueue('refresh-token',
            jsonb_build_object('authProviderId', d.auth_provider_id), 9, on_conflict => 'keep');
        due := due + wait;
    END IF;
    UPDATE automapost.post_deliveries p SET retry_at = due WHERE p.id = d.id AND p.state = 'pending';
    PERFORM automapost.put_back_job(job.id, due, item.class, item.code, item.message,
                                    job.attempts - cost, 'token');
END
$$;

-- A refused token without a way to refresh it: the member must reconnect. Every job that waits for
-- the account learns it at once.
CREATE OR REPLACE FUNCTION automapost.account_refused(
    p_auth_provider_id text, p_provider text, p_user_id text, p_token_version text, p_code text,
    p_detail text)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO automapost.account_state AS s
        (auth_provider_id, provider, user_id, token_version, refresh_failed_at, code, detail)
    VALUES (p_auth_provider_id, p_provider, p_user_id, p_token_version, clock_timestamp(), p_code, p_detail)
    ON CONFLICT (auth_provider_id) DO UPDATE
        SET token_version = excluded.token_version, refresh_failed_at = excluded.refresh_failed_at,
            code = excluded.code, detail = excluded.detail, updated_at = clock_timestamp();
    PERFORM automapost.wake_waiting(p_provider || ':' || p_auth_provider_id);
END
$$;

-- Jobs that wait for an account's token are due at once.
CREATE OR REPLACE FUNCTION automapost.wake_waiting(p_limit_key text)
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    UPDATE automapost.job_queue q SET scheduled_for = clock_timestamp(), waits_for = NULL
    WHERE q.status = 'pending' AND q.waits_for IS NOT NULL AND q.limit_key = p_limit_key
        AND q.scheduled_for > clock_timestamp()
$$;
