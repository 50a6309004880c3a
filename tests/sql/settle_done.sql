-- SPDX-License-Identifier: MIT
-- settle_done(): quick jobs that are done, with what they said; and which jobs it leaves to
-- settle_jobs().
BEGIN;
SELECT plan(24);
SELECT t.worker('w1'), t.worker('w2');

-- Settles claimed jobs, the first with a result; each says its place. The places of those that need a
-- closer look; NULL for none.
CREATE FUNCTION pg_temp.done(jobs text[], worker text DEFAULT 'w1', lease_off bigint DEFAULT 0,
                             lines boolean DEFAULT true)
RETURNS text LANGUAGE sql AS $$
    WITH j AS (
        SELECT c.*, o.place, '2026-11-26 10:00:00Z'::timestamptz + o.place * interval '1 us' AS at
        FROM unnest(jobs) WITH ORDINALITY o (id, place) JOIN t.claims c ON c.id = o.id
    ), all_of AS (
        SELECT array_agg(j.id::uuid ORDER BY place) AS ids, array_agg(j.lease + lease_off ORDER BY place) AS leases,
            array_agg(j.execution_id ORDER BY place) AS executions, array_agg(at ORDER BY place) AS started,
            array_agg(10 + place ORDER BY place) AS durations,
            array_agg(CASE place WHEN 1 THEN '{"a": "say \"x\""}' END ORDER BY place) AS results,
            array_agg(automapost.line_id(j.execution_id, 3::smallint) ORDER BY place DESC) AS line_ids,
            array_agg(j.execution_id ORDER BY place DESC) AS line_of,
            array_agg('job ' || place ORDER BY place DESC) AS said, array_agg(at ORDER BY place DESC) AS times
        FROM j
    )
    SELECT string_agg(array_position(a.leases, s.lease)::text, ' ' ORDER BY s.lease)
    FROM all_of a, LATERAL automapost.settle_done(done.worker, a.ids, a.leases, a.executions, a.started,
        a.durations, a.results,
        CASE WHEN lines THEN a.line_ids ELSE '{}' END,
        CASE WHEN lines THEN a.line_of ELSE '{}' END,
        CASE WHEN lines THEN array_fill('warn'::text, ARRAY[cardinality(a.said)]) ELSE '{}' END,
        CASE WHEN lines THEN a.said ELSE '{}' END,
        CASE WHEN lines THEN a.times ELSE '{}' END) s
$$;
CREATE FUNCTION pg_temp.jobs(n bigint) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM automapost.enqueue('plain') FROM generate_series(1, n);
    RETURN t.claim(n => n);
