-- SPDX-License-Identifier: MIT
-- A worker's life: registered, beating, released, rescued; what becomes of its jobs; external.sql's
-- expire_overdue, which takes jobs from workers that only beat.
BEGIN;
SELECT plan(52);

SELECT is(automapost.register_worker('w1', 'queue', 'host-1', 'boot-1', 42, '0.1.0',
    clock_timestamp() + interval '3 s'), 'w1', 'registered');
SELECT is((service, host, boot_id, pid, version, login, ended_at,
    clock_offset BETWEEN interval '2 s' AND interval '4 s')::text,
    ('queue', 'host-1', 'boot-1', 42, '0.1.0', session_user, NULL, true)::text,
        'with what people need, and how wrong its clock is') FROM automapost.workers;
SELECT is(t.worker('w1'), 'w1', 'registered twice');
SELECT is(automapost.release_worker('w1', 'finished'), 0::bigint, 'released without jobs');
SELECT is((end_reason, ended_at IS NOT NULL)::text, '(finished,t)', 'ended, and why')
    FROM automapost.workers;
SELECT is(t.worker('w1'), NULL, 'an ended worker does not come back under its name');
SELECT is(automapost.release_worker('w1', 'again'), 0::bigint, 'nor ends twice');
SELECT throws_ok('SELECT automapost.beat(''w1'', ''{}'')', 'AM001',
    'worker w1 is not registered, or has lapsed', 'nor beats');

-- Beats
SELECT t.worker('w2');
SELECT is_empty('SELECT * FROM automapost.beat(''w2'', ''{}'')',
    'a beat without jobs: nothing to say');
SELECT automapost.enqueue('plain'), automapost.enqueue('plain', job_key => 'c'),
    automapost.enqueue('plain', job_key => 'long');
SELECT t.claim('w2');
SELECT is_empty('SELECT * FROM automapost.beat(''w2'', ARRAY(SELECT lease FROM t.claims))',
    'all leases are its own');
SELECT results_eq('SELECT verdict FROM automapost.beat(''w2'', ARRAY(SELECT lease
    FROM t.claims) || 4711::bigint)', ARRAY['lost'], 'one is not');
SELECT automapost.cancel(id::text) FROM automapost.job_queue WHERE job_key = 'c';
SELECT results_eq('SELECT b.lease, b.verdict FROM automapost.beat(''w2'', ARRAY(SELECT lease
    FROM t.claims)) b',
    'SELECT lease, ''cancelled'' FROM automapost.job_queue WHERE job_key = ''c''',
        'one is to be cancelled');
SELECT is_empty('SELECT FROM automapost.job_executions', 'what is young has no row yet');
SELECT t.change('UPDATE automapost.job_queue SET locked_at = locked_at - interval ''3 s''
    WHERE job_key = ''long''');
SELECT automapost.beat('w2', ARRAY(SELECT lease FROM t.claims));
SELECT results_eq('SELECT status::text, worker_id FROM automapost.job_executions', $$
    VALUES ('running', 'w2') $$, 'what runs for more than 2 s shows as running');
SELECT t.claim('w2');
SELECT automapost.enqueue('plain', job_key => 'lost');
CREATE TEMP TABLE lost AS SELECT t.claim('w2') AS ids;
SELECT automapost.beat('w2', ARRAY(SELECT c.lease FROM t.claims c, lost l
    WHERE c.id <> ALL (l.ids)));
SELECT is((SELECT status FROM automapost.job_queue WHERE job_key = 'lost'), 'running',
    'claimed since the last beat and not named: its answer may be on the way');
SELECT automapost.beat('w2', ARRAY(SELECT c.lease FROM t.claims c, lost l
    WHERE c.id <> ALL (l.ids)));
SELECT is((SELECT status FROM automapost.job_queue WHERE job_key = 'lost'), 'pending',
    'not named a beat later: put back');

-- A row that cannot be written is no reason to take a worker for dead
SELECT t.later(), t.worker('w5');
SELECT automapost.enqueue('plain', job_key => 'refused'),
    automapost.enqueue('plain', job_key => 'taken');
SELECT t.claim('w5');
SELECT t.change('UPDATE automapost.job_queue SET locked_at = locked_at - interval ''3 s''
    WHERE locked_by = ''w5''');
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT q.job_key FROM automapost.job_queue q WHERE q.id = NEW.job_queue_id) = 'refused' THEN
        RAISE EXCEPTION 'poisoned';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse BEFORE INSERT ON automapost.job_executions
    FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SET LOCAL client_min_messages = error;
