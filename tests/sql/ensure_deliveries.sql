-- SPDX-License-Identifier: MIT
-- Which accounts a post goes to, the durable facts made of it, and what is taken up again.
BEGIN;
SELECT plan(49);
SELECT t.worker('w1');
SELECT t.member(1), t.member(2), t.account(11, 1, 'webhook'), t.account(12, 1, 'mastodon'),
    t.account(13, 1, 'mastodon'),
    t.account(14, 1, 'google'), t.account(21, 2, 'webhook');

-- Targets: "account provider code" of a new post, accounts by their number
CREATE SEQUENCE pg_temp.n START 100;
CREATE FUNCTION pg_temp.targets(accounts text[], providers text[] DEFAULT '{}',
    member bigint DEFAULT 1) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    post text := t.post(nextval('pg_temp.n'), member, providers => providers);
BEGIN
    UPDATE posts SET "authProviderIds" = accounts WHERE id = post::uuid;
    RETURN ARRAY(SELECT concat_ws(' ', COALESCE(substring(auth_provider_id, '-0*(\d+)$'),
        auth_provider_id), provider, code)
                 FROM automapost.post_targets(ARRAY[post]) ORDER BY 1);
END $$;
SELECT is(pg_temp.targets(accounts, providers), wanted::text[], name)
FROM (VALUES
    ('a named account', ARRAY[t.id(11)], '{}'::text[], '{11 webhook}'),
    ('two named accounts of one platform', ARRAY[t.id(12), t.id(13)], '{}',
        '{12 mastodon,13 mastodon}'),
    ('one named twice is one', ARRAY[t.id(11), t.id(11)], '{}', '{11 webhook}'),
    ('a platform alone means all the member''s accounts there', '{}', '{mastodon}',
        '{12 mastodon,13 mastodon}'),
    ('a platform named twice is one', '{}', '{webhook,webhook}', '{11 webhook}'),
    ('a platform beside an account of it means that account', ARRAY[t.id(12)], '{mastodon}',
        '{12 mastodon}'),
    ('a platform beside an account of another means both', ARRAY[t.id(12)], '{mastodon,webhook}',
        '{11 webhook,12 mastodon}'),
    ('a platform without an account', '{}', '{linkedin}',
        '{no-account:linkedin linkedin no-account}'),
    ('one of two platforms without an account', '{}', '{linkedin,webhook}',
        '{11 webhook,no-account:linkedin linkedin no-account}'),
    ('no account at all', '{}', '{}', '{no-account  no-account}'),
    ('empty names are none', '{""}', '{""}', '{no-account  no-account}'),
    ('an account that is gone', ARRAY[t.id(99)], '{}', '{99  not-your-account}'),
    ('another member''s account', ARRAY[t.id(21)], '{}', '{21 webhook not-your-account}'),
    ('an id that is none', '{abc}', '{}', '{abc  not-your-account}'),
    ('a platform beside an account that is gone: it may have been that one', ARRAY[t.id(99)],
        '{mastodon}',
        '{99  not-your-account,no-account:mastodon mastodon no-account}'),
    ('google signs members in, and is refused as a platform when it is tried', '{}', '{google}',
        '{14 google}')) v (name, accounts, providers, wanted);
SELECT is_empty(format('SELECT * FROM automapost.post_targets(ARRAY[%L])', t.post(200, 1, '{11}',
    status => 'DRAFT')), 'a draft goes nowhere');
SELECT is_empty(format('SELECT * FROM automapost.post_targets(ARRAY[%L])', t.post(201, 1, '{11}',
    now() + interval '1 h')), 'nor does one that is not due');
SELECT is_empty(format('SELECT * FROM automapost.post_targets(ARRAY[%L])', t.post(202, 1, '{11}',
    NULL)), 'nor one without a time');
SELECT t.post(203, 1, '{11}');
UPDATE posts SET "deletedAt" = now() WHERE id = t.id(203)::uuid;
SELECT is_empty(format('SELECT * FROM automapost.post_targets(ARRAY[%L])', t.id(203)),
    'nor a deleted one');
SELECT is_empty('SELECT * FROM automapost.post_targets(''{abc}'')', 'nor one that there is not');

-- Its version
SELECT isnt(automapost.post_version('a', now(), '{}', '{}'), automapost.post_version('b', now(),
    '{}', '{}'), 'another text is another version');
SELECT isnt(automapost.post_version('a', now(), '{}', '{}'), automapost.post_version('a',
    now() + interval '1 us', '{}', '{}'), 'another time too');
SELECT isnt(automapost.post_version('a', now(), '{x}', '{}'), automapost.post_version('a', now(),
    '{}', '{x}'), 'platforms are not accounts');
SELECT is(automapost.post_version('a', '2026-01-01 00:00:00+00', '{x}', '{y}'),
    automapost.post_version('a', '2026-01-01 01:00:00+01', '{x}', '{y}'),
    'the same instant is the same');

-- Facts and jobs
SELECT t.post(300, 1, '{11,12}', now() - interval '5 min');
SELECT is(t.ensure(ARRAY[t.id(300)]), 2::bigint, 'two accounts, two jobs');
SELECT is(t.ensure(ARRAY[t.id(300)]), 0::bigint, 'twice is as good as once');
SELECT is((d.state, d.kind, d.user_id, d.provider, d.due_at = p."scheduledTo",
    d.version = automapost.post_version(p.content, p."scheduledTo", p.providers,
    p."authProviderIds"))::text,
    ('pending', 'post', t.id(1), 'mastodon', true, true)::text,
        'a delivery knows whose it is, where to, when, and of which version')