END
$$;
CREATE FUNCTION pg_temp.kept(jobs text[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', q.status, x.status, l.message), ', ' ORDER BY o.place)
    FROM unnest(jobs) WITH ORDINALITY o (id, place)
    JOIN automapost.job_queue q ON q.id::text = o.id
    LEFT JOIN automapost.job_executions x ON x.job_queue_id = q.id
    LEFT JOIN automapost.job_logs l ON l.job_execution_id = x.id
$$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_temp TO PUBLIC;

-- Recorded
CREATE TEMP TABLE a AS SELECT pg_temp.jobs(3) AS jobs;
SELECT is(pg_temp.done(jobs), NULL, 'nothing needs a closer look') FROM a;
SELECT is(pg_temp.kept(jobs),
    'completed completed job 1, completed completed job 2, completed completed job 3',
    'each has an attempt, and its own line') FROM a;
SELECT is((q.result, q.lease, q.locked_by, q.locked_at, q.claim_batch, q.execution_id, q.attempts)::text,
    ('{"a": "say \"x\""}'::jsonb, NULL, NULL, NULL, NULL, NULL, 1)::text,
    'the first has its result and nobody''s lock') FROM a, t.job(a.jobs[1]) q;
SELECT is(q.result, NULL, 'the second has none') FROM a, t.job(a.jobs[2]) q;
SELECT ok(t.is_in(q.finished_at, '0 s') AND t.is_in(q.updated_at, '0 s'), 'finished now') FROM a, t.job(a.jobs[2]) q;
SELECT is((x.id, x.started_at, x.finished_at, x.duration_ms, x.retry_count, x.worker_id, x.metadata)::text,
    (c.execution_id, '2026-11-26 10:00:00.000002Z'::timestamptz, '2026-11-26 10:00:00.012002Z'::timestamptz,
     12, 0, 'w1', '{"outcome": "done"}'::jsonb)::text,
    'the attempt to the microsecond')
FROM a, automapost.job_executions x, t.claims c WHERE c.id = a.jobs[2] AND x.job_queue_id::text = c.id;
SELECT is((l.id, l.level, l.data, l."timestamp")::text,
    (automapost.line_id(c.execution_id, 3::smallint), 'warn', NULL, '2026-11-26 10:00:00.000002Z'::timestamptz)::text,
    'the line too, under its id')
FROM a, automapost.job_logs l, t.claims c WHERE c.id = a.jobs[2] AND l.job_execution_id = c.execution_id;
SELECT is(pg_temp.done(jobs), '1 2 3', 'asked again nothing is done, and all of it answered') FROM a;
SELECT is(pg_temp.kept(jobs),
    'completed completed job 1, completed completed job 2, completed completed job 3',
    'and it is there once') FROM a;
SELECT is(t.settle(jobs[1], 'done'), 'again completed', 'settle_jobs knows why') FROM a;

-- Not its own, beside its own
CREATE TEMP TABLE b AS SELECT pg_temp.jobs(3) AS jobs;
SELECT is(pg_temp.done(jobs, 'w2'), '1 2 3', 'another worker''s are not touched') FROM b;
SELECT is(pg_temp.done(jobs, lease_off => 1000000), '1 2 3', 'nor those of another lease') FROM b;
SELECT is(pg_temp.kept(jobs), 'running, running, running', 'nothing of them is stored') FROM b;
SELECT automapost.release_worker('w2', 'test');
SELECT t.worker('w2');
SELECT t.change('UPDATE automapost.job_queue SET locked_by = ''w2'' WHERE id::text = '
    || quote_literal(jobs[2])) FROM b;
SELECT is(pg_temp.done(jobs), '2', 'one of them is another''s') FROM b;
SELECT is(pg_temp.kept(jobs), 'completed completed job 1, running, completed completed job 3',
    'the others are recorded, its line is not') FROM b;

-- What needs a closer look
SELECT t.publishing(1);
CREATE TEMP TABLE c AS SELECT t.claim('w1', '{social-media-post}') AS jobs;
SELECT is(pg_temp.done(jobs), '1', 'what is a delivery') FROM c;
SELECT is((t.job(jobs[1])).status::text, 'running', 'is as it was') FROM c;

-- What touches the world, but is none
SELECT automapost.enqueue('noop-send');
CREATE TEMP TABLE f AS SELECT t.claim('w1', '{noop-send}') AS jobs;
SELECT is(t.begin(jobs[1]), 'go', 'begun') FROM f;
SELECT is(pg_temp.done(jobs), NULL, 'and done') FROM f;
SELECT is((q.status, q.begun, q.attempts, x.retry_count)::text, '(completed,f,1,0)', 'at its first attempt')
FROM f, t.job(f.jobs[1]) q JOIN automapost.job_executions x ON x.job_queue_id = q.id;

-- Stored in part before
CREATE TEMP TABLE d AS SELECT pg_temp.jobs(2) AS jobs;
SELECT stored FROM d, t.claims c, automapost.log_jobs('w1', jsonb_build_array(jsonb_build_object('id', c.id,
    'lease', c.lease, 'execution_id', c.execution_id, 'logs',
    '[{"n": 0, "level": "info", "message": "before"}]'::jsonb))) WHERE c.id = d.jobs[2];
SELECT throws_ok(format('SELECT pg_temp.done(%L)', jobs), '23505', NULL,
    'a run that was shown while it took long is an error') FROM d;
SELECT is(pg_temp.kept(jobs), 'running, running running before', 'and then nothing is recorded') FROM d;

-- Nothing said
CREATE TEMP TABLE e AS SELECT pg_temp.jobs(2) AS jobs;
SELECT is(pg_temp.done(jobs, lines => false), NULL, 'jobs that said nothing') FROM e;
SELECT is(pg_temp.kept(jobs), 'completed completed, completed completed', 'are recorded too') FROM e;

SELECT * FROM finish();
ROLLBACK;