SELECT lives_ok('SELECT automapost.beat(''w5'', ARRAY(SELECT lease FROM t.claims
    WHERE worker = ''w5''))', 'a beat that cannot show one job as running');
SELECT is((SELECT string_agg(q.job_key, ' ') FROM automapost.job_executions x
    JOIN automapost.job_queue q ON q.execution_id = x.id WHERE x.worker_id = 'w5'), 'taken',
    'shows the other');
SELECT automapost.beat('w5', '{}');
SELECT is((SELECT string_agg(job_key || ' ' || status, ', ' ORDER BY job_key)
    FROM automapost.job_queue WHERE job_key IN ('refused', 'taken')),
    'refused running, taken pending', 'nor one that cannot be put back any other');
SET LOCAL client_min_messages = notice;
DROP TRIGGER refuse ON automapost.job_executions;

-- Released: what had not begun comes back whole, what had is unknown
SELECT t.later(), t.worker('w3');
SELECT t.publishing(1), t.publishing(2), t.publishing(3);
SELECT automapost.enqueue('plain', job_key => 'p1');
SELECT automapost.enqueue('plain', job_key => 'p2', max_attempts => 1);
SELECT is(cardinality(t.claim('w3')), 5, 'five claimed');
SELECT t.begin(t.job_of(1));
SELECT automapost.cancel(t.job_of(3));
SELECT is(automapost.release_worker('w3', 'killed by signal 9'), 5::bigint,
    'five put back or ended');
SELECT is(t.state(1), 'pending 1 unconfirmed worker-died', 'begun: unconfirmed');
SELECT is((t.job(t.job_of(1))).scheduled_for, d.begun_at + interval '45 s',
    'nobody looks before any send can have ended') FROM t.delivery(1) d;
SELECT is(t.state(2), 'pending 0 pending -', 'not begun: whole, no attempt used');
SELECT is((t.job(t.job_of(2))).scheduled_for, (t.delivery(2)).due_at, 'at its place in the queue');
SELECT is(t.state(3) || ' ' || (t.delivery(3)).cancelled_by,
    'cancelled 0 cancelled cancelled ' || session_user, 'not begun and to be cancelled: cancelled');
SELECT is((SELECT status || ' ' || attempts FROM automapost.job_queue WHERE job_key = 'p1'),
    'pending 1', 'without a begin: again, the attempt is used');
SELECT is((SELECT status || ' ' || error_code FROM automapost.job_queue WHERE job_key = 'p2'),
    'failed worker-died', 'unless it was the last');
SELECT is((SELECT string_agg(x.error_message, ', ') FROM automapost.job_executions x
    WHERE x.job_queue_id::text = t.job_of(1)), 'its worker ended: killed by signal 9',
    'the attempt says why');
SELECT is((SELECT count(*) FROM automapost.job_executions x
    WHERE x.job_queue_id::text = t.job_of(2)), 0::bigint, 'what had not begun was no attempt');

-- A process under all its names
SELECT t.worker('inv'), t.worker('inv-1'), t.worker('invader');
SELECT t.later();
SELECT automapost.enqueue('plain');
SELECT t.claim('inv-1');
UPDATE automapost.workers SET service = 'queue' WHERE id = 'inv-1';
SELECT is(automapost.release_process('inv', 'signal SEGV'), 1::bigint,
    'systemd saw a process end: all its names');
SELECT results_eq($$ SELECT status, error_code, error_message, metadata
    FROM automapost.job_executions WHERE worker_id = 'inv-1' AND job_queue_id IS NOT NULL $$,
    $$ VALUES ('failed'::varchar, 'worker-died', 'the service ended by signal SEGV',
        '{"result": "signal", "signal": "SEGV"}'::jsonb) $$, 'the attempt says how it died');
SELECT results_eq($$ SELECT d.name, x.status, x.error_code, x.error_message, x.metadata, x.started_at
    FROM automapost.job_executions x JOIN automapost.job_definitions d ON d.id = x.job_definition_id
    WHERE x.worker_id = 'inv-1' $$,
    $$ SELECT 'queue'::varchar, 'failed'::varchar, 'worker-died',
        'the service ended by signal SEGV', '{"result": "signal", "signal": "SEGV"}'::jsonb,
        started_at FROM automapost.workers WHERE id = 'inv-1' $$, 'and so does the run');
