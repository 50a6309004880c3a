-- SPDX-License-Identifier: MIT
-- An account's token: waiting for it, refreshing it, and what a refusal means (refresh_token.sql
-- and wait_for_token.sql).
BEGIN;
SELECT plan(43);
SELECT t.worker('w1');

CREATE FUNCTION pg_temp.refresh_of(n bigint) RETURNS text LANGUAGE sql AS $$
    SELECT id::text FROM automapost.job_queue WHERE job_type = 'refresh-token' AND job_key = t.id(n)
        AND status IN ('pending', 'running')
$$;
CREATE FUNCTION pg_temp.waits(n bigint, begun boolean DEFAULT false) RETURNS text LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM t.later(), t.publishing(n, refresh => 'refresh-1');
    PERFORM t.claim('w1', '{social-media-post}');
    IF begun THEN
        PERFORM t.begin(t.job_of(n));
    END IF;
    RETURN t.settle(t.job_of(n), 'wait-token',
        '{"class": "auth", "code": "401", "message": "expired"}');
END $$;

-- It must be refreshed first
SELECT is(pg_temp.waits(1), 'settled pending', 'a token that must be refreshed');
SELECT is(t.state(1), 'pending 0 pending 401', 'no attempt used');
SELECT is((q.waits_for, t.is_in(q.scheduled_for, '10 min'), t.is_in((t.delivery(1)).retry_at,
    '10 min'))::text, '(token,t,t)', 'it waits, 10 minutes at most') FROM t.job(t.job_of(1)) q;
SELECT is((q.status, q.priority, q.payload)::text, ('pending', 9,
    jsonb_build_object('authProviderId', t.id(1)))::text, 'a refresh is asked for')
    FROM t.job(pg_temp.refresh_of(1)) q;
SELECT is(pg_temp.waits(2, true) || ' ' || t.state(2), 'settled pending pending 0 pending 401',
    'refused after its begin: the attempt is given back');
CREATE TEMP TABLE lives AS SELECT pg_temp.refresh_of(2) AS id;
SELECT t.post(3, 2, '{2}');
SELECT t.collect();
SELECT t.claim('w1', '{social-media-post}');
SELECT is(t.settle(t.job_of(3, account => 2), 'wait-token'), 'settled pending',
    'a second post of the account');
SELECT is(pg_temp.refresh_of(2), id, 'the refresh that lives is kept') FROM lives;

-- The refresh
SELECT automapost.wake('refresh-token');
SELECT set_eq($$ SELECT unnest(t.claim('w1', '{refresh-token}')) $$, ARRAY[pg_temp.refresh_of(1),
    pg_temp.refresh_of(2)], 'both refreshes');
SELECT is(c.input -> 'account' || '{"tokenVersion": 0}', jsonb_build_object('id', t.id(1),
    'provider', 'webhook', 'remoteId', 'remote-1', 'serviceUrl', 'remote-1',
    'accessToken', 'access-1', 'refreshToken', 'refresh-1', 'expiresAt', NULL, 'tokenVersion', 0),
        'with the account as it is') FROM t.claims c WHERE c.id = pg_temp.refresh_of(1);
SELECT is(t.settle(pg_temp.refresh_of(1), 'done',
    '{"tokens": {"accessToken": "access-2", "refreshToken": "refresh-2",
    "expiresAt": "2030-01-01T00:00:00Z"}}'),
    'settled completed', 'done');
SELECT is(("accessToken", "refreshToken", "expiresAt" = '2030-01-01 00:00:00+00')::text,
    '(access-2,refresh-2,t)', 'the application has the new tokens') FROM auth_providers
    WHERE id = t.id(1)::uuid;
SELECT is((q.waits_for, t.is_in(q.scheduled_for, '0 s'))::text, '(,t)', 'who waited is due now')
    FROM t.job(t.job_of(1)) q;
SELECT ok(NOT t.is_in((t.job(t.job_of(2))).scheduled_for, '0 s'),
    'another account''s posts are not');
