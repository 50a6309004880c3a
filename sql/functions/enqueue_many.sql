-- enqueue() for an array of objects with its argument names as members:
--     [{"job_type": "…", "payload": {…}, "scheduled_for": "…", …}, …]
-- All or nothing; the rows come back in the order of the array. A refusal says at which place.
CREATE OR REPLACE FUNCTION automapost.enqueue_many(jobs jsonb)
RETURNS TABLE (n bigint, id text, was text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    unknown text;
    j record;
    hint text;
BEGIN
    IF enqueue_many.jobs IS NULL OR jsonb_typeof(enqueue_many.jobs) <> 'array' THEN
        RAISE EXCEPTION 'jobs must be a JSON array of objects' USING ERRCODE = '22023';
    END IF;
    SELECT format('jobs[%s] has an unknown member "%s"', e.ordinality - 1, k.key) INTO unknown
    FROM jsonb_array_elements(enqueue_many.jobs) WITH ORDINALITY e,
        LATERAL jsonb_object_keys(CASE jsonb_typeof(e.value) WHEN 'object' THEN e.value
                                  ELSE '{"(not an object)": 0}' END) k (key)
    WHERE k.key NOT IN ('job_type', 'payload', 'priority', 'scheduled_for', 'max_attempts',
                        'job_key', 'on_conflict')
    LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION '%', unknown USING ERRCODE = '22023';
    END IF;
    BEGIN
        FOR j IN
            SELECT e.value AS job, e.ordinality AS n
            FROM jsonb_array_elements(enqueue_many.jobs) WITH ORDINALITY e ORDER BY e.ordinality
        LOOP
            RETURN QUERY
                SELECT j.n, q.id, q.was
                FROM automapost.enqueue(
                    j.job ->> 'job_type', COALESCE(j.job -> 'payload', '{}'),
                    COALESCE((j.job ->> 'priority')::bigint, 5),
                    COALESCE((j.job ->> 'scheduled_for')::timestamptz, now()),
                    (j.job ->> 'max_attempts')::bigint, j.job ->> 'job_key',
                    COALESCE(j.job ->> 'on_conflict', 'reject')) q;
        END LOOP;
    EXCEPTION WHEN data_exception OR unique_violation OR object_not_in_prerequisite_state THEN
        GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
        RAISE EXCEPTION 'jobs[%]: %', j.n - 1, SQLERRM
            USING ERRCODE = SQLSTATE, HINT = COALESCE(NULLIF(hint, ''), 'No job was enqueued.');
    END;
END
$$;
