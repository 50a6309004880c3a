-- SPDX-License-Identifier: MIT
-- What jobs say before they end: log_jobs, and that settle and a worker's death neither lose it nor
-- say it twice.
BEGIN;
SELECT plan(19);
SELECT t.worker('w1');

CREATE FUNCTION pg_temp.line(n bigint, message text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('n', n, 'level', 'info', 'message', message,
        'at', timestamptz '2026-11-26 10:00:00Z' + n * interval '1 s')
$$;

-- Says lines for a claimed job; what of the item is to be otherwise.
CREATE FUNCTION pg_temp.say(job text, lines jsonb, worker text DEFAULT 'w1', what jsonb DEFAULT '{}')
RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(l.lease || ' ' || l.stored, ', ')
    FROM t.claims c, automapost.log_jobs(say.worker, jsonb_build_array(
        jsonb_build_object('id', c.id, 'lease', c.lease, 'execution_id', c.execution_id,
                           'logs', lines) || what)) l
    WHERE c.id = job
$$;

CREATE FUNCTION pg_temp.said(job text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(l.message, ' ' ORDER BY l."timestamp", l.message)
    FROM automapost.job_logs l JOIN automapost.job_executions x ON x.id = l.job_execution_id
    WHERE x.job_queue_id::text = job
$$;

CREATE TEMP TABLE j AS SELECT id FROM automapost.enqueue('plain');
GRANT SELECT ON j TO PUBLIC;
SELECT t.claim();
SELECT is(pg_temp.say(j.id, jsonb_build_array(pg_temp.line(0, 'a'), pg_temp.line(1, 'b'))),
    c.lease || ' 2', 'lines of a running job: how many are stored')
FROM j JOIN t.claims c USING (id);
SELECT results_eq('SELECT x.status::text, x.worker_id, x.job_queue_id::text
    FROM automapost.job_executions x', 'SELECT ''running'', ''w1'', id FROM j',
    'its attempt shows as running');
SELECT is(pg_temp.said(id), 'a b', 'and they can be read') FROM j;
SELECT pg_temp.say(id, jsonb_build_array(pg_temp.line(0, 'a'), pg_temp.line(1, 'b'),
    pg_temp.line(2, 'c'))) FROM j;
SELECT is(pg_temp.said(id), 'a b c', 'sent again, with one more: each is there once') FROM j;
SELECT is(t.settle(id, 'done', jsonb_build_object('logs', jsonb_build_array(
    pg_temp.line(2, 'c'), pg_temp.line(3, 'd')))), 'settled completed', 'settled with its last')
FROM j;
SELECT is(pg_temp.said(id), 'a b c d', 'none lost, none twice') FROM j;
SELECT is(pg_temp.say(id, jsonb_build_array(pg_temp.line(4, 'e'))), NULL,
    'a job that has ended has nothing to say') FROM j;

-- Fenced
CREATE TEMP TABLE k AS SELECT id FROM automapost.enqueue('plain');
SELECT t.claim(), t.worker('w2');
SELECT is(pg_temp.say(id, jsonb_build_array(pg_temp.line(0, 'x')), what => '{"lease": 4711}'), NULL,
    'another lease') FROM k;
SELECT is(pg_temp.say(id, jsonb_build_array(pg_temp.line(0, 'x')), 'w2'), NULL, 'another worker')
FROM k;
SELECT is(pg_temp.say(id, jsonb_build_array(pg_temp.line(0, 'x')),
    what => jsonb_build_object('execution_id', gen_random_uuid())), NULL, 'another attempt') FROM k;
SELECT throws_ok('SELECT * FROM automapost.log_jobs(''w3'', ''[]'')', 'AM001',
    'worker w3 is not registered, or has lapsed', 'a worker that has ended');

-- Whatever is said, and whatever refuses one of them
SELECT pg_temp.say(id, '[{"n": 0, "level": "fatal", "message": null}, {"message": "from before n"}]')
FROM k;
SELECT results_eq('SELECT level::text, message FROM automapost.job_logs l
    JOIN automapost.job_executions x ON x.id = l.job_execution_id JOIN k
        ON k.id = x.job_queue_id::text ORDER BY 2',
    $$ VALUES ('info', ''), ('info', 'from before n') $$, 'a line that lacks something is a line');
CREATE TEMP TABLE m AS SELECT id FROM automapost.enqueue('plain');
SELECT t.claim();
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.message = 'poison' THEN RAISE EXCEPTION 'poisoned'; END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse BEFORE INSERT ON automapost.job_logs
    FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SET LOCAL client_min_messages = error;
SELECT is((SELECT array_agg(l.lease) FROM automapost.log_jobs('w1', (
        SELECT jsonb_agg(jsonb_build_object('id', c.id, 'lease', c.lease,
            'execution_id', c.execution_id, 'logs', jsonb_build_array(pg_temp.line(9,
                CASE c.id WHEN k.id THEN 'poison' ELSE 'good' END))))
        FROM t.claims c, k WHERE c.id IN (SELECT id FROM k UNION SELECT id FROM m))) l),
    (SELECT array_agg(c.lease) FROM t.claims c JOIN m USING (id)),
    'one that cannot be written keeps no other');
SET LOCAL client_min_messages = notice;
DROP TRIGGER refuse ON automapost.job_logs;

-- Its worker dies
SELECT automapost.release_worker('w1', 'killed by signal 9');
SELECT is(pg_temp.said(id), 'good', 'what a dead worker''s job said stays') FROM m;
SELECT is((x.status, x.error_code)::text, '(failed,worker-died)', 'with the attempt''s end')
FROM m JOIN automapost.job_executions x ON x.job_queue_id::text = m.id;

-- What had not begun was no attempt; but what it said stays too
SELECT t.publishing(1), t.publishing(2), t.worker('w4');
SELECT t.claim('w4', '{social-media-post}');
SELECT pg_temp.say(t.job_of(1), jsonb_build_array(pg_temp.line(0, 'preparing')), 'w4');
SELECT t.change('UPDATE automapost.job_queue SET locked_at = locked_at - interval ''3 s''
    WHERE locked_by = ''w4''');
SELECT automapost.beat('w4', ARRAY(SELECT lease FROM t.claims WHERE worker = 'w4'));
SELECT is((SELECT count(*) FROM automapost.job_executions x WHERE x.status = 'running'
    AND x.worker_id = 'w4'), 2::bigint, 'two take long');
SELECT automapost.release_worker('w4', 'stopped');
SELECT is((SELECT x.status || ' ' || x.error_message FROM automapost.job_executions x
    WHERE x.job_queue_id::text = t.job_of(1)), 'cancelled its worker ended: stopped', 'one said something');
SELECT is(pg_temp.said(t.job_of(1)), 'preparing', 'which can be read');
SELECT is((SELECT count(*) FROM automapost.job_executions x WHERE x.job_queue_id::text = t.job_of(2)),
    0::bigint, 'one did not, and leaves no row');

SELECT * FROM finish();
ROLLBACK;
