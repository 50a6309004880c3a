-- SPDX-License-Identifier: MIT
-- claim_jobs(): which jobs, in which order, how many, under which leases.
BEGIN;
SELECT plan(61);
SELECT t.worker('w1'), t.worker('w2');

CREATE FUNCTION pg_temp.plain(n bigint, priority bigint DEFAULT 5, due timestamptz DEFAULT now(),
                              type text DEFAULT 'plain')
RETURNS text LANGUAGE sql AS $$
    SELECT id FROM automapost.enqueue(type, jsonb_build_object('n', n), priority, due)
$$;
CREATE FUNCTION pg_temp.numbers(ids text[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(q.payload ->> 'n', ' ' ORDER BY i.n)
    FROM unnest(ids) WITH ORDINALITY i (id, n) JOIN automapost.job_queue q ON q.id = i.id::uuid
$$;
CREATE FUNCTION pg_temp.one_by_one() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    got text[];
    all_of_them text := '';
BEGIN
    LOOP
        got := t.claim('w1', '{plain}', 1);
        EXIT WHEN got = '{}';
        all_of_them := all_of_them || pg_temp.numbers(got) || ' ';
    END LOOP;
    RETURN rtrim(all_of_them);
END $$;

-- Order
SELECT pg_temp.plain(1, 5, now() - interval '2 min'), pg_temp.plain(2, 9, now() - interval '1 min'),
    pg_temp.plain(3, 5, now() - interval '3 min'), pg_temp.plain(4, 9, now() + interval '1 min'),
    pg_temp.plain(5, 0, now() - interval '1 h'), pg_temp.plain(6, 1000, now() + interval '1 h'),
    pg_temp.plain(7, 5, now() - interval '2 min');
SELECT t.change($$ UPDATE automapost.job_queue SET created_at = now() - interval '1 s'
    WHERE payload ->> 'n' = '7' $$);
SELECT is(pg_temp.one_by_one(), '2 3 7 1 5',
    'priority descending, due time, creation; what is due later stays');
SELECT is((SELECT string_agg(payload ->> 'n', ' ' ORDER BY payload ->> 'n')
    FROM automapost.job_queue WHERE status = 'pending'),
    '4 6', 'future ones of any priority stay pending');
SELECT ok((SELECT count(DISTINCT lease) = 5 AND bool_and(locked_by = 'w1'
    AND locked_at <= clock_timestamp()
        AND execution_id IS NOT NULL AND NOT begun) FROM automapost.job_queue
            WHERE status = 'running'),
    'each has a lease and an execution of its own, and whose it is');
SELECT is((c.attempt, c.mode, c.input)::text, (1::bigint, 'run', '{"n": 2}'::jsonb)::text,
    'the answer has the attempt, the mode and the input')
FROM t.claims c WHERE c.input ->> 'n' = '2';
SELECT is((SELECT DISTINCT attempts FROM automapost.job_queue WHERE status = 'running'), 1,
    'without a begin, the claim uses the attempt');

-- Whose, and again
SELECT t.refuses('SELECT automapost.claim_jobs(''stranger'', ''b'', ''{plain}'', 1)', 'AM001',
    'worker stranger is not registered', 'a worker that nobody knows');
SELECT t.worker('gone'), automapost.release_worker('gone', 'finished');
SELECT t.refuses('SELECT automapost.claim_jobs(''gone'', ''b'', ''{plain}'', 1)', 'AM001',
    'worker gone is not registered, or has lapsed', 'a worker that has ended');
SELECT pg_temp.plain(10, due => now() - interval '2 s'), pg_temp.plain(11, due => now() - interval '1 s'),
    pg_temp.plain(12);
CREATE TEMP TABLE batch AS
SELECT id, lease FROM automapost.claim_jobs('w1', 'b1', '{plain}', 2);
SELECT is((SELECT count(*) FROM batch), 2::bigint, 'no more than asked for');
SELECT set_eq('SELECT id, lease FROM automapost.claim_jobs(''w1'', ''b1'', ''{plain}'', 2)',
    'SELECT * FROM batch',
    'the same batch again: the same jobs under the same leases');
SELECT is(pg_temp.numbers(t.claim('w2', '{plain}', 9, 'b1')), '12', 'a batch is one worker''s own');
SELECT is(t.claim('w1', '{refresh-token}'), '{}', 'types not asked for are not given');
SELECT is(t.claim('w1', '{}'), '{}', 'no types, no jobs');

-- Paused, inactive, not ours
SELECT pg_temp.plain(20);
SELECT automapost.pause('plain', 'for the test');
SELECT is(t.claim(), '{}', 'paused until resumed');
SELECT automapost.pause('plain', 'for the test', now() + interval '1 h');
SELECT is(t.claim(), '{}', 'paused for an hour');
SELECT t.change('UPDATE automapost.job_definitions SET paused_until = now()
    WHERE name = ''plain''');
SELECT is(pg_temp.numbers(t.claim()), '20',
    'the end of a pause is no event: it is over when it is over');
SELECT pg_temp.plain(21);
SELECT t.change('UPDATE automapost.job_definitions SET paused_at = NULL, is_active = false
    WHERE name = ''plain''');
SELECT is(t.claim(), '{}', 'not active');
SELECT t.change('UPDATE automapost.job_definitions SET is_active = true, handler = ''external''
    WHERE name = ''plain''');
SELECT is(t.claim(), '{}', 'an external worker''s type is not for services');
SELECT t.change('UPDATE automapost.job_definitions SET handler = ''builtin''
    WHERE name = ''plain''');
SELECT is(pg_temp.numbers(t.claim()), '21', 'and back');

-- concurrency_limit: exact, of what is running
SELECT t.change('UPDATE automapost.job_definitions SET concurrency_limit = 3
    WHERE name = ''plain''');
SELECT t.change('UPDATE automapost.job_queue SET status = ''completed'', lease = NULL,
    finished_at = now() WHERE status = ''running''');
SELECT pg_temp.plain(30), pg_temp.plain(31), pg_temp.plain(32), pg_temp.plain(33), pg_temp.plain(34,
    9);
SELECT is(cardinality(t.claim(n => 2)), 2, 'two of three');
SELECT is(cardinality(t.claim('w2')), 1, 'the third, for whoever asks');
SELECT is(t.claim('w2'), '{}', 'no fourth');
SELECT is((SELECT count(*) FROM automapost.job_queue WHERE status = 'running'
    AND payload ->> 'n' = '34'), 1::bigint,
    'the higher priority was among them');
SELECT t.settle((SELECT id::text FROM automapost.job_queue WHERE status = 'running'
    ORDER BY id LIMIT 1), 'done');
SELECT is(cardinality(t.claim('w2')), 1, 'one ended, one more');
SELECT t.change('UPDATE automapost.job_queue SET status = ''cancelled'', lease = NULL,
    finished_at = now() WHERE status IN (''running'', ''pending'')');

-- Limits of an account: two at once, exactly; a rate limit of it or of its provider
SELECT t.member(1), t.account(1, 1, 'mastodon'), t.account(2, 1, 'webhook');
SELECT t.post(100 + i, 1, '{1}') FROM generate_series(1, 3) i;
SELECT t.post(110, 1, '{2}', now() - interval '30 s');
SELECT is(t.collect(), 4::bigint, 'four deliveries');
INSERT INTO automapost.rate_limits (key, until, reason, by)
VALUES ('mastodon', now() + interval '1 h', '429', 'platform'),
    ('webhook:' || t.id(2), now() + interval '1 h', '429', 'platform');
SELECT is(t.claim(), '{}', 'a limited provider and a limited account are passed over');
UPDATE automapost.rate_limits SET until = now() WHERE key = 'webhook:' || t.id(2);
SELECT is(t.claim(), ARRAY[t.job_of(110, account => 2)], 'until it is over');
DELETE FROM automapost.rate_limits;
SELECT is(cardinality(t.claim()), 2, 'two of one account');
SELECT is(t.claim('w2'), '{}', 'no third for anybody');
SELECT is((SELECT max(attempts) FROM automapost.job_queue WHERE status = 'running'), 0,
    'where there is a begin, the claim uses no attempt');
SELECT automapost.release_worker('w1', 'finished');
SELECT is(cardinality(t.claim('w2', n => 1)), 1, 'put back, claimed again by another');
SELECT t.change('UPDATE automapost.job_definitions SET key_limit = 1
    WHERE name = ''social-media-post''');
SELECT is((SELECT count(*) FROM unnest(t.claim('w2')) i WHERE (t.job(i)).limit_key LIKE
    'mastodon%'), 0::bigint,
    'the definition''s own limit of one');
SELECT automapost.release_worker('w2', 'finished');
SELECT t.change('UPDATE automapost.job_queue SET status = ''cancelled'', finished_at = now()
    WHERE status = ''pending''');
DELETE FROM posts;
SELECT t.change('UPDATE automapost.job_definitions SET key_limit = 2
    WHERE name = ''social-media-post''');

-- Counted with those that run, and of each type by its own limit
SELECT t.worker('w4');
SELECT t.change('INSERT INTO automapost.job_definitions (name, kind, handler, key_limit, concurrency_limit)
    VALUES (''few'', ''type'', ''builtin'', 2, NULL), (''more'', ''type'', ''builtin'', 3, NULL)');
CREATE FUNCTION pg_temp.wait(key text, VARIADIC types text[]) RETURNS void LANGUAGE sql AS $$
    SELECT automapost.enqueue(y.name, scheduled_for => now() - (9 - y.nth) * interval '1 s', limit_key => key)
    FROM unnest(types) WITH ORDINALITY y (name, nth)
$$;
CREATE FUNCTION pg_temp.claimed() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(q.job_type, ' ' ORDER BY q.job_type)
    FROM unnest(t.claim('w4', '{few,more}')) c (id), t.job(c.id) q
$$;
SELECT pg_temp.wait('one', 'more');
SELECT is(pg_temp.claimed(), 'more', 'one of a key runs');
SELECT pg_temp.wait('one', 'few', 'few');
SELECT is(pg_temp.claimed(), 'few', 'of two more one fits');
SELECT pg_temp.wait('two', 'more', 'few', 'few');
SELECT is(pg_temp.claimed(), 'few more', 'of three at once two, where the third''s type may have no third');

-- Types take turns
SELECT t.change('INSERT INTO automapost.job_definitions (name, kind, handler, concurrency_limit)
    VALUES (''left'', ''type'', ''builtin'', NULL), (''right'', ''type'', ''builtin'', NULL)');
CREATE FUNCTION pg_temp.both(n bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(j.job_type || ' ' || (j.payload ->> 'n'), ', ' ORDER BY j.job_type, j.payload ->> 'n')
    FROM unnest(t.claim('w4', '{left,right}', n)) c (id), t.job(c.id) j
$$;
SELECT pg_temp.plain(i, 5, now() - interval '1 h' + i * interval '1 s', 'left') FROM generate_series(1, 9) i;
SELECT pg_temp.plain(i, 5, now() - interval '1 min' + i * interval '1 s', 'right') FROM generate_series(1, 4) i;
SELECT is(pg_temp.both(4), 'left 1, left 2, right 1, right 2', 'a type of which much waits leaves its turn to another');
SELECT pg_temp.plain(i, 9, now(), 'right') FROM generate_series(7, 8) i;
SELECT is(pg_temp.both(4), 'left 3, left 4, right 7, right 8', 'who had some of a higher priority has had its turns');
SELECT is(pg_temp.both(9), 'left 5, left 6, left 7, left 8, left 9, right 3, right 4', 'none is left over');

-- An account that is behind: one at a time, in order, a pace apart
SELECT t.worker('w3'), t.member(3), t.account(3, 3, 'webhook');
SELECT t.post(300 + i, 3, '{3}', now() - i * interval '5 min') FROM generate_series(1, 3) i;
SELECT t.collect();
SELECT is(t.claim('w3'), ARRAY[t.job_of(303, account => 3)], 'the one that waited longest, alone');
SELECT is(t.claim('w3'), '{}', 'no other beside it');
SELECT is(t.begin(t.job_of(303, account => 3)), 'go', 'it begins');
SELECT is(t.settle(t.job_of(303, account => 3), 'done', t.receipt('r303')), 'settled completed',
    'and is out');
SELECT is(t.claim('w3'), '{}', 'the next not before a pace has passed');
SELECT t.pass('59 s');
SELECT is(t.claim('w3'), '{}', 'not after 59 s');
SELECT t.pass('2 s');
SELECT is(t.claim('w3'), ARRAY[t.job_of(302, account => 3)], 'but after 61');
SELECT is(t.settle(t.job_of(302, account => 3), 'put-back'), 'settled pending',
    'one that never began');
SELECT is(t.claim('w3'), ARRAY[t.job_of(302, account => 3)], 'delays nobody and keeps its place');

-- A row that cannot be loaded keeps no other waiting
CREATE OR REPLACE FUNCTION automapost.load_plain(p_jobs uuid[])
RETURNS TABLE (id uuid, mode text, input jsonb) LANGUAGE sql AS $$
    SELECT q.id, 'run', to_jsonb(12 / (q.payload ->> 'n')::bigint)
    FROM automapost.job_queue q WHERE q.id = ANY (p_jobs)
$$;
SELECT t.change('UPDATE automapost.job_definitions SET concurrency_limit = NULL
    WHERE name = ''plain''');
SELECT pg_temp.plain(0), pg_temp.plain(3), pg_temp.plain(4);
SELECT set_eq($$ SELECT pg_temp.numbers(ARRAY[i]) FROM unnest(t.claim('w3', '{plain}')) i $$,
    ARRAY['3', '4'], 'the others are given');
SELECT is((status, error_code, scheduled_for > clock_timestamp())::text, ('pending', 'input',
    true)::text,
    'it comes again later') FROM automapost.job_queue WHERE payload = '{"n": 0}';
SELECT matches(error_message, 'its input cannot be read: division by zero', 'and says why')
FROM automapost.job_queue WHERE payload = '{"n": 0}';

-- is_runnable
SELECT results_eq($$
    SELECT automapost.is_runnable(d) FROM (VALUES (true, NULL::timestamptz, NULL::timestamptz),
        (false, NULL, NULL),
        (true, now(), NULL), (true, now(), now() + interval '1 h'), (true, now() - interval '1 h',
            now()),
        (false, now() - interval '1 h', now())) v (active, paused, until),
    LATERAL jsonb_populate_record(NULL::automapost.job_definitions, jsonb_build_object(
        'is_active', active, 'paused_at', paused, 'paused_until', until)) d
    $$, ARRAY[true, false, false, false, true, false],
        'runnable: active, and not paused at this moment');

-- lock_worker
SELECT is((automapost.lock_worker('w3')).id, 'w3', 'lock_worker answers the living worker');
SELECT throws_ok('SELECT automapost.lock_worker(''w1'')', 'AM001',
    'worker w1 is not registered, or has lapsed', 'and refuses the ended one');
SELECT throws_ok('SELECT automapost.lock_worker(NULL)', 'AM001', NULL, 'and no name at all');
SELECT lives_ok('SELECT automapost.share_worker(''w3'')', 'share_worker takes the living one');
SELECT throws_ok('SELECT automapost.share_worker(''w1'')', 'AM001',
    'worker w1 is not registered, or has lapsed', 'not the ended one');
SELECT throws_ok('SELECT automapost.share_worker(NULL)', 'AM001', NULL, 'nor no name at all');

-- What is waited for on disk: what must not happen twice
SET LOCAL synchronous_commit = on;
SELECT pg_temp.plain(60);
SELECT t.claim('w3');
SELECT is(current_setting('synchronous_commit'), 'off', 'a plain job is done again after a crash');
SET LOCAL synchronous_commit = on;
SELECT automapost.enqueue('noop-send');
SELECT is(cardinality(t.claim('w3', '{noop-send}')), 1, 'what touches the world');
SELECT is(current_setting('synchronous_commit'), 'off', 'does so after its begin, which is on disk');
SET LOCAL synchronous_commit = on;
SELECT t.member(60), t.account(60, 60, 'bluesky');
SELECT automapost.enqueue('refresh-token', jsonb_build_object('authProviderId', t.id(60)));
SELECT is(cardinality(t.claim('w3', '{refresh-token}')), 1, 'a token to be refreshed');
SELECT is(current_setting('synchronous_commit'), 'on', 'is not: refreshing uses it up');

SELECT * FROM finish();
ROLLBACK;
