-- SPDX-License-Identifier: MIT
-- What every way into the queue checks: each refusal names the argument, and publishing and
-- refreshing jobs get their key whether the caller gave it or not.
BEGIN;
SELECT plan(27);

CREATE FUNCTION pg_temp.check_job(job_type text, payload jsonb DEFAULT '{}',
    priority bigint DEFAULT 5,
    scheduled_for timestamptz DEFAULT now(), max_attempts bigint DEFAULT 3,
        job_key text DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT automapost.check_job(job_type, payload, priority, scheduled_for, max_attempts, job_key)
$$;

SELECT t.refuses('SELECT pg_temp.check_job(NULL)', '22023', 'job_type is missing', 'no type');
SELECT t.refuses('SELECT pg_temp.check_job('''')', '22023', 'job_type is missing', 'an empty type');
SELECT t.refuses('SELECT pg_temp.check_job(''no-such'')', '22023',
    'job_type "no-such" is not defined',
    'an unknown type is named');
SELECT t.refuses('SELECT pg_temp.check_job(''no-such'')', '22023',
    'noop, noop-send, plain, refresh-token, sleep, social-media-post',
    'and the hint lists the defined ones');
SELECT t.refuses('SELECT pg_temp.check_job(''cleanup'')', '22023',
    'job_type "cleanup" is not defined',
    'a service is no job type');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', ''[1]'')', '22023',
    'payload must be a JSON object, not array', 'an array as payload');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', ''null'')', '22023',
    'payload must be a JSON object, not null', 'JSON null as payload');
SELECT t.refuses(format('SELECT pg_temp.check_job(''plain'', %L)',
        (SELECT jsonb_object_agg(i, md5(i::text)) FROM generate_series(1, 2000) i)), '22023',
    'the limit is 65536', 'a payload of 70 kB');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', priority => -1)', '22023',
    'priority must be from 0 to 1000, not -1', 'a negative priority');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', priority => 1001)', '22023',
    'priority must be from 0 to 1000, not 1001', 'a priority above the range');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', priority => NULL)', '22023',
    'priority must be from 0 to 1000, not null', 'no priority');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', scheduled_for => NULL)', '22023',
    'scheduled_for must be a time, not null', 'no time');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', scheduled_for => ''infinity'')', '22023',
    'scheduled_for must be a time, not infinity', 'never');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', scheduled_for => ''-infinity'')', '22023',
    'scheduled_for must be a time, not -infinity', 'since ever');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', scheduled_for => now() - interval
    ''7 days 1 s'')',
    '22023', 'scheduled_for is more than 7 days past', 'a time more than 7 days past');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', max_attempts => 0)', '22023',
    'max_attempts must be from 1 to 1000, not 0', 'no attempt at all');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', max_attempts => 1001)', '22023',
    'max_attempts must be from 1 to 1000, not 1001', 'too many attempts');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', job_key => '''')', '22023',
    'job_key must have',
    'an empty key');
SELECT t.refuses('SELECT pg_temp.check_job(''plain'', job_key => repeat(''k'', 501))', '22023',
    'job_key must have', 'a key of 501 characters');
SELECT lives_ok('SELECT pg_temp.check_job(''plain'', NULL, 0, now() - interval ''6 days 23 h'',
    1000, repeat(''k'', 500))',
    'the ends of every range are allowed');

SELECT t.refuses('SELECT pg_temp.check_job(''social-media-post'')', '22023', 'needs "postId"',
    'a publishing job without its post');
SELECT t.refuses('SELECT pg_temp.check_job(''social-media-post'',
    ''{"postId": "p", "kind": "story"}'')',
    '22023', 'payload "kind" must be post or comment, not "story"', 'a kind that is none');
SELECT t.refuses('SELECT pg_temp.check_job(''social-media-post'',
    ''{"postId": "p", "kind": "comment"}'')',
    '22023', 'payload of kind comment needs "authProviderId"', 'a comment without account');
SELECT t.refuses('SELECT pg_temp.check_job(''refresh-token'')', '22023', 'needs "authProviderId"',
    'a refresh without its account');
SELECT t.refuses('SELECT pg_temp.check_job(''refresh-token'', ''{"authProviderId": "a"}'',
    job_key => ''b'')',
    '22023', 'job_key of refresh-token is "a", it cannot be "b"',
        'a key that is not the type''s own');

SELECT results_eq($$
    VALUES (pg_temp.check_job('social-media-post', '{"postId": "p"}')),
        (pg_temp.check_job('social-media-post', '{"postId": "p", "authProviderId": "a"}')),
        (pg_temp.check_job('social-media-post',
                           '{"postId": "p", "authProviderId": "a", "kind": "comment"}')),
        (pg_temp.check_job('refresh-token', '{"authProviderId": "a"}'))
    $$, ARRAY['p', 'p:a:post', 'p:a:comment', 'a'],
        'publishing and refreshing have keys of their own');
SELECT results_eq($$
    VALUES (pg_temp.check_job('plain', job_key => 'k')), (pg_temp.check_job('plain'))
    $$, ARRAY['k', NULL], 'other types have the caller''s key, or none');

SELECT * FROM finish();
ROLLBACK;
