-- SPDX-License-Identifier: MIT
-- What the application sees: post_publication, account_status, and their functions.
BEGIN;
SELECT plan(28);
SELECT t.worker('w1');

SELECT is_empty('SELECT * FROM automapost.post_publication',
    'a post that was not collected has no row');
CREATE FUNCTION pg_temp.seen(n bigint, VARIADIC states text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO automapost.post_deliveries (post_id, auth_provider_id, kind, user_id, provider,
        due_at, state, request, sent_at, finished_at)
    SELECT t.id(n), 'a' || i, 'post', 'u', 'webhook', now() - i * interval '1 min', s, '{}', now(),
        CASE WHEN s IN ('sent', 'failed', 'missed', 'cancelled') THEN now() END
    FROM unnest(states) WITH ORDINALITY u (s, i);
    RETURN (SELECT concat_ws(' ', state, CASE WHEN finished_at IS NOT NULL THEN 'finished' END)
        FROM automapost.post_publication WHERE post_id = t.id(n));
END $$;
SELECT is(pg_temp.seen(n, VARIADIC states), wanted, array_to_string(states, ', ') || ': ' || wanted)
FROM (VALUES (1, '{pending}'::text[], 'publishing'), (2, '{sending}', 'publishing'), (3,
    '{unconfirmed}', 'publishing'), (4, '{sent}', 'sent finished'),
    (5, '{failed}', 'failed finished'), (6, '{held}', 'held'), (7, '{missed}', 'missed finished'),
        (8, '{cancelled}', 'cancelled finished'),
    (9, '{sent,sent}', 'sent finished'), (10, '{sent,failed}', 'partly_sent finished'), (11,
        '{sent,pending}', 'publishing'), (12, '{sent,held}', 'held'),
    (13, '{failed,missed}', 'failed finished'), (14, '{missed,cancelled}', 'missed finished'), (15,
        '{sent,cancelled}', 'partly_sent finished')) v (n, states, wanted);
SELECT is(due_at, now() - interval '2 min', 'due since the first') FROM automapost.post_publication
    WHERE post_id = t.id(9);
DELETE FROM automapost.post_deliveries;

-- A post as a member sees it
SELECT t.member(20), t.account(20, 20, 'mastodon'), t.post(20, 20, '{20}', comment => 'first!',
    providers => '{linkedin}');
SELECT t.collect();
SELECT t.claim();
SELECT t.begin(t.job_of(20));
SELECT t.settle(t.job_of(20), 'done', t.receipt('r20'));
SELECT is((state, accounts)::text, ('partly_sent', jsonb_build_array(
    jsonb_build_object('auth_provider_id', NULL, 'provider', 'linkedin', 'state', 'failed', 'url',
        NULL, 'code', 'no-account', 'detail', 'no account is connected there',
        'retry_at', NULL, 'first_comment', NULL),
    jsonb_build_object('auth_provider_id', t.id(20), 'provider', 'mastodon', 'state', 'sent', 'url',
        'https://example.test/r20', 'code', NULL, 'detail', NULL, 'retry_at', NULL,
        'first_comment', jsonb_build_object('state', 'pending', 'url', NULL, 'code', NULL, 'detail',
            NULL))))::text, 'each account, with its first comment')
FROM automapost.post_publication WHERE post_id = t.id(20);
SELECT results_eq('SELECT post_id, state, accounts FROM automapost.publication(ARRAY[t.id(20),
    t.id(99)])', 'SELECT post_id, state, accounts FROM automapost.post_publication',
    'publication(): the same, for ids');

-- Accounts
SELECT t.publishing(30), t.publishing(31, refresh => 'r'), t.publishing(32);
UPDATE auth_providers SET "expiresAt" = now() + interval '6 days' WHERE id IN (t.id(30)::uuid,
    t.id(31)::uuid);
UPDATE auth_providers SET "expiresAt" = now() + interval '8 days' WHERE id = t.id(32)::uuid;
SELECT t.collect();
SELECT results_eq($$ SELECT right(auth_provider_id, 2), state, posts_at_risk
    FROM automapost.account_status WHERE auth_provider_id BETWEEN t.id(30) AND t.id(39)
    ORDER BY 1 $$,
    $$ VALUES ('30', 'expires-soon', 1::bigint), ('31', 'ok', 1), ('32', 'ok', 1) $$,
        'expires-soon: within 7 days, and nothing can refresh it');
SELECT t.change(format('SELECT automapost.account_refused(%L, ''webhook'', ''u'',
    automapost.token_version(''access-1'', ''r''), ''reconnect-account'', ''revoked'')', t.id(31)));
SELECT is((state, code, detail, t.is_in(since, '0 s'))::text,
    '(reconnect,reconnect-account,revoked,t)', 'refused: reconnect, since when, and why')
    FROM automapost.account_status WHERE auth_provider_id = t.id(31);
SELECT is(state, 'reconnect', 'accounts(): the same') FROM automapost.accounts(ARRAY[t.id(31)]);
UPDATE auth_providers SET "accessToken" = 'new' WHERE id = t.id(31)::uuid;
SELECT is(state, 'ok', 'and ok as soon as the member has reconnected')
    FROM automapost.accounts(ARRAY[t.id(31)]);
SELECT t.account(33, 20, 'webhook', expires => now() + interval '1 day');
SELECT is((state, posts_at_risk)::text, '(expires-soon,0)',
    'accounts() knows those of which nothing was published')
    FROM automapost.accounts(ARRAY[t.id(33)]);
SELECT is_empty('SELECT * FROM automapost.accounts(ARRAY[''abc'', t.id(98)])',
    'and none that are not there');
SELECT t.claim('w1', '{social-media-post}');
SELECT t.begin(t.job_of(32));
SELECT t.settle(t.job_of(32), 'failed', '{"class": "auth", "code": "reconnect-account"}');
SELECT is((state, posts_at_risk)::text, '(reconnect,1)', 'a post that failed for it is at risk')
    FROM automapost.account_status WHERE auth_provider_id = t.id(32);
UPDATE automapost.post_deliveries SET finished_at = now() - interval '8 days'
    WHERE post_id = t.id(32);
SELECT is(posts_at_risk, 0::bigint, 'for 7 days') FROM automapost.account_status
    WHERE auth_provider_id = t.id(32);

-- One index lookup per post
SET LOCAL enable_seqscan = off;
CREATE FUNCTION pg_temp.plan_of(q text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE l text; r text
    := ''; BEGIN FOR l IN EXECUTE 'EXPLAIN ' || q LOOP r := r || l || E'\n'; END LOOP; RETURN r; END
    $$;
SELECT matches(pg_temp.plan_of(format('SELECT * FROM automapost.post_publication
    WHERE post_id = %L', t.id(20))), 'Index Cond: \(post_id = ',
    'a condition on post_id reaches the index through the view');

SELECT * FROM finish();
ROLLBACK;
