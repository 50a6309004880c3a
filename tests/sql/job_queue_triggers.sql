-- SPDX-License-Identifier: MIT
-- job_queue as the application's ORM uses it: an INSERT comes in as enqueue() would make it.
BEGIN;
SELECT plan(13);

CREATE FUNCTION pg_temp.app(statement text) RETURNS text LANGUAGE sql AS $$
    SELECT t.attempt('automapost_jobs_app', statement)
$$;

SELECT is(pg_temp.app($$
    INSERT INTO automapost.job_queue
        (id, job_type, payload, priority, scheduled_for, max_attempts, job_key, status, locked_at,
            locked_by,
         attempts, lease, begun, execution_id, claim_batch, error_message, finished_at, limit_key,
             created_by,
         waits_for, result, cancel_requested_at, created_at)
    VALUES (t.id(1)::uuid, 'plain', '{"a": 1}', 6, now() + interval '1 h', 4, 'k', 'running', now(),
        'me',
         3, 99, true, gen_random_uuid(), 'b', 'e', now(), 'x:y', 'somebody', 'token', '{}', now(),
             '2001-01-01')
    $$), 'ok', 'an INSERT that sets everything is accepted');
SELECT is((id::text, job_type, payload, priority, scheduled_for, max_attempts, job_key, limit_key)::text,
    (t.id(1), 'plain', '{"a": 1}'::jsonb, 6, now() + interval '1 h', 4, 'k', 'x:y')::text,
        'what enqueue() takes is kept')
FROM t.job(t.id(1));
SELECT is((status, locked_at, locked_by, attempts, lease, begun, execution_id, claim_batch)::text,
    ('pending', NULL, NULL, 0, NULL, false, NULL, NULL)::text,
        'it is pending, unlocked, attempts 0')
FROM t.job(t.id(1));
SELECT is((error_message, finished_at, created_by, waits_for, result,
    cancel_requested_at,
           created_at)::text,
    (NULL, NULL, session_user, NULL, NULL, NULL, now())::text, 'and nothing else is believed')
FROM t.job(t.id(1));
SELECT is(pg_temp.app($$ INSERT INTO automapost.job_queue (job_type) VALUES ('plain') $$), 'ok',
    'the plan''s shortest INSERT');
SELECT is((payload, priority, scheduled_for, max_attempts, attempts)::text, ('{}'::jsonb, 5, now(),
    3, 0)::text,
    'has the plan''s defaults')
FROM automapost.job_queue WHERE job_type = 'plain' AND job_key IS NULL;
SELECT is(pg_temp.app($$
    INSERT INTO automapost.job_queue (id, job_type, payload, max_attempts)
    VALUES (t.id(2)::uuid, 'social-media-post', '{"postId": "p", "authProviderId": "a"}', NULL) $$),
        'ok',
    'a publishing job by INSERT');
SELECT is((job_key, max_attempts)::text, ('p:a:post', 1000)::text,
    'has its key, and without a number of tries the definition''s')
FROM t.job(t.id(2));

-- The same checks as enqueue
SELECT is(pg_temp.app('INSERT INTO automapost.job_queue (job_type) VALUES (''no-such'')'),
    '22023: job_type "no-such" is not defined', 'an unknown type is refused by name');
SELECT is(pg_temp.app('INSERT INTO automapost.job_queue (job_type, priority) VALUES (''plain'',
    -1)'),
    '22023: priority must be from 0 to 1000, not -1', 'so is a negative priority');
SELECT is(pg_temp.app('INSERT INTO automapost.job_queue (job_type, payload) VALUES (''plain'',
    ''[]'')'),
    '22023: payload must be a JSON object, not array', 'and a payload that is no object');
SELECT matches(pg_temp.app('INSERT INTO automapost.job_queue (job_type, job_key) VALUES (''plain'',
    ''k'')'),
    '^23505: ', 'a key that lives is refused by the index');

SELECT is((SELECT count(*) FROM automapost.job_queue WHERE status = 'pending'), 3::bigint,
    'three jobs came in');

SELECT * FROM finish();
ROLLBACK;