SELECT is_empty('SELECT x::text FROM automapost.job_executions x
    WHERE x::text ~ ''access-2|refresh-2'' UNION ALL SELECT q::text FROM automapost.job_queue q
    WHERE q::text ~ ''access-2|refresh-2''',
    'no token is stored in a row of ours');
UPDATE auth_providers SET "refreshToken" = 'kept' WHERE id = t.id(2)::uuid;
UPDATE t.claims SET input = jsonb_set(input, '{account,tokenVersion}',
    to_jsonb(automapost.token_version('access-1', 'kept'))) WHERE id = pg_temp.refresh_of(2);
SELECT t.settle(pg_temp.refresh_of(2), 'done', '{"tokens": {"accessToken": "access-2"}}');
SELECT is(("accessToken", "refreshToken")::text, '(access-2,kept)',
    'no new refresh token: the stored one is kept') FROM auth_providers WHERE id = t.id(2)::uuid;

-- Somebody was quicker
SELECT pg_temp.waits(10);
SELECT t.claim('w1', '{refresh-token}');
UPDATE auth_providers SET "accessToken" = 'by the member' WHERE id = t.id(10)::uuid;
SELECT t.settle(pg_temp.refresh_of(10), 'done',
    '{"tokens": {"accessToken": "access-2", "refreshToken": "refresh-2"}}');
SELECT is(("accessToken", "refreshToken")::text, '("by the member",refresh-1)',
    'reconnected during the refresh: the member''s tokens stay') FROM auth_providers
    WHERE id = t.id(10)::uuid;
SELECT ok(t.is_in((t.job(t.job_of(10))).scheduled_for, '0 s'), 'and the post is due');
SELECT t.later(), t.publishing(11, refresh => 'refresh-1');
SELECT t.claim('w1', '{social-media-post}');
UPDATE auth_providers SET "accessToken" = 'access-2' WHERE id = t.id(11)::uuid;
SELECT is(t.settle(t.job_of(11), 'wait-token'), 'settled pending', 'refreshed since it was loaded');
SELECT ok(t.is_in((t.job(t.job_of(11))).scheduled_for, '0 s'), 'due at once');
SELECT is(pg_temp.refresh_of(11), NULL, 'no refresh');

-- Refused for good
SELECT pg_temp.waits(20);
SELECT t.claim('w1', '{refresh-token}');
SELECT is(t.settle(pg_temp.refresh_of(20), 'failed',
    '{"class": "auth", "code": "reconnect-account", "message": "revoked"}'), 'settled failed',
    'the refresh is refused');
SELECT is((s.code, s.detail, s.refresh_failed_at IS NOT NULL,
    s.token_version = automapost.token_version('access-1', 'refresh-1'))::text,
    '(reconnect-account,revoked,t,t)',
    'for these tokens') FROM automapost.account_state s WHERE auth_provider_id = t.id(20);
SELECT ok(t.is_in((t.job(t.job_of(20))).scheduled_for, '0 s'), 'who waited learns it at once');
SELECT is(t.claim('w1', '{social-media-post}'), '{}', 'no call is made');
SELECT is(t.state(20), 'failed 0 failed reconnect-account', 'failed by name, no attempt used');
SELECT t.later(), t.post(21, 20, '{20}');
SELECT t.collect();
SELECT is(t.claim('w1', '{social-media-post}') || (t.delivery(21, account => 20)).code,
    '{reconnect-account}', 'the next post of the account too');
UPDATE auth_providers SET "accessToken" = 'reconnected' WHERE id = t.id(20)::uuid;
SELECT t.post(22, 20, '{20}');
SELECT t.collect();
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(22, account => 20)],
    'reconnected: the next is given');
SELECT is((s.code, s.refresh_failed_at)::text, '(,)', 'and nothing is said of the account any more')
    FROM automapost.account_state s WHERE auth_provider_id = t.id(20);
SELECT is(t.settle(t.job_of(22, account => 20), 'put-back'), 'settled pending', 'put back');
SELECT t.later(), pg_temp.waits(25);
SELECT t.claim('w1', '{refresh-token}');
UPDATE auth_providers SET "accessToken" = 'by the member' WHERE id = t.id(25)::uuid;
SELECT t.settle(pg_temp.refresh_of(25), 'failed', '{"class": "auth", "code": "reconnect-account"}');
SELECT is((SELECT code FROM automapost.account_state WHERE auth_provider_id = t.id(25)), NULL,
    'refused for tokens that are not there any more: nobody is disconnected');
SELECT ok(t.is_in((t.job(t.job_of(25))).scheduled_for, '0 s'), 'and the post is due');
SELECT pg_temp.waits(26);
SELECT t.change(format('SELECT automapost.account_refused(%L, ''webhook'', %1$L,
    automapost.token_version(''access-1'', ''refresh-1''), ''reconnect-account'', ''revoked'')',
    t.id(26)));
SELECT is(t.claim('w1', '{social-media-post}'), '{}', 'refused while it waited');
SELECT is(t.state(26), 'failed 0 failed reconnect-account', 'failed without a call');

-- A token that was just refreshed and is refused all the same
SELECT pg_temp.waits(28);
SELECT t.claim('w1', '{refresh-token}');
SELECT t.settle(pg_temp.refresh_of(28), 'done',
    '{"tokens": {"accessToken": "access-2", "refreshToken": "refresh-2",
    "expiresAt": "2030-01-01T00:00:00Z"}}');
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(28)], 'refreshed: claimed');
SELECT is(t.settle(t.job_of(28), 'wait-token',
    '{"class": "auth", "code": "reconnect-account", "message": "401"}') || ': ' || t.state(28),
    'settled failed: failed 0 failed reconnect-account',
        'refused all the same: the member must reconnect');
SELECT is(pg_temp.refresh_of(28), NULL, 'no refresh without end');

-- Reconciling needs the account too
SELECT t.later(), t.publishing(30, refresh => 'refresh-1');
SELECT t.claim('w1', '{social-media-post}');
SELECT t.begin(t.job_of(30));
SELECT t.settle(t.job_of(30), 'unknown');
SELECT t.pass('46 s');
SELECT t.later(), t.change(format('UPDATE automapost.job_queue SET scheduled_for = now()
    WHERE id = %L', t.job_of(30)));
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(30)],
    'an unconfirmed one is looked for');
SELECT is(t.settle(t.job_of(30), 'wait-token') || ': ' || t.state(30),
    'settled pending: pending 1 unconfirmed -', 'it waits for the token, unconfirmed');
SELECT t.claim('w1', '{refresh-token}');
SELECT t.settle(pg_temp.refresh_of(30), 'failed', '{"class": "auth", "code": "reconnect-account"}');
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(30)],
    'it is tried even when the account is refused');
SELECT is(t.settle(t.job_of(30), 'wait-token') || ': ' || t.state(30),
    'settled failed: failed 1 held unconfirmed', 'nobody can look: held, not failed');

-- An account that is gone; versions
SELECT automapost.enqueue('refresh-token', jsonb_build_object('authProviderId', t.id(99)));
SELECT is(t.claim('w1', '{refresh-token}'), '{}', 'an account that is gone');
SELECT is((status, error_code)::text, '(cancelled,account-gone)', 'is not refreshed')
    FROM automapost.job_queue WHERE job_key = t.id(99);
SELECT is(automapost.token_version('a', 'b') = automapost.token_version('a', 'b')
    AND automapost.token_version('a', 'b') <> automapost.token_version('a', 'c')
    AND automapost.token_version('a', NULL) <> automapost.token_version('b', NULL)
        AND automapost.token_version('a', 'b') !~ 'a.b', true,
        'versions tell tokens apart without holding them');

SELECT * FROM finish();
ROLLBACK;
