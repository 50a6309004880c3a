-- SPDX-License-Identifier: MIT
-- enqueue(): defaults, every line of the on_conflict table, and what is refused.
BEGIN;
SELECT plan(32);

-- Defaults
CREATE TEMP TABLE first AS SELECT * FROM automapost.enqueue('plain');
SELECT is(was, 'inserted', 'without a key every call inserts') FROM first;
SELECT is((j.status, j.priority, j.payload, j.attempts, j.max_attempts, j.job_key,
    j.scheduled_for)::text,
    ('pending', 5, '{}'::jsonb, 0, 3, NULL, now())::text,
    'defaults: priority 5, due now, the definition''s retries and one more try')
FROM first f, t.job(f.id) j;
SELECT is((t.job(id)).created_by, session_user::text, 'who enqueued is recorded') FROM first;
SELECT isnt((SELECT id FROM automapost.enqueue('plain')), (SELECT id FROM first),
    'twice is two jobs');
SELECT is((t.job(id)).max_attempts, 1000, 'publishing: the definition''s retries and one more try')
FROM automapost.enqueue('social-media-post', '{"postId": "p0"}');
SELECT is((j.payload, j.priority, j.scheduled_for, j.max_attempts, j.job_key)::text,
    ('{"a": 1}'::jsonb, 7, '2030-01-02 03:04:05+00'::timestamptz, 9, 'all')::text,
        'every argument is kept')
FROM automapost.enqueue('plain', '{"a": 1}', 7, '2030-01-02 03:04:05+00', 9, 'all') e,
    t.job(e.id) j;
SELECT is((t.job(id)).payload, '{}'::jsonb, 'no payload is an empty one')
FROM automapost.enqueue('plain', NULL);
SELECT is((t.job(id)).job_key, 'p1:a1:post', 'a publishing job has its key by itself')
FROM automapost.enqueue('social-media-post', '{"postId": "p1", "authProviderId": "a1"}');

-- Refusals of its own; those of check_job are tested there.
SELECT t.refuses('SELECT automapost.enqueue(''no-such'')', '22023',
    'job_type "no-such" is not defined',
    'what check_job refuses is refused here');
SELECT t.refuses('SELECT automapost.enqueue(''plain'', on_conflict => ''ignore'')', '22023',
    'on_conflict must be reject, keep, replace or reschedule, not "ignore"',
        'an unknown on_conflict');
SELECT t.refuses('SELECT automapost.enqueue(''plain'', on_conflict => NULL)', '22023',
    'on_conflict must be reject, keep, replace or reschedule, not "null"', 'no on_conflict');

-- The key is pending
CREATE TEMP TABLE pending AS
SELECT * FROM automapost.enqueue('plain', '{"v": 1}', 5, now() + interval '1 h', 3, 'k');
SELECT t.refuses('SELECT automapost.enqueue(''plain'', job_key => ''k'')', '23505',
    format('job_key "k" lives: job %s is pending', (SELECT id FROM pending)),
    'reject, pending: the error names key and job');
SELECT results_eq($$ SELECT id, was FROM automapost.enqueue('plain', '{"v": 2}', 6, now(), 4, 'k',
    'keep') $$,
    $$ SELECT id, 'kept' FROM pending $$, 'keep, pending: the old id');
SELECT is((j.payload, j.priority, j.scheduled_for)::text,
    ('{"v": 1}'::jsonb, 5, now() + interval '1 h')::text, 'keep, pending: nothing changed')
FROM pending p, t.job(p.id) j;
SELECT results_eq($$ SELECT id, was FROM automapost.enqueue('plain', '{"v": 3}', 6,
        now() + interval '2 h', 3, 'k', 'reschedule') $$,
    $$ SELECT id, 'rescheduled' FROM pending $$, 'reschedule, pending: the old id');
SELECT is((j.payload, j.priority, j.scheduled_for)::text,
    ('{"v": 1}'::jsonb, 5, now() + interval '2 h')::text,
        'reschedule, pending: the time alone changed')
