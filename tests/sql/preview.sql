-- SPDX-License-Identifier: MIT
-- preview(): what a tick would do, without doing it. try_undefined_jobs() is tested in cleanup.sql.
BEGIN;
SELECT plan(11);
SELECT t.member(1), t.account(1, 1, 'webhook');

SELECT is_empty('SELECT * FROM automapost.preview(''social-media'', ''{social-media-post}'', 10)',
    'nothing to do');
SELECT t.post(1, 1, '{1}'), t.post(2, 1, '{}'), t.post(3, 1, '{1}', now() - interval '2 h 1 min');
SELECT set_eq('SELECT line FROM automapost.preview(''social-media'', ''{social-media-post}'', 10)',
    format($$ VALUES
    ('post %1$s, due %4$s, to webhook account %1$s'),
        ('post %2$s, due %4$s, to  account no-account: no-account'),
        ('post %3$s, due %5$s, to webhook account %1$s: missed-late') $$,
    t.id(1), t.id(2), t.id(3), now() - interval '1 min', now() - interval '2 h 1 min'),
        'due posts, and why one would not go');
SELECT is_empty('SELECT FROM automapost.post_deliveries', 'nothing was done');
SELECT is((SELECT count(*) FROM automapost.preview('social-media', '{social-media-post}', 1)),
    1::bigint, 'no more posts than asked for');
SELECT is_empty('SELECT * FROM automapost.preview(''queue'', ''{plain}'', 10)',
    'posts are not the queue''s');
SELECT t.collect();
SELECT ok(line LIKE '%: the delivery is missed', 'one that has ended says so')
    FROM automapost.preview('social-media', '{}', 10) WHERE line LIKE '%' || t.id(3) || '%';
SELECT ok(EXISTS (SELECT FROM automapost.preview('social-media', '{social-media-post}', 10)
    WHERE line = '1 due jobs of type social-media-post'), 'due jobs are counted');
SELECT is_empty('SELECT * FROM automapost.preview(''queue'', ''{plain}'', 10)', 'by type');
SELECT t.worker('w1');
SELECT t.claim();
UPDATE automapost.workers SET last_beat = now() - interval '1 min';
SELECT is((SELECT line FROM automapost.preview('queue', '{plain}', 10)),
    'test on host has had no beat since ' || (now() - interval '1 min') || ', with 1 jobs',
    'a lapsed worker, and what it holds');
SELECT automapost.rescue_lapsed();
UPDATE automapost.post_deliveries SET due_at = now() - interval '3 h' WHERE post_id = t.id(1);
SELECT is((SELECT line FROM automapost.preview('cleanup', '{}', 10)),
    format('delivery %s, due %s, is too late', (t.delivery(1)).id, now() - interval '3 h'),
    'what cleanup would mark missed');
SELECT is((t.delivery(1)).state, 'pending', 'and has not');

SELECT * FROM finish();
ROLLBACK;
