-- What every way into the queue checks, with errors that name the argument (22023). Returns the
-- key: publishing and refreshing jobs have one whether the caller gave it or not.
CREATE OR REPLACE FUNCTION automapost.check_job(
    p_job_type text, p_payload jsonb, p_priority bigint, p_scheduled_for timestamptz,
    p_max_attempts bigint, p_job_key text)
RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    post text := p_payload ->> 'postId';
    account text := p_payload ->> 'authProviderId';
    part text := COALESCE(p_payload ->> 'kind', 'post');
    own_key text;
BEGIN
    IF p_job_type IS NULL OR p_job_type = '' THEN
        RAISE EXCEPTION 'job_type is missing' USING ERRCODE = '22023';
    END IF;
    IF NOT EXISTS (SELECT FROM automapost.job_definitions d
                   WHERE d.name = p_job_type AND d.kind = 'type') THEN
        RAISE EXCEPTION 'job_type "%" is not defined', p_job_type USING ERRCODE = '22023',
            HINT = 'Defined types: ' || (SELECT string_agg(d.name, ', ' ORDER BY d.name)
                FROM automapost.job_definitions d WHERE d.kind = 'type')
                || '. Another one needs a row of kind "type" in automapost.job_definitions first.';
    END IF;
    IF p_payload IS NOT NULL AND jsonb_typeof(p_payload) <> 'object' THEN
        RAISE EXCEPTION 'payload must be a JSON object, not %', jsonb_typeof(p_payload)
            USING ERRCODE = '22023';
    END IF;
    IF pg_column_size(p_payload) > 65536 THEN
        RAISE EXCEPTION 'payload has % bytes, the limit is 65536', pg_column_size(p_payload)
            USING ERRCODE = '22023', HINT = 'Store large things in a table and pass their id.';
    END IF;
    IF p_priority IS NULL OR p_priority < 0 OR p_priority > 1000 THEN
        RAISE EXCEPTION 'priority must be from 0 to 1000, not %', COALESCE(p_priority::text, 'null')
            USING ERRCODE = '22023';
    END IF;
    IF p_scheduled_for IS NULL OR NOT isfinite(p_scheduled_for) THEN
        RAISE EXCEPTION 'scheduled_for must be a time, not %',
            COALESCE(p_scheduled_for::text, 'null') USING ERRCODE = '22023';
    END IF;
    IF p_scheduled_for < now() - interval '7 days' THEN
        RAISE EXCEPTION 'scheduled_for is more than 7 days past: %', p_scheduled_for
            USING ERRCODE = '22023';
    END IF;
    IF p_max_attempts IS NOT NULL AND p_max_attempts NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'max_attempts must be from 1 to 1000, not %', p_max_attempts
            USING ERRCODE = '22023';
    END IF;
    IF p_job_key = '' OR length(p_job_key) > 500 THEN
        RAISE EXCEPTION 'job_key must have from 1 to 500 characters' USING ERRCODE = '22023';
    END IF;

    IF p_job_type = 'social-media-post' THEN
        IF post IS NULL OR post = '' THEN
            RAISE EXCEPTION 'payload of social-media-post needs "postId"' USING ERRCODE = '22023',
                HINT = 'Either {"postId"} or {"postId", "authProviderId", "kind"}.';
        END IF;
        IF part NOT IN ('post', 'comment') THEN
            RAISE EXCEPTION 'payload "kind" must be post or comment, not "%"', part
                USING ERRCODE = '22023';
        END IF;
        IF account IS NULL AND part = 'comment' THEN
            RAISE EXCEPTION 'payload of kind comment needs "authProviderId"'
                USING ERRCODE = '22023';
        END IF;
        own_key := CASE WHEN account IS NULL THEN post
                   ELSE post || ':' || account || ':' || part END;
    ELSIF p_job_type = 'refresh-token' THEN
        IF account IS NULL OR account = '' THEN
            RAISE EXCEPTION 'payload of refresh-token needs "authProviderId"'
                USING ERRCODE = '22023';
        END IF;
        own_key := account;
    END IF;
    IF own_key IS NOT NULL AND p_job_key IS NOT NULL AND p_job_key <> own_key THEN
        RAISE EXCEPTION 'job_key of % is "%", it cannot be "%"', p_job_type, own_key, p_job_key
            USING ERRCODE = '22023', HINT = 'Leave job_key out: the queue gives it.';
    END IF;
    RETURN COALESCE(own_key, p_job_key);
END
$$;

-- A publishing job's limit_key is its account, and the queue gives it.
CREATE OR REPLACE FUNCTION automapost.check_limit_key(p_job_type text, p_limit_key text)
RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_limit_key = '' OR length(p_limit_key) > 500 THEN
        RAISE EXCEPTION 'limit_key must have from 1 to 500 characters' USING ERRCODE = '22023';
    ELSIF p_limit_key IS NOT NULL AND p_job_type IN ('social-media-post', 'refresh-token') THEN
        RAISE EXCEPTION 'limit_key of % cannot be given', p_job_type USING ERRCODE = '22023',
            HINT = 'Leave limit_key out: the queue gives it.';
    END IF;
END
$$;

-- An id for a row: in the order of time, so that indexes grow at their end (RFC 9562, version 7:
-- milliseconds since 1970, then random bits).
CREATE OR REPLACE FUNCTION automapost.new_id()
RETURNS uuid
LANGUAGE sql VOLATILE
RETURN pg_catalog.encode(pg_catalog.set_bit(pg_catalog.set_bit(pg_catalog.overlay(
    pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
    pg_catalog.substr(pg_catalog.int8send(
        (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::bigint), 3),
    1, 6), 52, 1), 53, 1), 'hex')::uuid;

-- Ids for the rows of one statement, of which a new one each would cost more: the n-th after p_first
-- (from 0; they repeat after 2^24), which is a random one like any other. Their last two bytes are the
-- same, for an execution's lines are told apart by these (line_id).
CREATE OR REPLACE FUNCTION automapost.id_after(p_first uuid, n bigint)
RETURNS uuid
LANGUAGE sql IMMUTABLE
RETURN pg_catalog.encode(pg_catalog.overlay(pg_catalog.uuid_send(p_first),
    pg_catalog.substr(pg_catalog.int8send(n), 6), 12, 3), 'hex')::uuid;
