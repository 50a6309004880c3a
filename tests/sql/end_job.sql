-- SPDX-License-Identifier: MIT
-- The ways in which a running job stops running: end_job, put_back_job, backoff.
BEGIN;
SELECT plan(21);
SELECT t.worker('w1');

CREATE FUNCTION pg_temp.running(key text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.later();
    PERFORM automapost.enqueue('plain', job_key => key);
    RETURN (t.claim('w1', '{plain}'))[1];
END $$;
CREATE FUNCTION pg_temp.put_back(job text, due timestamptz,
    attempts bigint DEFAULT NULL) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN automapost.put_back_job(job::uuid, due, 'transient', 'c', 'm', attempts, 'token');
END $$;
ALTER FUNCTION pg_temp.put_back(text, timestamptz, bigint) OWNER TO automapost_jobs_owner;

-- end_job
CREATE TEMP TABLE a AS SELECT pg_temp.running() AS id;
CREATE TEMP TABLE was AS SELECT (t.job(id)).execution_id FROM a;
SELECT t.change(format('SELECT automapost.end_job(%L, ''failed'', ''code'', ''why'', ''{"r": 1}'',
    ''permanent'')', id)) FROM a;
SELECT is((q.status, q.error_class, q.error_code, q.error_message, q.result)::text, ('failed',
    'permanent', 'code', 'why', '{"r": 1}'::jsonb)::text, 'ended, and how') FROM a, t.job(id) q;
SELECT is((q.lease, q.claim_batch, q.locked_by, q.locked_at, q.execution_id, q.begun, q.waits_for,
    t.is_in(q.finished_at, '0 s'))::text, '(,,,,,f,,t)', 'nothing of the lock is left') FROM a,
    t.job(id) q;
SELECT is((x.status, x.error_code, x.worker_id, x.retry_count)::text, '(failed,code,w1,0)',
    'its attempt is a row under the execution''s id') FROM was JOIN automapost.job_executions x
    ON x.id = was.execution_id;
CREATE TEMP TABLE b AS SELECT pg_temp.running() AS id;
SELECT t.change(format('INSERT INTO automapost.job_executions (id, job_queue_id, status,
    duration_ms, error_message) VALUES (%L, %L, ''failed'', 7, ''said'')', q.execution_id, b.id))
    FROM b, t.job(id) q;
SELECT t.change(format('SELECT automapost.end_job(%L, ''cancelled'', ''c'', ''other'')', id))
    FROM b;
SELECT is((x.status, x.duration_ms, x.error_message)::text, '(failed,7,said)',
    'what a worker said of its attempt stays') FROM b JOIN automapost.job_executions x
    ON x.job_queue_id = b.id::uuid;
CREATE TEMP TABLE c AS SELECT pg_temp.running() AS id;
SELECT t.change(format('INSERT INTO automapost.job_executions (id, job_queue_id, status) VALUES (%L,
    %L, ''running'')', q.execution_id, c.id)) FROM c, t.job(id) q;
SELECT t.change(format('SELECT automapost.end_job(%L, ''completed'', NULL, NULL)', id)) FROM c;
SELECT is((x.status, x.finished_at IS NOT NULL)::text, '(completed,t)',
    'one that showed as running is completed') FROM c JOIN automapost.job_executions x
    ON x.job_queue_id = c.id::uuid;

-- put_back_job
CREATE TEMP TABLE d AS SELECT pg_temp.running('k') AS id;
SELECT is(pg_temp.put_back(id, '2030-01-01 00:00:00+00', 0), 'pending', 'put back') FROM d;
SELECT is((q.status, q.scheduled_for = '2030-01-01 00:00:00+00', q.attempts, q.waits_for,
    q.error_class, q.error_code, q.error_message)::text, '(pending,t,0,token,transient,c,m)',
    'due when, attempts, why') FROM d, t.job(id) q;
SELECT is((q.lease, q.claim_batch, q.locked_by, q.locked_at, q.execution_id, q.begun,
    q.finished_at)::text, '(,,,,,f,)', 'nothing of the lock is left') FROM d, t.job(id) q;
CREATE TEMP TABLE e AS SELECT pg_temp.running('e') AS id;
CREATE TEMP TABLE e_due AS SELECT (t.job(id)).scheduled_for FROM e;
SELECT is(pg_temp.put_back(id, NULL), 'pending', 'put back without a time') FROM e;
SELECT is(q.scheduled_for, e_due.scheduled_for, 'it keeps its place') FROM e_due, e, t.job(id) q;
SELECT is(q.attempts, 1, 'and its attempts') FROM e, t.job(id) q;
-- superseded
CREATE TEMP TABLE f AS SELECT pg_temp.running('f') AS id;
CREATE TEMP TABLE successor AS SELECT * FROM automapost.enqueue('plain', job_key => 'f',
    on_conflict => 'replace');
SELECT is(pg_temp.put_back(id, now()), 'cancelled', 'its key has a successor') FROM f;
SELECT is(q.error_message, 'superseded by ' || s.id, 'which it names') FROM f, t.job(f.id) q,
    successor s;
SELECT is((t.job(id)).status, 'pending', 'the successor stays') FROM successor;
SELECT t.later(), t.publishing(1);
SELECT t.claim('w1', '{social-media-post}');
CREATE TEMP TABLE first AS SELECT t.job_of(1) AS id;
SELECT is(t.attempt('automapost_jobs_app',
    format('INSERT INTO automapost.job_queue (job_type, payload) VALUES (''social-media-post'',
    %L)', (t.job(id)).payload)), 'ok', 'an ORM inserts the successor of a publishing job')
    FROM first;
SELECT t.begin(id) FROM first;
SELECT is(t.settle(id, 'unknown'), 'settled cancelled', 'whose end nobody saw') FROM first;
SELECT is((t.job(t.job_of(1))).status || ' ' || (t.delivery(1)).state, 'pending unconfirmed',
    'the successor takes the delivery over');
SELECT t.refuses(format('SELECT automapost.cancel(%L)', t.job_of(1)), '55000',
    'may be published already', 'so that cancelling it is refused');
-- cancelled
CREATE TEMP TABLE g AS SELECT pg_temp.running('g') AS id;
SELECT automapost.cancel(id) FROM g;
SELECT is(pg_temp.put_back(id, now()) || ': ' || (t.job(id)).error_message,
    'cancelled: cancelled by ' || session_user || '; last: m', 'somebody asked to cancel it')
    FROM g;

-- backoff
SELECT is((min(b) >= '0' AND max(b) <= least('30 min', interval '15 s' * 2 ^ n))::text || (max(b) >
    interval '15 s' * least(2 ^ n, 120) * 0.9)::text, 'truetrue',
    format('after %s tries: anywhere up to 15 s × 2^%s, 30 min at most', n, n)) FROM (VALUES (1),
        (30)) v (n), LATERAL (SELECT automapost.backoff(v.n + i * 0) AS b FROM generate_series(1,
        300) i) r GROUP BY n;

SELECT * FROM finish();
ROLLBACK;
