-- SPDX-License-Identifier: MIT
-- collect: which posts, page by page, and what it makes good.
BEGIN;
SELECT plan(21);
SELECT t.member(1), t.account(1, 1, 'webhook');

SELECT is((posts, jobs, next_cursor)::text, '(0,0,)', 'nothing due')
    FROM automapost.collect_social_media_post(NULL, 10);
SELECT t.post(10, 1, '{1}', now() + interval '1 h'), t.post(11, 1, '{1}', status => 'DRAFT'),
    t.post(12, 1, '{1}', status => 'PENDING_APPROVAL'),
    t.post(13, 1, '{1}', status => 'SENT'), t.post(14, 1, '{1}', NULL), t.post(15, 1, '{1}',
        now() - interval '3 h 1 s');
SELECT t.post(16, 1, '{1}');
UPDATE posts SET "deletedAt" = now() WHERE id = t.id(16)::uuid;
SELECT is((posts, jobs)::text, '(0,0)',
    'not due, draft, unapproved, sent, without a time, past the window, deleted')
    FROM automapost.collect_social_media_post(NULL, 10);
SELECT t.post(17, 1, '{1}', now() - interval '2 h 30 min');
SELECT is((posts, jobs, (t.delivery(17, account => 1)).state)::text, '(1,0,missed)',
    'within an hour past the late limit: seen, and missed')
FROM automapost.collect_social_media_post(NULL, 10);

-- Five due at two instants, two at a time
SELECT t.post(20 + i, 1, '{1}', now() - CASE WHEN i <= 3 THEN interval '3 min'
    ELSE interval '2 min' END) FROM generate_series(1, 5) i;
DELETE FROM posts WHERE id = t.id(17)::uuid;
CREATE TEMP TABLE pages (n serial, posts bigint, jobs bigint, next_cursor jsonb);
INSERT INTO pages (posts, jobs, next_cursor) SELECT * FROM
    automapost.collect_social_media_post(NULL, 2);
INSERT INTO pages (posts, jobs, next_cursor) SELECT c.* FROM pages p,
    automapost.collect_social_media_post(p.next_cursor, 2) c WHERE p.n = 1;
INSERT INTO pages (posts, jobs, next_cursor) SELECT c.* FROM pages p,
    automapost.collect_social_media_post(p.next_cursor, 2) c WHERE p.n = 2;
SELECT results_eq('SELECT posts, jobs, next_cursor IS NULL FROM pages ORDER BY n',
    'VALUES (2::bigint, 2::bigint, false), (2, 2, false), (1, 1, true)',
        'page by page, each post once, also where three share an instant');
SELECT is((SELECT next_cursor ->> 'post_id' FROM pages WHERE n = 1), t.id(22),
    'in the order of time, then id');
SELECT is((posts, jobs)::text, '(5,0)', 'once more: seen, nothing made')
    FROM automapost.collect_social_media_post(NULL, 10);

-- The first start publishes nothing that was due before it
UPDATE automapost.installation SET publish_from = now() - interval '150 s';
SELECT is(posts, 2::bigint, 'posts due before publish_from are not ours')
    FROM automapost.collect_social_media_post(NULL, 10);
UPDATE automapost.installation SET publish_from = now() - interval '60 days';

-- A post whose end the application does not know
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE
    'the application says no'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT t.worker('w1'), t.later();
SELECT t.publishing(30);
SELECT t.claim();
SELECT t.begin(t.job_of(30));
SELECT is(t.settle(t.job_of(30), 'done', t.receipt('r')), 'settled completed',
    'sent, while the application refuses to hear of it');
SELECT is((d.state, d.applied_at)::text, '(sent,)', 'the receipt stays') FROM t.delivery(30) d;
SELECT is((SELECT status::text FROM posts WHERE id = t.id(30)::uuid), 'SCHEDULED',
    'the application does not know');
DROP TRIGGER refuse ON posts;
SELECT t.collect();
SELECT is((SELECT status::text FROM posts WHERE id = t.id(30)::uuid), 'SENT',
    'collect tells it again');
SELECT isnt((t.delivery(30)).applied_at, NULL, 'and it is told');
SELECT is((t.delivery(30)).state, 'sent', 'nothing else changes');
SELECT is((SELECT count(*) FROM automapost.job_queue WHERE payload ->> 'postId' = t.id(30)),
    1::bigint, 'no second job');
-- A person schedules it once more: sent is for ever
UPDATE posts SET status = 'SCHEDULED', content = 'new', "scheduledTo" = now() - interval '1 s'
    WHERE id = t.id(30)::uuid;
SELECT is((SELECT jobs FROM automapost.collect_social_media_post(NULL, 100)), 0::bigint,
    'scheduled again, it is not sent again');
SELECT is((SELECT status::text FROM posts WHERE id = t.id(30)::uuid), 'SENT',
    'and the application hears so');

-- One at a time: nobody waits behind those that are held, nor behind those that are refused
SELECT t.later();
CREATE FUNCTION pg_temp.sent(n bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO automapost.post_deliveries
        (post_id, auth_provider_id, kind, user_id, provider, due_at, state, sent_at)
    SELECT t.post(n, 1, '{1}', now() - interval '1 d'), t.id(1), 'post', t.id(1), 'webhook', now(),
        'sent', now()
$$;
SELECT pg_temp.sent(n) FROM generate_series(40, 45) n;
INSERT INTO automapost.post_deliveries
    (post_id, auth_provider_id, kind, user_id, provider, due_at, state)
SELECT t.id(n), 'other', 'post', t.id(1), 'webhook', now(), 'held' FROM generate_series(40, 43) n;
SELECT is(automapost.unapplied_posts(10), ARRAY[t.id(44), t.id(45)],
    'what is sent beside held has nothing to tell');
CREATE FUNCTION pg_temp.refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.id::text = t.id(44) THEN RAISE 'the application says no'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse_one();
SELECT automapost.collect_social_media_post(NULL, 1);
SELECT is(automapost.unapplied_posts(10), ARRAY[t.id(45), t.id(44)],
    'what was refused goes behind the others');
SELECT automapost.collect_social_media_post(NULL, 1);
SELECT is((SELECT string_agg(status::text, ' ' ORDER BY id) FROM posts
    WHERE id IN (t.id(44)::uuid, t.id(45)::uuid)), 'SCHEDULED SENT', 'and keeps none of them waiting');
UPDATE automapost.post_deliveries SET state = 'failed', finished_at = now()
WHERE auth_provider_id = 'other';
SELECT is(automapost.unapplied_posts(10), ARRAY[t.id(40), t.id(41), t.id(42), t.id(43), t.id(44)],
    'resolved, they are told');
UPDATE posts SET "scheduledTo" = now() + interval '1 d' WHERE id = t.id(41)::uuid;
SELECT is(automapost.unapplied_posts(10), ARRAY[t.id(40), t.id(42), t.id(43), t.id(44)],
    'but not of one that comes again at a new time');

SELECT * FROM finish();
ROLLBACK;
