-- SPDX-License-Identifier: MIT
-- resolve_delivery(): what a person says of a held delivery; forget_user().
BEGIN;
SELECT plan(30);
SELECT t.worker('w1');

CREATE FUNCTION pg_temp.held(n bigint, late interval DEFAULT '1 min',
    comment text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.later(), t.publishing(n, late => late, comment => comment);
    PERFORM t.claim('w1', '{social-media-post}');
    PERFORM t.begin(t.job_of(n), way => 'none');
    PERFORM t.settle(t.job_of(n), 'unknown');
    PERFORM t.pass('46 s');
    PERFORM t.claim('w1', '{social-media-post}');
    PERFORM t.settle(t.job_of(n), 'held', '{"message": "nobody can look"}');
    RETURN (t.delivery(n)).id;
END $$;

CREATE TEMP TABLE one AS SELECT pg_temp.held(1, comment => 'first!') AS id;
SELECT is(t.state(1), 'failed 1 held unconfirmed', 'held');
SELECT t.refuses(format('SELECT automapost.resolve_delivery(%L, %L)', id, said), '22023',
    format('outcome must be sent or not-sent, not "%s"', COALESCE(said, 'null')),
    'an outcome that is none: ' || COALESCE(said, 'null')) FROM one, (VALUES ('perhaps'),
        (NULL)) v (said);
SELECT t.refuses('SELECT automapost.resolve_delivery(''abc'', ''sent'')', '22023',
    'id "abc" is no job id', 'no id');
SELECT t.refuses(format('SELECT automapost.resolve_delivery(%L, ''sent'')', t.id(77)), 'P0002',
    'no job has the id', 'nothing has it');
SELECT is((delivery_id, state)::text, format('(%s,sent)', one.id), 'sent, says a person') FROM one,
    automapost.resolve_delivery(one.id, 'sent', 'https://example.test/there');
SELECT is((d.url, d.detail, d.code, d.sent_at = d.begun_at)::text, ('https://example.test/there',
    'confirmed by ' || session_user, NULL, true)::text, 'where, by whom, and when it was begun')
    FROM t.delivery(1) d;
SELECT is(status::text, 'SENT', 'the application hears of it') FROM posts WHERE id = t.id(1)::uuid;
SELECT is(t.state(1, 'comment'), 'pending 0 pending -', 'and its comment follows');
SELECT t.refuses(format('SELECT automapost.resolve_delivery(%L, ''not-sent'')', id), '55000',
    'is sent, not held', 'resolved once') FROM one;
SELECT t.refuses(format('SELECT automapost.resolve_delivery(%L, ''not-sent'')', id), '55000',
    'automapost held', 'the hint says where the held ones are') FROM one;

SELECT pg_temp.held(2);
SELECT is(state, 'pending', 'not sent, by its job''s id')
    FROM automapost.resolve_delivery(t.job_of(2), 'not-sent');
SELECT is(t.state(2), 'pending 0 pending -', 'taken up again with a new job');
SELECT t.pass('2 min');
SELECT ok(t.job_of(2) = ANY (t.claim('w1', '{social-media-post}')), 'which is claimed');
SELECT is((SELECT mode FROM t.claims WHERE id = t.job_of(2)), 'run', 'to run');
SELECT pg_temp.held(3);
SELECT is(state, 'pending', 'by the beginning of its job''s id')
    FROM automapost.resolve_delivery(left(t.job_of(3), 18), 'not-sent');

-- However late, when that was asked for before
SELECT pg_temp.held(4);
UPDATE automapost.post_deliveries SET late_allowed = true, due_at = now() - interval '1 day'
    WHERE post_id = t.id(4);
SELECT is(state, 'pending', 'not sent, a day late, which somebody allowed')
    FROM automapost.resolve_delivery(t.job_of(4), 'not-sent');
SELECT is(t.state(4), 'pending 0 pending -', 'it has a job');
SELECT pg_temp.held(5);
UPDATE automapost.post_deliveries SET due_at = now() - interval '1 day' WHERE post_id = t.id(5);
UPDATE posts SET "scheduledTo" = now() - interval '1 day' WHERE id = t.id(5)::uuid;
SELECT is(state, 'pending', 'not sent, a day late, which nobody allowed')
    FROM automapost.resolve_delivery(t.job_of(5), 'not-sent');
SELECT automapost.mark_missed(100);
SELECT is((t.delivery(5)).state, 'missed', 'is missed, and said');

-- forget_user
SELECT t.later();
SELECT t.unconfirmed(12);
SELECT t.publishing(10), t.publishing(11);
SELECT automapost.enqueue('plain', jsonb_build_object('userId', t.id(10)));
SELECT automapost.pause('provider:webhook:' || t.id(10), 'r');
SELECT t.change('INSERT INTO automapost.limit_keys VALUES (''webhook:'' || t.id(10))
    ON CONFLICT DO NOTHING');
CREATE TEMP TABLE before AS SELECT count(*) AS n FROM automapost.post_deliveries;
SELECT is(automapost.forget_user(t.id(10)), 4::bigint,
    'a delivery, its job, a job that names the member, an account''s state');
SELECT is((t.delivery(10)).id, NULL, 'the delivery is gone');
SELECT is_empty(format('SELECT FROM automapost.job_queue WHERE payload::text LIKE ''%%%s%%''',
    t.id(10)), 'the jobs are');
SELECT is_empty(format('SELECT FROM automapost.account_state WHERE user_id = %L', t.id(10)),
    'the account''s state is');
SELECT is_empty(format('SELECT key FROM automapost.limit_keys WHERE key LIKE ''%%%1$s''
    UNION ALL SELECT key FROM automapost.rate_limits WHERE key LIKE ''%%%1$s''', t.id(10)),
    'and its limits');
SELECT is((SELECT count(*) FROM automapost.post_deliveries), n - 1, 'nobody else''s') FROM before;
SELECT is(automapost.forget_user('nobody'), 0::bigint, 'a member that nothing is known of');
SELECT t.begin(t.job_of(11)) FROM (SELECT t.claim('w1', '{social-media-post}')) c;
SELECT is(automapost.forget_user(t.id(11)), 1::bigint,
    'while its post is being sent only the account''s state goes');
SELECT isnt((t.job(t.job_of(11))).cancel_requested_at, NULL, 'and the job is asked to end');
SELECT t.settle(t.job_of(11), 'done', t.receipt('r'));
SELECT is(automapost.forget_user(t.id(11)) || ' ' || COALESCE((t.delivery(11)).id::text, 'gone'),
    '2 gone', 'called again, all of it is');

SELECT * FROM finish();
ROLLBACK;