FROM t.delivery(300, account => 12) d, posts p WHERE p.id = t.id(300)::uuid;
SELECT is((q.job_type, q.payload, q.job_key, q.limit_key, q.due_at = d.due_at,
    q.scheduled_for = d.due_at, q.max_attempts)::text,
    ('social-media-post', jsonb_build_object('postId', t.id(300), 'authProviderId', t.id(12),
        'kind', 'post'),
     t.id(300) || ':' || t.id(12) || ':post', 'mastodon:' || t.id(12), true, true, 1000)::text,
         'and its job')
FROM t.delivery(300, account => 12) d, t.job(d.job_id::text) q;
DELETE FROM automapost.limit_keys;
SELECT t.change(format('DELETE FROM automapost.job_queue WHERE id = %L', t.job_of(300,
    account => 12)));
SELECT is(t.ensure(ARRAY[t.id(300)]), 1::bigint,
    'a pending fact without a live job gets one, whoever made the fact');
SELECT t.post(301, 1, '{99}'), t.post(302, 1, '{}', providers => '{linkedin}');
SELECT is(t.ensure(ARRAY[t.id(301), t.id(302)]), 0::bigint, 'accounts that are not there: no job');
SELECT is((SELECT string_agg(state || ' ' || code || ' ' || (finished_at IS NOT NULL), ', '
    ORDER BY post_id) FROM automapost.post_deliveries
    WHERE post_id IN (t.id(301), t.id(302))),
        'failed not-your-account true, failed no-account true', 'failed by name');
SELECT t.post(303, 1, '{11}', now() - interval '2 h 1 s');
SELECT is(t.ensure(ARRAY[t.id(303)]) || (t.delivery(303, account => 11)).state, '0missed',
    'seen too late for the first time: missed');
SELECT is(t.ensure('{}'), 0::bigint, 'no posts, no jobs');

-- Taken up again
CREATE FUNCTION pg_temp.after(n bigint, end_state text, change text,
    by text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.post(n, 1, '{11}');
    PERFORM t.ensure(ARRAY[t.id(n)]);
    PERFORM t.change(format('UPDATE automapost.job_queue SET status = ''failed'',
        finished_at = now() WHERE payload ->> ''postId'' = %L', t.id(n)));
    UPDATE automapost.post_deliveries SET state = end_state, cancelled_by = by, code = 'x',
        request = '{}', sent_at = now(), finished_at = now()
    WHERE post_id = t.id(n);
    EXECUTE format(change, t.id(n));
    RETURN t.ensure(ARRAY[t.id(n)]) || ' ' || (t.delivery(n, account => 11)).state;
END $$;
SELECT is(pg_temp.after(400 + n, state, change, by), wanted,
    state || ', ' || what || ': ' || wanted)
FROM (VALUES
    (1, 'failed', NULL, 'unchanged', 'SELECT %L', '0 failed'),
    (2, 'failed', NULL, 'edited', 'UPDATE posts SET content = ''new'' WHERE id = %L', '1 pending'),
    (3, 'missed', NULL, 'a new time',
        'UPDATE posts SET "scheduledTo" = now() - interval ''1 s'' WHERE id = %L', '1 pending'),
    (4, 'failed', NULL, 'other accounts',
        'UPDATE posts SET "authProviderIds" = "authProviderIds" || t.id(12) WHERE id = %L',
        '2 pending'),
    (5, 'cancelled', NULL, 'unchanged', 'SELECT %L', '1 pending'),
    (6, 'sent', NULL, 'edited', 'UPDATE posts SET content = ''new'' WHERE id = %L', '0 sent'),
    (7, 'sending', NULL, 'edited', 'UPDATE posts SET content = ''new'' WHERE id = %L', '0 sending'),
    (8, 'unconfirmed', NULL, 'edited', 'UPDATE posts SET content = ''new'' WHERE id = %L',
        '0 unconfirmed'),
    (9, 'held', NULL, 'edited', 'UPDATE posts SET content = ''new'' WHERE id = %L', '0 held')) v (n,
        state, by, what, change, wanted);
SELECT is(pg_temp.after(420, 'cancelled', 'SELECT %L', 'operator'), '0 cancelled',
    'cancelled by a person, unchanged: stays');
SELECT is(pg_temp.after(421, 'cancelled', 'UPDATE posts SET content = ''new'' WHERE id = %L',
    'operator'), '1 pending', 'cancelled by a person, edited: pending');
SELECT is((d.cancelled_by, d.code, d.finished_at, d.late_allowed)::text, '(,,,f)',
    'as if nothing had been') FROM t.delivery(421, account => 11) d;
SELECT is(pg_temp.after(422, 'failed',
    'UPDATE posts SET content = ''new'', "scheduledTo" = now() - interval ''3 h'' WHERE id = %L'),
    '0 failed', 'edited, but too late by now: stays');

-- Tokens about to end are refreshed beside
SELECT t.account(31, 1, 'linkedin', refresh => 'r', expires => now() + interval '9 min'),
    t.account(32, 1, 'linkedin', expires => now() + interval '9 min');
SELECT t.post(500, 1, '{31,32}');
SELECT t.ensure(ARRAY[t.id(500)]);
SELECT is((SELECT array_agg(job_key || ' ' || priority) FROM automapost.job_queue
    WHERE job_type = 'refresh-token'), ARRAY[t.id(31) || ' 9'],
    'a token that ends within 10 minutes and can be refreshed is');
SELECT is((SELECT string_agg(refreshable::text, ' ' ORDER BY auth_provider_id)
    FROM automapost.account_state WHERE auth_provider_id IN (t.id(31), t.id(32))),
    'true false', 'what is known of both accounts');

SELECT * FROM finish();
ROLLBACK;
