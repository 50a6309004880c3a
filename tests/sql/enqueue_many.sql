-- SPDX-License-Identifier: MIT
-- enqueue_many(): an array in, rows in its order out, all or nothing.
BEGIN;
SELECT plan(18);

CREATE TEMP TABLE many AS SELECT * FROM automapost.enqueue_many('[
    {"job_type": "plain", "job_key": "c"},
    {"job_type": "plain", "job_key": "b", "payload": {"x": 1}, "priority": 8, "max_attempts": 6,
     "scheduled_for": "2030-01-01T00:00:00Z"},
    {"job_type": "plain", "job_key": "c", "on_conflict": "keep"},
    {"job_type": "plain"}
]');
SELECT results_eq('SELECT n, was FROM many', $$ VALUES (1::bigint, 'inserted'), (2::bigint,
    'inserted'),
    (3::bigint, 'kept'), (4::bigint, 'inserted') $$,
        'one row per member, in the order of the array');
SELECT is((SELECT id FROM many WHERE n = 3), (SELECT id FROM many WHERE n = 1),
    'keep answers the older id');
SELECT is((j.payload, j.priority, j.max_attempts, j.scheduled_for)::text,
    ('{"x": 1}'::jsonb, 8, 6, '2030-01-01 00:00:00+00'::timestamptz)::text, 'every member is used')
FROM many m, t.job(m.id) j WHERE m.n = 2;
SELECT is((j.payload, j.priority, j.max_attempts, j.scheduled_for)::text, ('{}'::jsonb, 5, 3,
    now())::text,
    'what is left out has the default of enqueue()')
FROM many m, t.job(m.id) j WHERE m.n = 4;
SELECT is_empty('SELECT * FROM automapost.enqueue_many(''[]'')', 'an empty array is nothing to do');

SELECT t.refuses('SELECT automapost.enqueue_many(NULL)', '22023', 'jobs must be a JSON array',
    'no array');
SELECT t.refuses('SELECT automapost.enqueue_many(''{}'')', '22023', 'jobs must be a JSON array',
    'an object');
SELECT t.refuses('SELECT
    automapost.enqueue_many(''[{"job_type": "plain"}, {"jobType": "plain"}]'')',
    '22023', 'jobs[1] has an unknown member "jobType"',
        'a misspelt member is named, with its place');
SELECT t.refuses('SELECT automapost.enqueue_many(''[7]'')', '22023', 'jobs[0]',
    'a number in the array');
SELECT t.refuses('SELECT
    automapost.enqueue_many(''[{"job_type": "plain"}, {"job_type": "no-such"}]'')',
    '22023', 'jobs[1]: job_type "no-such" is not defined',
        'a refusal of enqueue() says at which place');
SELECT t.refuses('SELECT automapost.enqueue_many(''[{"job_type": "plain", "priority": "high"}]'')',
    '22P02', 'jobs[0]: ', 'a value of another type too');

-- In one statement, or one by one: nobody can tell.
CREATE TEMP TABLE plain AS SELECT * FROM automapost.enqueue_many('[
    {"job_type": "plain", "job_key": "p1", "limit_key": "l", "payload": {"x": 1}, "priority": 0,
     "scheduled_for": "2030-01-01T00:00:00Z", "max_attempts": 1},
    {"job_type": "plain", "on_conflict": "keep"}]');
SELECT is((j.payload, j.priority, j.scheduled_for, j.max_attempts, j.job_key, j.limit_key)::text,
    ('{"x": 1}'::jsonb, 0, '2030-01-01 00:00:00+00'::timestamptz, 1, 'p1', 'l')::text,
    'every member is used in one statement too')
FROM plain m, t.job(m.id) j WHERE m.n = 1;
SELECT is((j.payload, j.priority, j.scheduled_for, j.max_attempts, j.job_key, j.limit_key)::text,
    ('{}'::jsonb, 5, now(), 3, NULL::text, NULL::text)::text, 'and has the same defaults')
FROM plain m, t.job(m.id) j WHERE m.n = 2;
SELECT results_eq($$ SELECT m.was FROM automapost.enqueue_many('[
    {"job_type": "plain", "job_key": "new"},
    {"job_type": "plain", "job_key": "p1", "on_conflict": "replace", "payload": {"x": 2}}]') m $$,
    ARRAY['inserted', 'replaced'], 'a key that lives is looked at');
SELECT t.refuses('SELECT automapost.enqueue_many(''[{"job_type": "plain", "job_key": "twice"},
    {"job_type": "plain", "job_key": "twice"}]'')', '23505', 'jobs[1]: job_key "twice" lives',
    'the same key twice in one array');
SELECT t.refuses('SELECT automapost.enqueue_many(''[{"job_type": "plain", "limit_key": ""}]'')',
    '22023', 'jobs[0]: limit_key must have', 'an empty limit_key');
SELECT t.refuses('SELECT automapost.enqueue_many(''[{"job_type": "refresh-token", "limit_key": "l",
    "payload": {"authProviderId": "a"}}]'')', '22023',
    'jobs[0]: limit_key of refresh-token cannot be given', 'a limit_key of the queue''s own');

CREATE TEMP TABLE before AS SELECT count(*) FROM automapost.job_queue;
DO $$ BEGIN
    PERFORM automapost.enqueue_many('[{"job_type": "plain"}, {"job_type": "no-such"}]');
EXCEPTION WHEN OTHERS THEN NULL; END $$;
SELECT is((SELECT count(*) FROM automapost.job_queue), (SELECT count FROM before),
    'all or nothing');

SELECT * FROM finish();
ROLLBACK;
