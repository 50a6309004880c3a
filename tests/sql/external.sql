-- SPDX-License-Identifier: MIT
-- claim(), complete(), fail(): the application's own workers. expire_overdue() is tested in
-- workers.sql, beat() too.
BEGIN;
SELECT plan(32);
SELECT t.change($f$ INSERT INTO automapost.job_definitions (name, handler, max_retries,
    concurrency_limit, timeout_ms) VALUES ('outside', 'external', 1, 2, 5000) $f$);

SELECT t.refuses(format('SELECT automapost.claim(%s)', arguments), '22023', says, says)
FROM (VALUES ('''{outside}'', ''short'', ''b''', 'worker must be a name of 8 to 200 characters'),
    ('''{outside}'', NULL, ''b''', 'worker must be a name'),
    ('''{outside}'', ''worker-1'', NULL', 'batch is missing'),
        ('''{outside}'', ''worker-1'', ''b'', 0', 'n must be from 1 to 1000, not 0'),
        ('''{outside}'', ''worker-1'', ''b'', NULL', 'n must be from 1 to 1000, not null'),
    ('''{plain}'', ''worker-1'', ''b''', '"plain" is no job type with handler external'),
        ('''{outside,no-such}'', ''worker-1'', ''b''', '"no-such" is no job type'),
        ('''{}'', ''worker-1'', ''b''', 'nothing is no job type'),
    ('NULL, ''worker-1'', ''b''', 'nothing is no job type')) v (arguments, says);

SELECT is_empty('SELECT * FROM automapost.claim(''{outside}'', ''worker-1'', ''b0'')',
    'nothing to do');
SELECT is((service, ended_at)::text, '(external,)', 'the worker is registered')
    FROM automapost.workers WHERE id = 'worker-1';
SELECT automapost.enqueue('outside', '{"n": 1}', 9);
SELECT automapost.enqueue('outside', '{"n": 2}', 8);
SELECT automapost.enqueue('outside', '{"n": 3}', 7);
CREATE TEMP TABLE given AS SELECT * FROM automapost.claim('{outside}', 'worker-1', 'b1', 10);
SELECT results_eq('SELECT job_type, attempt, timeout_ms, payload FROM given', $$ VALUES ('outside',
    1::bigint, 5000::bigint, '{"n": 1}'::jsonb), ('outside', 1, 5000, '{"n": 2}') $$,
    'jobs in their order, up to the type''s limit');
SELECT set_eq('SELECT id, lease FROM automapost.claim(''{outside}'', ''worker-1'', ''b1'', 10)',
    'SELECT id, lease FROM given', 'the same batch: the same answer');

SELECT is((c.job_id, c.status)::text, format('(%s,completed)', g.id), 'complete') FROM given g,
    automapost.complete(g.id, g.lease, '{"ok": true}') c WHERE payload ->> 'n' = '1';
SELECT is((q.status, q.result, x.status, x.worker_id)::text, ('completed', '{"ok": true}'::jsonb,
    'completed', 'worker-1')::text, 'with its result and its attempt')
FROM given g, t.job(g.id) q, automapost.job_executions x WHERE g.payload ->> 'n' = '1'
    AND x.job_queue_id = q.id;
SELECT t.refuses(format('SELECT automapost.complete(%L, %s)', id, lease), 'AM002',
    format('lease %s of job %s is not yours any more', lease, id), 'completed twice') FROM given
    WHERE payload ->> 'n' = '1';
SELECT t.refuses(format('SELECT automapost.fail(%L, %s, ''transient'', ''m'')', id, lease + 1000),
    'AM002', 'is not yours any more', 'another lease') FROM given WHERE payload ->> 'n' = '2';
SELECT t.refuses(format('SELECT automapost.fail(%L, %s, %L, ''m'')', id, lease, class), '22023',
    'class must be transient, rate-limited, config, auth, permission or permanent',
    'a class that is none: ' || COALESCE(class, 'null'))
FROM given, (VALUES ('oops'), (NULL)) v (class) WHERE payload ->> 'n' = '2';
SELECT t.refuses(format('SELECT automapost.fail(%L, %s, ''transient'', ''m'', ''infinity'')', id,
    lease), '22023', 'retry_at must be a time, not infinity', 'never') FROM given
    WHERE payload ->> 'n' = '2';
SELECT is(f.status, 'pending', 'transient: again') FROM given g, automapost.fail(g.id, g.lease,
    'transient', 'm') f WHERE payload ->> 'n' = '2';

CREATE FUNCTION pg_temp.failing(class text, retry timestamptz DEFAULT NULL) RETURNS text LANGUAGE
    plpgsql AS $$
DECLARE
    c record;
    f record;
BEGIN
    PERFORM t.change('UPDATE automapost.job_queue SET scheduled_for = now()
        WHERE payload ->> ''n'' = ''3''');
    SELECT * INTO c FROM automapost.claim('{outside}', 'worker-2', gen_random_uuid()::text) g
        WHERE g.payload ->> 'n' = '3';
    SELECT * INTO f FROM automapost.fail(c.id, c.lease, class, 'because', retry);
    RETURN f.status || ' ' || (t.job(c.id)).attempts || ' ' || COALESCE((t.job(c.id)).error_class,
        '-');
END $$;
SELECT t.later();
SELECT is(pg_temp.failing('rate-limited', now() + interval '1 h'), 'pending 0 rate-limited',
    'rate-limited: no attempt used');
SELECT is(scheduled_for, now() + interval '1 h', 'again at its time') FROM automapost.job_queue
    WHERE payload ->> 'n' = '3';
SELECT is(pg_temp.failing('config'), 'pending 0 config', 'config: no attempt used');
SELECT is(pg_temp.failing('transient'), 'pending 1 transient', 'transient: one used');
SELECT is(pg_temp.failing('transient'), 'failed 2 transient', 'and the last');
SELECT is(error_message, 'because', 'why') FROM automapost.job_queue WHERE payload ->> 'n' = '3';

-- A job of the services is not for complete()
SELECT t.worker('w1');
SELECT automapost.enqueue('plain');
SELECT t.claim('w1', '{plain}');
SELECT t.refuses(format('SELECT automapost.complete(%L, %s)', id, lease), 'AM002',
    'is not yours any more', 'a service''s job') FROM t.claims;
-- A worker that does not beat
UPDATE automapost.workers SET last_beat = now() - interval '1 min' WHERE id = 'worker-2';
SELECT is(automapost.rescue_lapsed() IS NULL, false, 'a lapsed worker is rescued like ours');
SELECT t.refuses('SELECT automapost.claim(''{outside}'', ''worker-2'', ''b9'')', 'AM001',
    'worker worker-2 is not registered, or has lapsed', 'and claims no more under its name');

-- A beat with an empty list puts jobs back: nobody but a service may give one in a service's name.
CREATE ROLE some_application LOGIN IN ROLE automapost_jobs_app;
SELECT t.worker('w9');
SELECT automapost.register_worker('worker-9', 'external', 'h', '', 0, 'v', clock_timestamp());
GRANT USAGE ON SCHEMA t TO some_application;
SET SESSION AUTHORIZATION some_application;
SELECT is_empty('SELECT * FROM automapost.beat(''worker-9'', ''{}'')', 'its own worker beats');
SELECT throws_ok('SELECT * FROM automapost.beat(''w9'', ''{}'')', '42501',
    'worker w9 is a service''s, not yours', 'a service''s does not');
RESET SESSION AUTHORIZATION;

SELECT * FROM finish();
ROLLBACK;
