-- SPDX-License-Identifier: MIT
-- apply: when the application hears that a post is out, and how its first comment comes and goes.
BEGIN;
SELECT plan(34);
SELECT t.worker('w1');

-- Two accounts: SENT when no delivery can change any more and one is sent; since the first one
CREATE FUNCTION pg_temp.two(n bigint, first text, second text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.member(n), t.account(n, n, 'webhook'), t.account(n + 1, n, 'webhook'), t.post(n, n,
        ARRAY[n, n + 1]), t.collect();
    UPDATE automapost.post_deliveries d SET state = v.state, request = '{}', finished_at = now(),
        version = 'x',
        cancelled_by = 'operator', sent_at = CASE v.state WHEN 'sent' THEN now() - v.ago END
    FROM (VALUES (t.id(n), first, interval '1 min'), (t.id(n + 1), second,
        interval '2 min')) v (account, state, ago)
    WHERE d.post_id = t.id(n) AND d.auth_provider_id = v.account;
    UPDATE automapost.post_deliveries d SET version = automapost.post_version(p.content,
        p."scheduledTo", p.providers, p."authProviderIds")
    FROM posts p WHERE p.id::text = d.post_id;
    PERFORM t.change(format('SELECT automapost.apply_social_media_post(ARRAY[%L])', t.id(n)));
    RETURN (SELECT status || COALESCE(' ' || (now() - "publishedAt"), '') FROM posts
        WHERE id = t.id(n)::uuid);
END $$;
SELECT is(pg_temp.two(100 + 10 * n, first, second), wanted,
    first || ' and ' || second || ': ' || wanted)
FROM (VALUES (1, 'sent', 'sent', 'SENT 00:02:00'), (2, 'sent', 'failed', 'SENT 00:01:00'), (3,
    'sent', 'missed', 'SENT 00:01:00'),
    (4, 'sent', 'cancelled', 'SENT 00:01:00'), (5, 'sent', 'pending', 'SCHEDULED'), (6, 'sent',
        'sending', 'SCHEDULED'),
    (7, 'sent', 'unconfirmed', 'SCHEDULED'), (8, 'sent', 'held', 'SCHEDULED'), (9, 'failed',
        'failed', 'SCHEDULED'),
    (10, 'failed', 'missed', 'SCHEDULED')) v (n, first, second, wanted);
SELECT ok(bool_and(applied_at IS NOT NULL), 'what the application knows is marked')
    FROM automapost.post_deliveries
WHERE post_id = t.id(110) AND state = 'sent';
SELECT is(count(applied_at), 0::bigint, 'what it does not know is not')
    FROM automapost.post_deliveries WHERE post_id IN (t.id(150), t.id(180));
DELETE FROM posts;
SELECT t.change('TRUNCATE automapost.job_queue, automapost.job_executions, automapost.job_logs'),
    t.change('DELETE FROM automapost.post_deliveries');

-- The first comment obeys its parent
SELECT t.publishing(1, comment => 'first!');
SELECT t.claim();
SELECT is(t.job_of(1, 'comment'), NULL, 'no comment before the post is out');
SELECT t.begin(t.job_of(1));
SELECT t.settle(t.job_of(1), 'done', t.receipt('r1'));
SELECT is(t.state(1, 'comment'), 'pending 0 pending -', 'a comment when it is');
SELECT is((d.due_at = p.sent_at, d.version, d.user_id, d.provider)::text, (true, md5('first!'),
    t.id(1), 'webhook')::text, 'due since the post is out')
FROM t.delivery(1, 'comment') d, t.delivery(1) p;
SELECT is((SELECT status::text FROM posts WHERE id = t.id(1)::uuid), 'SENT',
    'the post does not wait for it');
SELECT is(t.claim(), ARRAY[t.job_of(1, 'comment')], 'it is claimed');
SELECT is((c.input #>> '{post,text}', c.input #>> '{delivery,kind}', c.input -> 'parent')::text,
    ('first!', 'comment',
        '{"url": "https://example.test/r1", "receipt": {"cid": "r1"},
        "remoteId": "r1"}'::jsonb)::text, 'with its text and its parent')
FROM t.claims c WHERE c.id = t.job_of(1, 'comment');
SELECT is(t.begin(t.job_of(1, 'comment')), 'go', 'though the post is SENT');
SELECT is(t.settle(t.job_of(1, 'comment'), 'failed', '{"class": "permanent", "code": "rejected"}')
    || ': ' || t.state(1, 'comment'),
    'settled failed: failed 1 failed rejected', 'refused');
SELECT is(t.state(1), 'completed 1 sent -', 'its failure never harms the post');
SELECT t.collect();
SELECT is((SELECT count(*) FROM automapost.post_deliveries), 2::bigint, 'and it is not made again');

-- What ends a comment: its own text, its own time, its parent
CREATE FUNCTION pg_temp.comment(n bigint, what text, begin boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    verdict text := '';
BEGIN
    PERFORM t.later();
    PERFORM t.publishing(n, comment => 'first!');
    PERFORM t.claim();
    PERFORM t.begin(t.job_of(n));
    PERFORM t.settle(t.job_of(n), 'done', t.receipt('r' || n));
    IF begin THEN
        PERFORM t.claim();
    END IF;
    EXECUTE format(what, t.id(n));
    IF begin THEN
        verdict := t.begin(t.job_of(n, 'comment')) || ' ';
    ELSE
        PERFORM t.claim();
    END IF;
    RETURN verdict || t.state(n, 'comment');
END $$;
SELECT is(pg_temp.comment(20 + n, change), wanted, name)
FROM (VALUES (1, 'emptied', 'UPDATE posts SET "firstComment" = '' '' WHERE id = %L',
    'cancelled 0 cancelled no-comment'),
    (2, 'the post deleted', 'UPDATE posts SET "deletedAt" = now() WHERE id = %L',
        'cancelled 0 cancelled post-deleted'),
    (3, 'the parent not sent after all',
        'UPDATE automapost.post_deliveries SET state = ''held'' WHERE kind = ''post''
        AND post_id = %L', 'cancelled 0 cancelled no-comment'),
    (4, 'more than two hours after its post',
        'UPDATE automapost.post_deliveries SET due_at = due_at - interval ''2 h 1 s''
        WHERE kind = ''comment'' AND post_id = %L', 'failed 0 missed missed-late'),
    (5, 'the post moved',
        'UPDATE posts SET "scheduledTo" = now() + interval ''1 day'' WHERE id = %L',
        'running 0 pending -')) v (n, name, change, wanted);
SELECT is(pg_temp.comment(31, 'UPDATE posts SET "firstComment" = ''second!'' WHERE id = %L', true),
    'again pending 0 pending -', 'edited before its begin: again');
SELECT is(pg_temp.comment(32, 'UPDATE posts SET content = ''new'' WHERE id = %L', true),
    'go running 1 sending -', 'the post''s own text is not its version');
SELECT is(pg_temp.comment(33,
    'UPDATE posts SET "scheduledTo" = "scheduledTo" - interval ''1 day'' WHERE id = %L', true),
    'go running 1 sending -', 'nor is the post''s time its late limit');
SELECT t.later(), t.publishing(40, comment => '  ');
SELECT t.claim();
SELECT t.begin(t.job_of(40));
SELECT t.settle(t.job_of(40), 'done', t.receipt('r40'));
SELECT is((t.delivery(40, 'comment')).id, NULL, 'blanks are no comment');

-- One post that the application refuses keeps no other waiting
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'
    USING ERRCODE = 'XX123'; END $$;
SELECT t.later(), t.publishing(50), t.publishing(51), t.publishing(52);
SELECT t.claim();
SELECT t.begin(t.job_of(50)), t.begin(t.job_of(51)), t.begin(t.job_of(52));
CREATE TRIGGER refuse BEFORE UPDATE ON posts FOR EACH ROW
    WHEN (OLD.content = 'text of 51') EXECUTE FUNCTION pg_temp.refuse();
CREATE TEMP TABLE answers AS SELECT s.* FROM automapost.settle_jobs('w1', (
    SELECT jsonb_agg(jsonb_build_object('id', c.id, 'lease', c.lease, 'execution_id',
        c.execution_id, 'outcome', 'done', 'started_at', now(),
        'duration_ms', 1, 'delivery_id', c.input #>> '{delivery,id}', 'begin_number',
            c.begin_number) || t.receipt('r'))
    FROM t.claims c WHERE c.id IN (t.job_of(50), t.job_of(51), t.job_of(52)))) s;
SELECT is((SELECT string_agg(verdict, ' ' ORDER BY verdict) FROM answers),
    'apply settled settled settled', 'all three receipts are recorded');
SELECT is((SELECT apply_error FROM answers WHERE verdict = 'apply'), 'XX123: not this one',
    'the refusal is reported');
SELECT is((SELECT string_agg(status::text, ' ' ORDER BY id) FROM posts WHERE id IN (t.id(50)::uuid,
    t.id(51)::uuid, t.id(52)::uuid)), 'SENT SCHEDULED SENT', 'the other two are told');

SELECT * FROM finish();
ROLLBACK;
