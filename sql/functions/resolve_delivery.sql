-- A person has looked at the platform and says what became of a held delivery: 'sent' (url: where
-- it is, may be null) or 'not-sent', which takes it up again as if it were pending. id: the
-- delivery's, or its job's.
CREATE OR REPLACE FUNCTION automapost.resolve_delivery(id text, outcome text, url text DEFAULT NULL)
RETURNS TABLE (delivery_id text, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    d automapost.post_deliveries;
BEGIN
    IF resolve_delivery.outcome IS NULL OR resolve_delivery.outcome NOT IN ('sent', 'not-sent') THEN
        RAISE EXCEPTION 'outcome must be sent or not-sent, not "%"',
            COALESCE(resolve_delivery.outcome, 'null') USING ERRCODE = '22023';
    END IF;
    SELECT * INTO d FROM automapost.post_deliveries p
    WHERE p.id::text = lower(resolve_delivery.id) OR p.job_id::text = lower(resolve_delivery.id)
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        d.id := (SELECT p.id FROM automapost.post_deliveries p
                 WHERE p.job_id = (automapost.find_job(resolve_delivery.id)).id);
        SELECT * INTO d FROM automapost.post_deliveries p WHERE p.id = d.id FOR NO KEY UPDATE;
    END IF;
    IF d.state IS DISTINCT FROM 'held' THEN
        RAISE EXCEPTION 'delivery % is %, not held', COALESCE(d.id::text, resolve_delivery.id),
            COALESCE(d.state, 'unknown') USING ERRCODE = '55000',
            HINT = '"automapost held" lists those that wait for a person.';
    END IF;

    PERFORM automapost.resolve_each(ARRAY[d.id], resolve_delivery.outcome, resolve_delivery.url);
    RETURN QUERY SELECT p.id::text, p.state FROM automapost.post_deliveries p WHERE p.id = d.id;
END
$$;

-- The same for all that are held because the database was put back in time, or for those that were
-- due until a time, or on one platform: a person has looked from when on nothing is there.
CREATE OR REPLACE FUNCTION automapost.resolve_restored(
    outcome text, until timestamptz DEFAULT NULL, provider text DEFAULT NULL)
RETURNS TABLE (deliveries bigint, posts bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
BEGIN
    IF resolve_restored.outcome IS NULL OR resolve_restored.outcome NOT IN ('sent', 'not-sent') THEN
        RAISE EXCEPTION 'outcome must be sent or not-sent, not "%"',
            COALESCE(resolve_restored.outcome, 'null') USING ERRCODE = '22023';
    END IF;
    WITH doubtful AS (
        SELECT d.id, d.post_id FROM automapost.post_deliveries d
        WHERE d.in_doubt AND d.state = 'held'
            AND d.due_at <= COALESCE(resolve_restored.until, 'infinity')
            AND d.provider = COALESCE(resolve_restored.provider, d.provider)
        ORDER BY d.id FOR NO KEY UPDATE
    )
    SELECT COALESCE(array_agg(d.id), '{}'), count(*), count(DISTINCT d.post_id)
    INTO ids, deliveries, posts FROM doubtful d;
    PERFORM automapost.resolve_each(ids, resolve_restored.outcome, NULL);
    RETURN NEXT;
END
$$;

-- Held deliveries, locked by the caller.
CREATE OR REPLACE FUNCTION automapost.resolve_each(p_deliveries uuid[], p_outcome text, p_url text)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    posts text[] := ARRAY(SELECT DISTINCT p.post_id FROM automapost.post_deliveries p
                          WHERE p.id = ANY (p_deliveries));
BEGIN
    IF p_outcome = 'sent' THEN
        UPDATE automapost.post_deliveries p
        SET state = 'sent', url = p_url,
            sent_at = COALESCE(p.begun_at, CASE WHEN p.in_doubt THEN p.due_at END, clock_timestamp()),
            code = NULL, detail = 'confirmed by ' || session_user, in_doubt = false,
            finished_at = clock_timestamp(), updated_at = clock_timestamp()
        WHERE p.id = ANY (p_deliveries);
        PERFORM automapost.apply_each(posts);
    ELSE
        UPDATE automapost.post_deliveries p
        SET state = 'pending', code = NULL, detail = 'not sent, says ' || session_user, job_id = NULL,
            in_doubt = false, retry_at = NULL, finished_at = NULL, absent_at = NULL,
            updated_at = clock_timestamp()
        WHERE p.id = ANY (p_deliveries);
        PERFORM automapost.ensure_deliveries(posts);
    END IF;
END
$$;

-- Forgets what is stored about a member here: deliveries, account states, jobs that name them and
-- those jobs' history. The application's own rows are its own business. Running jobs are cancelled
-- first; call again when they have ended. Returns the number of rows forgotten.
CREATE OR REPLACE FUNCTION automapost.forget_user(user_id text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    accounts text[];
    posts text[];
    n bigint;
    total bigint := 0;
BEGIN
    SELECT array_agg(DISTINCT d.auth_provider_id), array_agg(DISTINCT d.post_id) INTO accounts, posts
    FROM automapost.post_deliveries d WHERE d.user_id = forget_user.user_id;
    accounts := accounts || ARRAY(SELECT s.auth_provider_id FROM automapost.account_state s
                                  WHERE s.user_id = forget_user.user_id);
    UPDATE automapost.job_queue q
    SET cancel_requested_at = clock_timestamp(), cancel_requested_by = session_user
    WHERE q.status = 'running' AND (q.payload ->> 'postId' = ANY (posts)
        OR q.payload ->> 'authProviderId' = ANY (accounts)) AND q.cancel_requested_at IS NULL;
    total := automapost.forget_jobs(ARRAY(
        SELECT q.id FROM automapost.job_queue q
        WHERE q.status <> 'running' AND (q.payload ->> 'postId' = ANY (posts)
            OR q.payload ->> 'authProviderId' = ANY (accounts)
            OR q.payload ->> 'userId' = forget_user.user_id)));
    DELETE FROM automapost.post_deliveries d WHERE d.user_id = forget_user.user_id
        AND NOT EXISTS (SELECT FROM automapost.job_queue q WHERE q.id = d.job_id AND q.status = 'running');
    GET DIAGNOSTICS n = ROW_COUNT;
    total := total + n;
    DELETE FROM automapost.account_state s WHERE s.user_id = forget_user.user_id;
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM automapost.limit_keys k WHERE split_part(k.key, ':', 2) = ANY (accounts);
    DELETE FROM automapost.rate_limits l WHERE split_part(l.key, ':', 2) = ANY (accounts);
    RETURN total + n;
END
$$;
