-- Rows of one JSON object: who works on a queue of the application's own, public.job_queue, and how
-- much waits there. The table is named in a text, for elsewhere it is not there.
SELECT pg_catalog.to_jsonb(t) FROM xmltable('//row' PASSING
    pg_catalog.query_to_xml($q$
        SELECT q.locked_by, max(q.locked_at)::timestamptz AS locked_at, count(*) AS jobs,
            count(*) FILTER (WHERE q.locked_at > now() - interval '10 minutes') AS fresh
        FROM public.job_queue q
        WHERE q.status::text IN ('pending', 'running')
        GROUP BY q.locked_by ORDER BY q.locked_by
    $q$, false, false, '')
    COLUMNS locked_by text, locked_at text, jobs bigint, fresh bigint) t
