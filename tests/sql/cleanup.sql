-- SPDX-License-Identifier: MIT
-- mark_missed(): late is said, once; forget_old(): history goes, what is still needed stays.
BEGIN;
SELECT plan(35);
SELECT t.worker('w1');
SELECT t.member(1), t.account(1, 1, 'webhook');

-- Too late
SELECT t.publishing(10), t.publishing(11), t.publishing(12), t.publishing(13);
SELECT is(automapost.mark_missed(100), 0::bigint, 'nothing is late');
UPDATE automapost.post_deliveries SET due_at = now() - interval '2 h 1 s' WHERE post_id <> t.id(12);
UPDATE automapost.post_deliveries SET late_allowed = true WHERE post_id = t.id(13);
SELECT t.change(format('UPDATE automapost.job_queue SET error_message = ''503'', attempts = 4
    WHERE id = %L', t.job_of(10)));
SELECT is(automapost.mark_missed(1), 1::bigint, 'no more than asked for');
SELECT is(automapost.mark_missed(100), 1::bigint, 'two are past the late limit');
SELECT is(t.state(10), 'failed 4 missed missed-late', 'missed, and its job failed');
SELECT is((t.delivery(10)).detail, 'more than 02:00:00 late; last: 503', 'with what was last');
SELECT is(t.state(12) || ', ' || t.state(13), 'pending 0 pending -, pending 0 pending -',
    'not the one in time, not the one wanted however late');
SELECT is(automapost.mark_missed(100), 0::bigint, 'said once');
SELECT t.later(), t.publishing(14);
SELECT t.claim('w1', '{social-media-post}');
UPDATE automapost.post_deliveries SET due_at = now() - interval '3 h' WHERE post_id = t.id(14);
SELECT is(automapost.mark_missed(100), 0::bigint, 'one that runs ends by itself');
SELECT is(t.begin(t.job_of(14)), 'late', 'late at its begin');
SELECT t.change(format('DELETE FROM automapost.job_queue WHERE id = %L', t.job_of(12)));
UPDATE automapost.post_deliveries SET due_at = now() - interval '3 h' WHERE post_id = t.id(12);
SELECT is(automapost.mark_missed(100) || (t.delivery(12)).state, '1missed',
    'one whose job is gone is missed too');

-- Never collected
SELECT t.post(20, 1, '{1}', now() - interval '3 h'), t.post(21, 1, '{1}',
    now() - interval '2 days'), t.post(22, 1, '{}', now() - interval '2 days'),
    t.post(23, 1, '{1}', now() - interval '90 days'), t.post(24, 1, '{1}',
        now() - interval '59 min'), t.post(25, 1, '{1}', now() - interval '2 days',
        status => 'DRAFT');
SELECT is(automapost.mark_missed(100), 2::bigint, 'posts that nobody collected in time');
SELECT results_eq($$ SELECT right(post_id, 2), state FROM automapost.post_deliveries
    WHERE post_id BETWEEN t.id(20) AND t.id(29) ORDER BY 1 $$,
    $$ VALUES ('20', 'missed'), ('21', 'missed'), ('22', 'failed') $$,
        'missed, or failed by name; not before publish_from, not in time, no draft');
SELECT is(automapost.mark_missed(100), 0::bigint, 'said once');
SELECT t.post(26, 1, '{1}', now() - interval '5 days');
SELECT is(automapost.mark_missed(100), 1::bigint,
    'a post moved into the past is found behind the last look');
SELECT is((missed_until BETWEEN now() - interval '2 h 5 s' AND now() - interval '1 h 59 min'), true,
    'the last look is remembered') FROM automapost.installation;
SELECT t.post(30 + i, 1, '{1}', now() - i * interval '1 day') FROM generate_series(1, 5) i;
SELECT is(automapost.mark_missed(2) || ' ' || automapost.mark_missed(2) || ' ' ||
    automapost.mark_missed(2), '2 2 1', 'a few at a time, until all are said');

-- Old history
SELECT t.change('DELETE FROM automapost.job_queue'),
    t.change('DELETE FROM automapost.post_deliveries');
SELECT t.change($f$ INSERT INTO automapost.job_queue (id, job_type, status, finished_at)
    SELECT t.id(100 + n)::uuid, 'plain', status, now() - age
    FROM (VALUES (1, 'completed', interval '7 days 1 s'), (2, 'cancelled', '7 days 1 s'), (3,
        'completed', '6 days'), (4, 'failed', '30 days 1 s'),
        (5, 'timeout', '30 days 1 s'), (6, 'failed', '29 days'), (7, 'failed', '60 days'), (8,
            'pending', NULL)) v (n, status, age) $f$);
INSERT INTO automapost.job_executions (id, job_queue_id, status) VALUES (t.id(201)::uuid,
    t.id(101)::uuid, 'completed'), (t.id(203)::uuid, t.id(103)::uuid, 'completed');
INSERT INTO automapost.job_logs (job_execution_id, level, message) VALUES (t.id(201)::uuid, 'info',
    'old'), (t.id(203)::uuid, 'info', 'young');
INSERT INTO automapost.post_deliveries (post_id, auth_provider_id, kind, user_id, provider, due_at,
    state, job_id)
VALUES ('p7', 'a', 'post', 'u', 'x', now(), 'held', t.id(107)::uuid);
SELECT is(automapost.forget_old(2), 2::bigint, 'no more of each than asked for');
SELECT is(automapost.forget_old(100), 2::bigint, 'until nothing is old');
SELECT is((SELECT string_agg(right(id::text, 1), ' ' ORDER BY id) FROM automapost.job_queue),
    '3 6 7 8', 'the young, the one whose delivery waits for a person, and the pending stay');
SELECT is((SELECT string_agg(message, ' ') FROM automapost.job_logs), 'young',
    'attempts and log lines go with their job');
INSERT INTO automapost.job_executions (job_definition_id, status, finished_at)
SELECT id, 'completed', now() - age FROM automapost.job_definitions,
    (VALUES (interval '7 days 1 s'), ('6 days')) v (age) WHERE name = 'cleanup';
SELECT is(automapost.forget_old(100), 1::bigint, 'runs of services');
INSERT INTO automapost.workers (id, service, host, boot_id, pid, version, ended_at) VALUES ('old',
    's', 'h', 'b', 1, 'v', now() - interval '25 h'), ('young', 's', 'h', 'b', 1, 'v', now());
SELECT is(automapost.forget_old(100), 1::bigint, 'workers that ended a day ago');
SELECT is((SELECT string_agg(id, ' ' ORDER BY id) FROM automapost.workers), 'w1 young',
    'the living stays');
INSERT INTO automapost.rate_limits (key, until, reason, by) VALUES ('old', now() - interval '25 h',
    'r', 'p'), ('young', now() - interval '1 h', 'r', 'p');
SELECT automapost.forget_old(100);
SELECT is((SELECT string_agg(key, ' ') FROM automapost.rate_limits), 'young',
    'limits that were over a day ago');

DELETE FROM automapost.post_deliveries;
SELECT is(automapost.forget_old(100), 1::bigint,
    'a failed job whose delivery waits for nobody any more');
INSERT INTO automapost.post_deliveries (post_id, auth_provider_id, kind, user_id, provider, due_at,
    state, sent_at, applied_at, finished_at)
SELECT post, account, kind, 'u', 'x', now(), state, CASE state WHEN 'sent' THEN now() END, applied,
    now() - age
FROM (VALUES ('sent', 'a', 'post', 'sent', now(), interval '30 days 1 s'), ('sent', 'a', 'comment',
    'sent', NULL, '30 days 1 s'),
    ('failed', 'a', 'post', 'failed', NULL, '30 days 1 s'), ('missed', 'a', 'post', 'missed', NULL,
        '30 days 1 s'), ('cancelled', 'a', 'post', 'cancelled', NULL, '30 days 1 s'),
    ('young', 'a', 'post', 'sent', now(), '29 days'), ('young', 'b', 'post', 'failed', NULL,
        '29 days'),
    ('untold', 'a', 'post', 'sent', NULL, '60 days'), ('untold', 'a', 'comment', 'sent', NULL,
        '60 days'), ('untold', 'b', 'post', 'failed', NULL, '60 days'),
    ('held', 'a', 'post', 'held', NULL, NULL), ('open', 'a', 'post', 'pending', NULL,
        NULL)) v (post, account, kind, state, applied, age);
SELECT is(automapost.forget_old(100), 5::bigint,
    'deliveries of every end, comments too, after 30 days');
SELECT results_eq('SELECT post_id, auth_provider_id, kind FROM automapost.post_deliveries
    ORDER BY 1, 2, 3',
    $$ VALUES ('held', 'a', 'post'), ('open', 'a', 'post'), ('untold', 'a', 'comment'), ('untold',
        'a', 'post'), ('untold', 'b', 'post'), ('young', 'a', 'post'), ('young', 'b', 'post') $$,
    'not the young, nor what is open, nor those of a post that the application must hear of');
SELECT is(automapost.forget_old(100), 0::bigint, 'nothing twice');

-- Undefined types
SELECT t.change($f$ INSERT INTO automapost.job_queue (id, job_type, max_attempts, attempts)
    VALUES (t.id(301)::uuid, 'no-such', 2, 0) $f$);
SELECT is(automapost.try_undefined_jobs(100), 1::bigint,
    'a due job of a type that nobody defines is tried');
SELECT is((q.status, q.attempts, q.error_message, q.scheduled_for > clock_timestamp() - interval
    '1 s')::text, ('pending', 1, 'no handler for job type: no-such', true)::text,
    'the first time: again after a backoff') FROM t.job(t.id(301)) q;
SELECT t.change('UPDATE automapost.job_queue SET scheduled_for = now() - interval ''1 s''');
SELECT is(automapost.try_undefined_jobs(100), 1::bigint, 'tried again');
SELECT is((q.status, q.attempts, q.error_code)::text, '(failed,2,no-handler)',
    'the last time: failed') FROM t.job(t.id(301)) q;
SELECT is((SELECT string_agg(status || ' ' || retry_count, ', ' ORDER BY retry_count)
    FROM automapost.job_executions WHERE job_queue_id = t.id(301)::uuid), 'failed 0, failed 1',
    'each try is a row');
SELECT t.change($f$ INSERT INTO automapost.job_queue (job_type) VALUES ('cleanup'), ('plain') $f$);
SELECT is(automapost.try_undefined_jobs(100), 1::bigint,
    'a service is no type; a type without a due job is left alone');
SELECT is((SELECT status FROM automapost.job_queue WHERE job_type = 'plain' AND attempts = 0
    AND finished_at IS NULL LIMIT 1), 'pending',
    'a defined type stays pending, for whoever has a handler');

SELECT * FROM finish();
ROLLBACK;
