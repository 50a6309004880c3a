-- SPDX-License-Identifier: MIT
-- A first comment that ended without being sent, and its text now: edited_comments, reopen_comments.
BEGIN;
SELECT plan(22);
SELECT t.worker('w1');

-- Post n is out; its comment was refused.
CREATE FUNCTION pg_temp.refused(n bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.later(), t.publishing(n, comment => 'first!');
    PERFORM t.claim(), t.begin(t.job_of(n)), t.settle(t.job_of(n), 'done', t.receipt('r' || n));
    PERFORM t.claim(), t.begin(t.job_of(n, 'comment')), t.settle(t.job_of(n, 'comment'), 'failed',
        '{"class": "permanent", "code": "rejected"}');
END
$$;
CREATE FUNCTION pg_temp.edit(n bigint, text text) RETURNS void LANGUAGE sql AS $$
    UPDATE posts SET "firstComment" = edit.text WHERE id = t.id(n)::uuid
$$;

SELECT pg_temp.refused(1);
SELECT is(t.state(1, 'comment'), 'failed 1 failed rejected', 'refused');
SELECT is(t.collect() || t.state(1, 'comment'), '0failed 1 failed rejected',
    'as long as it is the same, that is its end');
UPDATE posts SET content = 'the post itself is edited', "scheduledTo" = now() WHERE id = t.id(1)::uuid;
SELECT is(t.collect() || t.state(1, 'comment'), '0failed 1 failed rejected',
    'its version is its own text alone');
SELECT pg_temp.edit(1, ' ');
SELECT is(t.collect() || t.state(1, 'comment'), '0failed 1 failed rejected', 'no text is none to send');
SELECT pg_temp.edit(1, 'second!');
SELECT t.collect();
SELECT is(t.state(1, 'comment'), 'pending 0 pending -', 'edited: taken up again, with a new job');
SELECT is((t.delivery(1, 'comment')).finished_at, NULL, 'it has not ended');
SELECT is((d.due_at = p.sent_at)::text, 'true', 'late is still counted from its post''s sending')
FROM t.delivery(1, 'comment') d, t.delivery(1) p;
SELECT is(t.state(1) || (SELECT status FROM posts WHERE id = t.id(1)::uuid), 'completed 1 sent -SENT',
    'its post knows nothing of it');
SELECT t.collect();
SELECT is((SELECT count(*) FROM automapost.job_queue WHERE payload ->> 'kind' = 'comment'), 2::bigint,
    'twice is as good as once');
SELECT is(t.claim(), ARRAY[t.job_of(1, 'comment')], 'claimed');
SELECT is((SELECT c.input #>> '{post,text}' FROM t.claims c WHERE c.id = t.job_of(1, 'comment')),
    'second!', 'with the new text');
SELECT t.begin(t.job_of(1, 'comment'));
SELECT t.settle(t.job_of(1, 'comment'), 'failed', '{"class": "permanent", "code": "rejected"}');
SELECT t.collect();
SELECT is(t.state(1, 'comment'), 'failed 1 failed rejected', 'refused again: the end of that text');

-- Whose account is gone: it fails as what it is, not as its post
SELECT pg_temp.edit(1, 'third!');
UPDATE auth_providers SET "userId" = (SELECT t.member(99))::uuid WHERE id = t.id(1)::uuid;
SELECT t.collect(), t.claim();
SELECT is(t.state(1, 'comment'), 'failed 0 failed not-your-account', 'refused by load');
SELECT t.collect();
SELECT is(t.state(1, 'comment'), 'failed 0 failed not-your-account', 'and not taken up again');

-- By a person; and deleted, or too late
SELECT pg_temp.refused(2), pg_temp.edit(2, 'second!'), t.later();
SELECT t.collect();
SELECT automapost.cancel(t.job_of(2, 'comment'));
SELECT t.collect();
SELECT is(t.state(2, 'comment'), 'cancelled 0 cancelled cancelled', 'a person''s cancellation stays');
SELECT pg_temp.edit(2, 'third!');
SELECT t.collect();
SELECT is(t.state(2, 'comment'), 'pending 0 pending -', 'until it is edited');
SELECT pg_temp.refused(3), pg_temp.edit(3, 'second!');
UPDATE posts SET "deletedAt" = now() WHERE id = t.id(3)::uuid;
SELECT t.collect();
SELECT is(t.state(3, 'comment'), 'failed 1 failed rejected', 'of a deleted post: no');
UPDATE posts SET "deletedAt" = NULL WHERE id = t.id(3)::uuid;
UPDATE automapost.post_deliveries SET due_at = due_at - interval '2 h', sent_at = sent_at - interval '2 h'
WHERE post_id = t.id(3) AND state <> 'pending';
SELECT t.collect();
SELECT is(t.state(3, 'comment'), 'failed 1 failed rejected', 'past the late limit: no');
UPDATE automapost.post_deliveries SET due_at = now() WHERE post_id = t.id(3) AND kind = 'comment';
UPDATE automapost.post_deliveries SET state = 'held' WHERE post_id = t.id(3) AND kind = 'post';
SELECT t.collect();
SELECT is(t.state(3, 'comment'), 'failed 1 failed rejected', 'beside a post that may not be out: no');

-- More than one step takes
SELECT pg_temp.refused(4), pg_temp.edit(4, 'second!');
UPDATE automapost.post_deliveries SET state = 'sent' WHERE post_id = t.id(3) AND kind = 'post';
UPDATE automapost.post_deliveries SET state = 'missed' WHERE post_id = t.id(3) AND kind = 'comment';
SELECT is((SELECT count(*) FROM automapost.collect_social_media_post(NULL, 1)), 1::bigint, 'a step of one');
SELECT is((SELECT count(*) FROM automapost.edited_comments()), 1::bigint, 'takes one');
SELECT t.collect();
SELECT is((SELECT count(*) FROM automapost.edited_comments()), 0::bigint, 'the next the other');

SELECT * FROM finish();
ROLLBACK;
