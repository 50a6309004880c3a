-- SPDX-License-Identifier: MIT
-- begin_jobs(), the write-ahead: what is on record before the first byte leaves, and every reason
-- for which no byte leaves.
BEGIN;
SELECT plan(80);
SELECT t.worker('w1'), t.worker('w2');

-- go
SELECT t.publishing(1);
SELECT is(t.claim(), ARRAY[t.job_of(1)], 'claimed');
CREATE TEMP TABLE first AS SELECT * FROM t.claims;
SELECT is(b.verdict || b.begin_number, 'go1', 'go, and the number of this begin')
FROM first f, automapost.begin_jobs('w1', 'batch-1', jsonb_build_array(jsonb_build_object(
    'id', f.id, 'lease', f.lease, 'version', f.input #>> '{post,version}', 'handle', 'h1', 'way',
        'read',
    'request', '{"target": "there", "body": "the body"}'::jsonb))) b;
SELECT is((d.state, d.begin_number, d.begin_batch, d.handle, d.way, d.request, d.lease)::text,
    ('sending', 1, 'batch-1', 'h1', 'read', '{"target": "there", "body": "the body"}'::jsonb,
        f.lease)::text,
    'the delivery says that it is being sent, under which lease, and exactly what')
FROM t.delivery(1) d, first f;
SELECT is(d.request_sha256, encode(sha256('the body'), 'hex'), 'with its digest')
FROM t.delivery(1) d;
SELECT ok(d.begun_at = d.first_sent_at AND t.is_in(d.begun_at, '0 s')
    AND d.version = f.input #>> '{post,version}', 'since when, and which version of the post')
FROM t.delivery(1) d, first f;
SELECT is((q.status, q.begun, q.attempts)::text, ('running', true, 1)::text,
    'the job has begun: one attempt')
FROM t.job(t.job_of(1)) q;
SELECT ok(t.is_in(last_begun, '0 s'), 'the account''s pace counts from here')
FROM automapost.limit_keys WHERE key = 'webhook:' || t.id(1);
SELECT is(t.begin(t.job_of(1), 'batch-1'), 'go', 'the same batch again: the same go');
SELECT is((t.delivery(1)).begin_number || ' ' || (t.job(t.job_of(1))).attempts, '1 1',
    'counted once');
SELECT is(t.begin(t.job_of(1), 'batch-2'), 'lost', 'another batch cannot begin what has begun');
SELECT is(t.state(1), 'running 1 sending -', 'and changes nothing');
SELECT is(t.settle(t.job_of(1), 'done', t.receipt('r1')), 'settled completed', 'out');

-- Whose lease
SELECT t.publishing(2);
SELECT is(t.claim(), ARRAY[t.job_of(2)], 'claimed');
UPDATE t.claims SET lease = lease + 1000 WHERE id = t.job_of(2);
SELECT is(t.begin(t.job_of(2)), 'lost', 'another lease');
UPDATE t.claims SET lease = lease - 1000 WHERE id = t.job_of(2);
SELECT is(t.state(2), 'running 0 pending -', 'changes nothing');
SELECT is(verdict, 'lost', 'a job that nobody knows')
FROM automapost.begin_jobs('w1', 'b', jsonb_build_array(jsonb_build_object('id', t.id(99), 'lease',
    1)));
SELECT is(t.begin(t.job_of(2), beat_age => '9 s'), 'stale', 'a worker whose last beat is 9 s old begins nothing');
SELECT is(t.state(2), 'running 0 pending -', 'and nothing is changed');
SELECT is(t.begin(t.job_of(2), beat_age => '4 s'), 'go', 'at 4 s it does');
SELECT automapost.release_worker('w1', 'killed');
SELECT throws_ok(format('SELECT t.begin(%L)', t.job_of(2)), 'AM001', NULL,
    'an ended worker begins nothing');
SELECT t.worker('w3');

-- The post was changed since it was loaded: put back whole, claimed anew
CREATE FUNCTION pg_temp.after(n bigint, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    verdict text;
BEGIN
    PERFORM t.later();
    PERFORM t.publishing(n);
    PERFORM t.claim('w3', '{social-media-post}');
    EXECUTE format(what, t.id(n));
    verdict := t.begin(t.job_of(n));
    RETURN verdict || ': ' || t.state(n);
END $$;
SELECT is(pg_temp.after(n, change), 'again: pending 0 pending -',
    name || ': put back, no attempt used')
FROM (VALUES (10, 'edited', 'UPDATE posts SET content = ''new'' WHERE id = %L'),
    (11, 'moved to another past time',
        'UPDATE posts SET "scheduledTo" = "scheduledTo" - interval ''1 min'' WHERE id = %L'),
    (12, 'moved later', 'UPDATE posts SET "scheduledTo" = now() + interval ''1 h'' WHERE id = %L'),
    (13, 'its accounts changed', 'UPDATE posts SET "authProviderIds" = ''{}'' WHERE id = %L'),
    (14, 'its platforms changed', 'UPDATE posts SET providers = ''{webhook}'' WHERE id = %L'),
    (15, 'unapproved', 'UPDATE posts SET status = ''DRAFT'' WHERE id = %L'),
    (16, 'deleted', 'UPDATE posts SET "deletedAt" = now() WHERE id = %L'),
    (17, 'gone', 'DELETE FROM posts WHERE id = %L')) v (n, name, change);
SELECT t.pass('2 h');
SELECT set_eq($$
    SELECT n FROM unnest(t.claim('w3', '{social-media-post}')) i (id), generate_series(10, 17) n
    WHERE t.job_of(n) = i.id $$, ARRAY[10, 11, 14],
    'claimed again: those that are still due and still go to this account');
SELECT is((SELECT input #>> '{post,text}' FROM t.claims WHERE id = t.job_of(10)), 'new',
    'with the new text');
SELECT is(t.begin(t.job_of(10)), 'go', 'which begins');
SELECT is(pg_temp.after(18, 'UPDATE posts SET "firstComment" = ''first!'' WHERE id = %L'),
    'go: running 1 sending -',
    'a first comment is no part of the post''s version');

-- Cancelled, paused
SELECT is(pg_temp.after(20, 'SELECT automapost.cancel(t.job_of(20)) -- %s'),
    'cancelled: cancelled 0 cancelled cancelled',
    'cancelled before begin: no attempt used');
SELECT is((t.delivery(20)).cancelled_by, session_user::text, 'by whom');
SELECT is(pg_temp.after(21, 'SELECT automapost.pause(''social-media-post'', ''why'') -- %s'),
    'paused: pending 0 pending -',
    'paused until resumed: put back');
SELECT automapost.resume('social-media-post');
SELECT is(pg_temp.after(22,
    'SELECT automapost.pause(''social-media-post'', ''why'', now() + interval ''1 h'') -- %s'),
    'paused: pending 0 pending -', 'paused for an hour: put back');
SELECT automapost.resume('social-media-post');
SELECT is(pg_temp.after(23, 'SELECT automapost.pause(''provider:webhook'', ''why'') -- %s'),
    'paused: pending 0 pending -',
    'the provider paused: put back');
SELECT automapost.resume('provider:webhook');
SELECT is(pg_temp.after(24, 'SELECT automapost.pause(''provider:webhook:%s'', ''why'')'),
    'paused: pending 0 pending -',
    'the account paused: put back');
SELECT automapost.resume('provider:webhook:' || t.id(24));
SELECT is(pg_temp.after(25,
    'INSERT INTO automapost.rate_limits (key, until, reason, by) VALUES (''webhook:%s'',
    ''infinity'', ''429'', ''platform'')'),
    'go: running 1 sending -', 'a rate limit is for claim; what is claimed goes');

-- Late
SELECT is(pg_temp.after(30,
    'UPDATE automapost.post_deliveries SET due_at = now() - interval ''2 h 1 s''
    WHERE post_id = %L'),
    'late: failed 0 missed missed-late', 'past the late limit meanwhile: missed');
SELECT is(pg_temp.after(31,
    'UPDATE automapost.post_deliveries SET due_at = now() - interval ''2 h 1 s'',
    late_allowed = true WHERE post_id = %L'),
    'go: running 1 sending -', 'unless somebody wants it however late');

-- The same bytes once more, only for the post that they were made for
CREATE FUNCTION pg_temp.resend(n bigint, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job text;
BEGIN
    PERFORM t.later();
    job := t.publishing(n);
    PERFORM t.claim('w3', '{social-media-post}');
    PERFORM t.begin(job, way => 'resend', body => 'first bytes');
    PERFORM t.settle(job, 'unknown');
    PERFORM t.pass('46 s');
    IF t.claim('w3', '{social-media-post}') <> ARRAY[job] THEN
        RETURN 'not claimed';
    END IF;
    EXECUTE format(what, t.id(n));
    RETURN t.begin(job, way => 'resend', body => 'other bytes') || ': ' || t.state(n);
END $$;
SELECT is(pg_temp.resend(40, 'SELECT %L'), 'go: running 2 sending -',
    'unchanged: it goes once more');
SELECT is((d.request ->> 'body', d.begin_number, d.begun_at > d.first_sent_at)::text,
    ('first bytes', 2, true)::text,
    'with the bytes of the first time') FROM t.delivery(40) d;
SELECT is((t.delivery(40)).request_sha256, encode(sha256('first bytes'), 'hex'),
    'and their digest');
SELECT is(pg_temp.resend(41, 'UPDATE posts SET status = ''SENT'' WHERE id = %L'),
    'go: running 2 sending -',
    'SENT on another account: it goes');
SELECT is(pg_temp.resend(n, change), 'held: failed 1 held unconfirmed', name || ' since: held')
FROM (VALUES (42, 'edited', 'UPDATE posts SET content = ''new'' WHERE id = %L'),
    (43, 'deleted', 'UPDATE posts SET "deletedAt" = now() WHERE id = %L'),
    (44, 'gone', 'DELETE FROM posts WHERE id = %L'),
    (45, 'unapproved', 'UPDATE posts SET status = ''DRAFT'' WHERE id = %L'),
    (46, 'cancelled', 'SELECT automapost.cancel((t.delivery(46)).job_id::text) -- %s'),
    (47, 'paused', 'SELECT automapost.pause(''provider:webhook:%s'', ''why'')')) v (n, name,
        change);
SELECT matches((t.delivery(42)).detail, 'it may be published, and the post was edited since',
    'with the reason');
SELECT is((t.job(t.job_of(42))).error_code, 'held', 'the job fails with code held');
SELECT automapost.pause('social-media-post', 'why');
SELECT automapost.resume('social-media-post');

-- A delivery that is over
SELECT is(pg_temp.after(50,
    'UPDATE automapost.post_deliveries SET state = ''failed'', finished_at = now()
    WHERE post_id = %L'),
    'cancelled: cancelled 0 failed superseded', 'a delivery that has ended cannot begin');
SELECT is(t.publishing(51) = ANY (t.claim('w3')), true, 'claimed');
UPDATE automapost.post_deliveries SET job_id = t.id(1)::uuid WHERE post_id = t.id(51);
SELECT is(t.begin(id), 'cancelled', 'nor one that names another job')
FROM t.claims WHERE input #>> '{post,id}' = t.id(51);

-- A batch of several: each its own verdict
DELETE FROM posts;
SELECT t.later();
SELECT t.publishing(60), t.publishing(61), t.publishing(62);
SELECT is(cardinality(t.claim('w3', '{social-media-post}')), 3, 'three claimed');
UPDATE posts SET content = 'new' WHERE id = t.id(61)::uuid;
SELECT automapost.beat('w3', ARRAY(SELECT lease FROM t.claims));
SELECT results_eq($$
    SELECT b.verdict, b.begin_number FROM automapost.begin_jobs('w3', 'b-3', (
        SELECT jsonb_agg(jsonb_build_object('id', c.id, 'lease', c.lease, 'version',
            c.input #>> '{post,version}',
            'handle', 'h', 'way', 'none', 'request', '{"body": "b"}'::jsonb))
        FROM t.claims c WHERE c.id IN (t.job_of(60), t.job_of(61), t.job_of(62)))) b
    JOIN automapost.post_deliveries d ON d.job_id::text = b.id ORDER BY d.post_id
    $$, $$ VALUES ('go', 1::bigint), ('again', NULL), ('go', 1) $$, 'go, again, go');

-- A lease is its worker's alone: a database that was put back may give the same once more
SELECT t.publishing(63), t.worker('w4');
SELECT is(cardinality(t.claim('w4', '{social-media-post}')), 2, 'claimed by another worker');
UPDATE t.claims SET worker = 'w3' WHERE id = t.job_of(63);
SELECT is(t.begin(t.job_of(63)), 'lost', 'who only knows its number begins nothing');
UPDATE t.claims SET worker = 'w4' WHERE id = t.job_of(63);
SELECT is(t.begin(t.job_of(63)), 'go', 'its own does');

-- What is no delivery
CREATE FUNCTION pg_temp.sender(n bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job text := (SELECT id FROM automapost.enqueue('noop-send', jsonb_build_object('n', n)));
BEGIN
    PERFORM t.worker('w5');
    PERFORM t.claim('w5', '{noop-send}');
    RETURN job;
END
$$;
CREATE FUNCTION pg_temp.is_now(job text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', q.status, q.attempts, CASE WHEN q.begun THEN 'begun' END, q.error_code)
    FROM t.job(job) q
$$;
CREATE TEMP TABLE s AS SELECT pg_temp.sender(1) AS job;
SELECT is(pg_temp.is_now(job), 'running 0', 'claimed, no attempt is used') FROM s;
SELECT is(t.begin(job, 'b-s'), 'go', 'it needs its lease alone') FROM s;
SELECT is(pg_temp.is_now(job), 'running 1 begun', 'and is on record as begun') FROM s;
SELECT is(t.begin(job, 'b-s'), 'go', 'asked again') FROM s;
SELECT is(pg_temp.is_now(job), 'running 1 begun', 'it is begun once') FROM s;
SELECT is(t.begin(job, 'b-t'), 'lost', 'in another batch not at all') FROM s;
SELECT is(t.settle(job, 'done'), 'settled completed', 'done') FROM s;
SELECT is((x.status, x.retry_count)::text, '(completed,0)', 'its attempt is a row')
FROM s JOIN automapost.job_executions x ON x.job_queue_id::text = s.job;

CREATE TEMP TABLE s2 AS SELECT pg_temp.sender(2) AS job;
SELECT automapost.cancel(job) FROM s2;
SELECT is(t.begin(job) || ': ' || pg_temp.is_now(job), 'cancelled: cancelled 0 cancelled', 'cancelled before')
FROM s2;
CREATE TEMP TABLE s3 AS SELECT pg_temp.sender(3) AS job;
SELECT automapost.pause('noop-send', 'test');
SELECT is(t.begin(job) || ': ' || pg_temp.is_now(job), 'paused: pending 0', 'paused before') FROM s3;
SELECT automapost.resume('noop-send');
SELECT automapost.cancel(job) FROM s3;

-- Many at a time: those that go, and each other's own verdict
SELECT t.worker('w7');
CREATE TEMP TABLE many AS SELECT n, e.id FROM generate_series(1, 6) n, LATERAL automapost.enqueue(
    'noop-send', jsonb_build_object('n', n)) e;
GRANT SELECT ON many TO PUBLIC;
SELECT t.change('UPDATE automapost.job_queue q SET limit_key = ''webhook:'' || m.n FROM many m WHERE m.id = q.id::text');
SELECT t.claim('w7', '{noop-send}', 6);
SELECT automapost.cancel(id) FROM many WHERE n = 2;
SELECT automapost.pause('provider:webhook:4', 'test');
UPDATE t.claims SET lease = lease + 1000000 WHERE id = (SELECT id FROM many WHERE n = 6);
DELETE FROM automapost.limit_keys;
CREATE TEMP TABLE said AS SELECT b.* FROM automapost.begin_jobs('w7', 'b-many', (
    SELECT jsonb_agg(jsonb_build_object('id', c.id, 'lease', c.lease, 'way', 'resend')) FROM t.claims c
    JOIN many m ON m.id = c.id)) b;
SELECT results_eq($$ SELECT m.n || ' ' || s.verdict || ': ' || pg_temp.is_now(m.id)
    FROM many m JOIN said s ON s.id = m.id ORDER BY m.n $$,
    ARRAY['1 go: running 1 begun', '2 cancelled: cancelled 0 cancelled', '3 go: running 1 begun',
        '4 paused: pending 0', '5 go: running 1 begun', '6 lost: running 0'], 'each its own');
SELECT is((SELECT count(*) FROM said), 6::bigint, 'and no more');
SELECT is((SELECT count(*) FROM automapost.limit_keys), 0::bigint,
    'of no account was anything posted');
SELECT automapost.resume('provider:webhook:4'), automapost.release_worker('w7', 'test');
SELECT t.change('DELETE FROM automapost.job_queue q USING many m WHERE m.id = q.id::text');

-- Its worker dies, or says that it does not know: it is done once more, as often as it may be tried
CREATE TEMP TABLE s4 AS SELECT pg_temp.sender(4) AS job;
SELECT t.begin(job) FROM s4;
SELECT automapost.release_worker('w5', 'test');
SELECT is(pg_temp.is_now(job), 'pending 1 worker-died', 'begun by one that died') FROM s4;
SELECT ok(t.is_in((t.job(job)).scheduled_for, (SELECT send_deadline + reconcile_margin FROM automapost.engine)),
    'not before it can have ended') FROM s4;
SELECT t.pass('10 min'), t.worker('w6');
SELECT is(t.claim('w6', '{noop-send}'), ARRAY[job], 'then again') FROM s4;
SELECT t.begin(job) FROM s4;
SELECT is(t.settle(job, 'unknown', '{"class": "unknown-outcome", "code": "odd", "message": "?"}') || ': '
    || pg_temp.is_now(job), 'settled pending: pending 2 odd', 'an end that nobody saw') FROM s4;
SELECT t.pass('1 h'), t.claim('w6', '{noop-send}'), t.begin(job) FROM s4;
SELECT is(t.settle(job, 'unknown', '{"class": "unknown-outcome", "code": "odd", "message": "?"}') || ': '
    || pg_temp.is_now(job), 'settled failed: failed 3 odd', 'at the third attempt it has failed') FROM s4;
CREATE TEMP TABLE s5 AS SELECT id AS job FROM automapost.enqueue('noop-send', '{}', max_attempts => 1);
GRANT SELECT ON s5 TO PUBLIC;
SELECT t.claim('w6', '{noop-send}'), t.begin(job) FROM s5;
SELECT automapost.release_worker('w6', 'test');
SELECT is(pg_temp.is_now(job), 'failed 1 worker-died', 'so it has when its worker dies') FROM s5;

SELECT * FROM finish();
ROLLBACK;