FROM pending p, t.job(p.id) j;
SELECT results_eq($$ SELECT id, was FROM automapost.enqueue('plain', '{"v": 4}', 8, now(), 3, 'k',
    'replace') $$,
    $$ SELECT id, 'replaced' FROM pending $$, 'replace, pending: the old id');
SELECT is((j.payload, j.priority, j.scheduled_for)::text, ('{"v": 4}'::jsonb, 8, now())::text,
    'replace, pending: payload, priority and time changed')
FROM pending p, t.job(p.id) j;
SELECT is(was, 'inserted', 'the same key of another type is another key')
FROM automapost.enqueue('social-media-post', '{"postId": "k"}', job_key => 'k');

-- The key is running
SELECT t.worker('w1');
SELECT t.change('UPDATE automapost.job_queue SET scheduled_for = now() + interval ''1 day''
    WHERE job_key IS DISTINCT FROM ''k''');
SELECT is(t.claim(types => '{plain}'), ARRAY(SELECT id FROM pending), 'the keyed job is claimed');
SELECT t.refuses('SELECT automapost.enqueue(''plain'', job_key => ''k'')', '23505',
    format('job_key "k" lives: job %s is running', (SELECT id FROM pending)),
    'reject, running: the error names key and job');
SELECT results_eq($$ SELECT id, was FROM automapost.enqueue('plain', job_key => 'k',
    on_conflict => 'keep') $$,
    $$ SELECT id, 'kept' FROM pending $$, 'keep, running: the old id');
CREATE TEMP TABLE successor AS
SELECT * FROM automapost.enqueue('plain', '{"v": 5}', job_key => 'k', on_conflict => 'replace');
SELECT is(was, 'successor', 'replace, running: a successor') FROM successor;
SELECT is(t.claim(), '{}', 'which does not start while the key runs');
SELECT is(t.settle((SELECT id FROM pending), 'done'), 'settled completed',
    'when the first has ended,');
SELECT is(t.claim(types => '{plain}'), ARRAY(SELECT id FROM successor), 'it does');
SELECT is(was, 'successor', 'reschedule, running: a successor too')
FROM automapost.enqueue('plain', job_key => 'k', on_conflict => 'reschedule');

SELECT is((count(*), max(was))::text, '(1,rescheduled)',
    'running and a successor: the successor is rescheduled')
FROM automapost.enqueue('plain', job_key => 'k', on_conflict => 'reschedule') e
JOIN automapost.job_queue q ON q.id::text = e.id AND q.status = 'pending';

-- The key is finished
SELECT t.settle((SELECT id FROM successor), 'done');
SELECT automapost.cancel(id::text) FROM automapost.job_queue WHERE job_key = 'k'
    AND status = 'pending';
SELECT is(ARRAY(
    SELECT e.was FROM unnest('{reject,keep,replace,reschedule}'::text[]) WITH ORDINALITY m (mode,
        n),
        LATERAL automapost.enqueue('plain', job_key => 'f' || n, on_conflict => mode) e ORDER BY n),
    '{inserted,inserted,inserted,inserted}', 'a key that never lived: a new job in every mode');
SELECT is(ARRAY(
    SELECT e.was FROM unnest('{reject,keep,replace,reschedule}'::text[]) WITH ORDINALITY m (mode,
        n),
        LATERAL automapost.enqueue('plain', job_key => 'k', on_conflict => mode) e,
        LATERAL automapost.cancel(e.id) ORDER BY n),
    '{inserted,inserted,inserted,inserted}', 'a finished key: a new job in every mode');

-- Publishing has no successors
SELECT is(ARRAY[t.publishing(1)], t.claim(types => '{social-media-post}'), 'a publishing job runs');
SELECT t.refuses(format('SELECT automapost.enqueue(''social-media-post'', %L,
    on_conflict => ''replace'')',
        (SELECT payload FROM t.job(t.job_of(1)))), '55000',
    format('job %s is running, and social-media-post has no successors', t.job_of(1)),
    'a successor of a publishing job is refused');

SELECT * FROM finish();
ROLLBACK;