SELECT is(automapost.release_process('inv', 'signal SEGV'), 0::bigint, 'once');
SELECT results_eq($$ SELECT reason, automapost.death_words(reason) FROM unnest(
    ARRAY['signal KILL', 'core-dump ABRT', 'exit-code 70', 'timeout TERM', 'oom-kill KILL',
          'watchdog ABRT', 'resources']) reason $$,
    $$ VALUES ('signal KILL', 'the service ended by signal KILL'),
        ('core-dump ABRT', 'the service ended by signal ABRT'),
        ('exit-code 70', 'the service ended with exit status 70'),
        ('timeout TERM', 'the service was killed at its timeout'),
        ('oom-kill KILL', 'the service was killed for want of memory'),
        ('watchdog ABRT', 'the service was killed because it hung'),
        ('resources', 'the service ended by resources') $$, 'in words');
SELECT is((SELECT string_agg(id, ' ') FROM automapost.workers WHERE ended_at IS NULL
    AND id LIKE 'inv%'), 'invader', 'nobody else''s');

-- Rescue
SELECT is_empty('SELECT * FROM automapost.rescue_lapsed()', 'who beats is not rescued');
SELECT t.claim('invader');
UPDATE automapost.workers SET last_beat = clock_timestamp() - interval '14 s' WHERE id = 'invader';
SELECT is_empty('SELECT * FROM automapost.rescue_lapsed()', 'nor who beat 14 s ago');
UPDATE automapost.workers SET last_beat = clock_timestamp() - interval '16 s' WHERE id = 'invader';
SELECT results_eq('SELECT worker, service, host, jobs FROM automapost.rescue_lapsed()', $$
    VALUES ('invader', 'test', 'host', 1::bigint) $$, '16 s ago: lapsed');
SELECT is_empty('SELECT * FROM automapost.rescue_lapsed()', 'once');
SELECT is((SELECT count(*) FROM automapost.job_executions WHERE status = 'running'
    AND worker_id <> 'w2')
    + (SELECT count(*) FROM automapost.job_queue q JOIN automapost.workers w ON w.id = q.locked_by
        WHERE q.status = 'running' AND w.ended_at IS NOT NULL),
    0::bigint, 'nothing runs without a living worker');

-- A worker that beats, but does not end its job
SELECT t.worker('w4'), t.later();
SELECT automapost.enqueue('plain', job_key => 'slow');
SELECT t.claim('w4');
SELECT is(automapost.expire_overdue(10), 0::bigint, 'in time');
SELECT t.change('UPDATE automapost.job_queue SET locked_at = locked_at - interval ''89 s''
    WHERE job_key = ''slow''');
SELECT is(automapost.expire_overdue(10), 0::bigint,
    'past its timeout of 60 s, but its worker has 30 s more to say so');
SELECT t.change('UPDATE automapost.job_queue SET locked_at = locked_at - interval ''2 s''
    WHERE job_key = ''slow''');
SELECT is(automapost.expire_overdue(10), 1::bigint, 'then it is taken from it');
SELECT is((SELECT status FROM automapost.job_queue WHERE job_key = 'slow'), 'pending',
    'and put back');

-- A tick that did something
SELECT isnt(automapost.record_run('queue', 'w4', now() - interval '2 s', 'completed', '{"done": 3}',
    NULL), NULL, 'a run is recorded');
SELECT is((x.status, x.metadata, x.worker_id, x.duration_ms >= 2000)::text, ('completed',
    '{"done": 3}'::jsonb, 'w4', true)::text, 'with its counts')
FROM automapost.job_executions x JOIN automapost.job_definitions d ON d.id = x.job_definition_id
    AND d.name = 'queue'
WHERE x.worker_id = 'w4';

-- Who stays awake because of whom
SELECT automapost.release_worker(id, 'finished') FROM automapost.workers WHERE ended_at IS NULL;
SELECT t.worker('far'), t.worker('near');
UPDATE automapost.workers SET boot_id = 'elsewhere' WHERE id = 'far';
SELECT is(automapost.others_at_work('near', '{plain}'), false, 'another host that holds nothing');
SELECT t.later();
SELECT automapost.enqueue('plain');
SELECT t.claim('far', '{plain}');
SELECT is(automapost.others_at_work('near', '{plain}'), true, 'another host at work');
SELECT is(automapost.others_at_work('near', '{refresh-token}'), false, 'on other work');
SELECT is(automapost.others_at_work('far', '{plain}'), false, 'not oneself');
UPDATE automapost.workers SET boot_id = 'elsewhere' WHERE id = 'near';
SELECT is(automapost.others_at_work('near', '{plain}'), false, 'nor a worker of this boot');

SELECT * FROM finish();
ROLLBACK;
