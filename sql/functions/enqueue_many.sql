-- enqueue() for an array of objects with its argument names as members:
--     [{"job_type": "…", "payload": {…}, "scheduled_for": "…", …}, …]
-- All or nothing; the rows come back in the order of the array. A refusal says at which place.
CREATE OR REPLACE FUNCTION automapost.enqueue_many(jobs jsonb)
RETURNS TABLE (n bigint, id text, was text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
    IF enqueue_many.jobs IS NULL OR jsonb_typeof(enqueue_many.jobs) <> 'array' THEN
        RAISE EXCEPTION 'jobs must be a JSON array of objects' USING ERRCODE = '22023';
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM automapost.enqueue_plain(enqueue_many.jobs);
        RETURN;
    EXCEPTION WHEN data_exception OR unique_violation THEN
        NULL; -- whoever looks at each of them says what is wrong, if anything is
    END;
    RETURN QUERY SELECT * FROM automapost.enqueue_each(enqueue_many.jobs);
END
$$;

-- All of them in one statement, where nothing needs a closer look: plain types, no key that lives.
-- 22023 or 23505 otherwise.
CREATE OR REPLACE FUNCTION automapost.enqueue_plain(p_jobs jsonb)
RETURNS TABLE (n bigint, id text, was text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    first_id uuid := automapost.new_id();
    plain boolean;
    numbers bigint[];
    ids uuid[];
    types text[];
    payloads jsonb[];
    priorities integer[];
    times timestamptz[];
    tries bigint[];
    job_keys text[];
    limit_keys text[];
BEGIN
    SELECT bool_and(COALESCE(
            d.kind = 'type' AND j.job_type NOT IN ('social-media-post', 'refresh-token')
            -- nothing else is in it
            AND e.value - '{job_type,payload,priority,scheduled_for,max_attempts,job_key,on_conflict,
                limit_key}'::text[] = '{}'
            AND COALESCE(jsonb_typeof(j.payload) = 'object' AND pg_column_size(j.payload) <= 65536,
                         NOT e.value ? 'payload')
            AND COALESCE(j.priority BETWEEN 0 AND 1000, NOT e.value ? 'priority')
            AND COALESCE(isfinite(j.scheduled_for) AND j.scheduled_for >= now() - interval '7 days',
                         NOT e.value ? 'scheduled_for')
            AND COALESCE(j.max_attempts BETWEEN 1 AND 1000, true)
            AND COALESCE(length(j.job_key) BETWEEN 1 AND 500, true)
            AND COALESCE(length(j.limit_key) BETWEEN 1 AND 500, true)
            AND COALESCE(j.on_conflict IN ('reject', 'keep', 'replace', 'reschedule'),
                         NOT e.value ? 'on_conflict')
            AND (j.job_key IS NULL OR NOT EXISTS (
                SELECT FROM automapost.job_queue q
                WHERE q.job_type = j.job_type AND q.job_key = j.job_key AND q.status = 'running')), false)),
        array_agg(e.ordinality), array_agg(automapost.id_after(first_id, e.ordinality)), array_agg(j.job_type),
        array_agg(COALESCE(j.payload, '{}')), array_agg(COALESCE(j.priority, 5)),
        array_agg(COALESCE(j.scheduled_for, now())),
        array_agg(COALESCE(j.max_attempts, d.max_retries + 1)), array_agg(j.job_key),
        array_agg(j.limit_key)
    INTO plain, numbers, ids, types, payloads, priorities, times, tries, job_keys, limit_keys
    FROM jsonb_array_elements(p_jobs) WITH ORDINALITY e
    CROSS JOIN LATERAL jsonb_to_record(
            CASE jsonb_typeof(e.value) WHEN 'object' THEN e.value ELSE '{"job_type": ""}' END)
        j (job_type text, payload jsonb, priority bigint, scheduled_for timestamptz,
           max_attempts bigint, job_key text, on_conflict text, limit_key text)
    LEFT JOIN automapost.job_definitions d ON d.name = j.job_type;
    IF plain IS NOT TRUE AND p_jobs <> '[]' THEN
        RAISE EXCEPTION 'they need a closer look' USING ERRCODE = '22023';
    END IF;
    INSERT INTO automapost.job_queue
        (id, job_type, payload, priority, scheduled_for, max_attempts, job_key, limit_key)
    SELECT * FROM unnest(ids, types, payloads, priorities, times, tries, job_keys, limit_keys);
    RETURN QUERY SELECT u.n, u.id::text, 'inserted'::text FROM unnest(numbers, ids) u (n, id) ORDER BY u.n;
END
$$;

-- One after the other, as enqueue() takes them.
CREATE OR REPLACE FUNCTION automapost.enqueue_each(p_jobs jsonb)
RETURNS TABLE (n bigint, id text, was text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    unknown text;
    j record;
    hint text;
BEGIN
    SELECT format('jobs[%s] has an unknown member "%s"', e.ordinality - 1, k.key) INTO unknown
    FROM jsonb_array_elements(p_jobs) WITH ORDINALITY e,
        LATERAL jsonb_object_keys(CASE jsonb_typeof(e.value) WHEN 'object' THEN e.value
                                  ELSE '{"(not an object)": 0}' END) k (key)
    WHERE k.key NOT IN ('job_type', 'payload', 'priority', 'scheduled_for', 'max_attempts',
                        'job_key', 'on_conflict', 'limit_key')
    LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION '%', unknown USING ERRCODE = '22023';
    END IF;
    BEGIN
        FOR j IN
            SELECT e.value AS job, e.ordinality AS n
            FROM jsonb_array_elements(p_jobs) WITH ORDINALITY e ORDER BY e.ordinality
        LOOP
            RETURN QUERY
                SELECT j.n, q.id, q.was
                FROM automapost.enqueue(
                    j.job ->> 'job_type', COALESCE(j.job -> 'payload', '{}'),
                    COALESCE((j.job ->> 'priority')::bigint, 5),
                    COALESCE((j.job ->> 'scheduled_for')::timestamptz, now()),
                    (j.job ->> 'max_attempts')::bigint, j.job ->> 'job_key',
                    COALESCE(j.job ->> 'on_conflict', 'reject'), j.job ->> 'limit_key') q;
        END LOOP;
    EXCEPTION WHEN data_exception OR unique_violation OR object_not_in_prerequisite_state THEN
        GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
        RAISE EXCEPTION 'jobs[%]: %', j.n - 1, SQLERRM
            USING ERRCODE = SQLSTATE, HINT = COALESCE(NULLIF(hint, ''), 'No job was enqueued.');
    END;
END
$$;
