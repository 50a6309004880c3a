-- SPDX-License-Identifier: MIT
-- load: what publishing is given, as the world is now, and what need not run any more.
BEGIN;
SELECT plan(46);
SELECT t.worker('w1');

-- The input
SELECT t.publishing(1, 'mastodon', comment => 'first!', refresh => 'refresh-1');
UPDATE auth_providers SET "providerAccountId" = 'me@social.example.test',
    "expiresAt" = '2030-01-01 00:00:00+00';
SELECT is(t.claim(), ARRAY[t.job_of(1)], 'claimed');
SELECT is(c.input -> 'post' || '{"dueAt": 0, "version": 0}', jsonb_build_object('id', t.id(1),
    'text', 'text of 1', 'media', 0, 'dueAt', 0, 'version', 0), 'the post')
FROM t.claims c;
SELECT is((c.input #>> '{post,dueAt}')::timestamptz, p."scheduledTo", 'its time') FROM t.claims c,
    posts p;
SELECT is(c.input -> 'account' || '{"tokenVersion": 0}', jsonb_build_object('id', t.id(1),
    'provider', 'mastodon', 'remoteId', 'me@social.example.test',
    'serviceUrl', 'https://social.example.test', 'accessToken', 'access-1', 'refreshToken',
        'refresh-1', 'expiresAt', '2030-01-01T00:00:00+00:00', 'tokenVersion', 0), 'the account')
FROM t.claims c;
SELECT is(c.input #>> '{account,tokenVersion}', automapost.token_version('access-1', 'refresh-1'),
    'with its tokens'' version') FROM t.claims c;
SELECT is(c.input #>> '{delivery,id}', (t.delivery(1)).id::text, 'the delivery') FROM t.claims c;
SELECT is(c.input #> '{delivery,request}', 'null', 'without a stored request') FROM t.claims c;
SELECT t.settle(t.job_of(1), 'put-back');

-- What ended meanwhile: claimed, but not given
CREATE FUNCTION pg_temp.refused(account text, version text) RETURNS void LANGUAGE sql AS $$
    SELECT t.change(format('SELECT automapost.account_refused(%L, ''webhook'', ''u'', %L,
        ''reconnect-account'', ''revoked'')', account, version))
$$;
CREATE FUNCTION pg_temp.after(n bigint, what text, late interval DEFAULT '1 min') RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    given text[];
BEGIN
    PERFORM t.later();
    PERFORM t.publishing(n, late => late);
    EXECUTE format(what, t.id(n));
    given := t.claim('w1', '{social-media-post}');
    RETURN CASE WHEN given = '{}' THEN '' ELSE 'given: ' END || t.state(n) || ' ' ||
        COALESCE((t.job(t.job_of(n))).error_code, '-');
END $$;
SELECT is(pg_temp.after(n, change), wanted, name)
FROM (VALUES
    (10, 'unchanged', 'SELECT %L', 'given: running 0 pending - -'),
    (11, 'edited before load is simply the new text',
        'UPDATE posts SET content = ''new'' WHERE id = %L', 'given: running 0 pending - -'),
    (12, 'deleted', 'UPDATE posts SET "deletedAt" = now() WHERE id = %L',
        'cancelled 0 cancelled post-deleted post-deleted'),
    (13, 'gone', 'DELETE FROM posts WHERE id = %L',
        'cancelled 0 cancelled post-deleted post-deleted'),
    (14, 'unapproved', 'UPDATE posts SET status = ''PENDING_APPROVAL'' WHERE id = %L',
        'cancelled 0 cancelled not-scheduled not-scheduled'),
    (15, 'moved later', 'UPDATE posts SET "scheduledTo" = now() + interval ''1 h'' WHERE id = %L',
        'cancelled 0 cancelled moved moved'),
    (16, 'the account not chosen any more',
        'UPDATE posts SET "authProviderIds" = ''{}'' WHERE id = %L',
        'cancelled 0 cancelled not-chosen not-chosen'),
    (70, 'nor its platform', 'UPDATE posts SET "authProviderIds" = ''{}'', providers = ''{mastodon}''
        WHERE id = %L', 'cancelled 0 cancelled not-chosen not-chosen'),
    (71, 'chosen by its platform alone', 'UPDATE posts SET "authProviderIds" = ''{}'',
        providers = ''{webhook}'' WHERE id = %L', 'given: running 0 pending - -'),
    (72, 'its platform chosen, but there another account', 'WITH other AS (
            SELECT t.account(73, 1, ''webhook'') AS id)
        UPDATE posts p SET providers = ''{webhook}'', "authProviderIds" = ARRAY[o.id] FROM other o
        WHERE p.id = %L', 'cancelled 0 cancelled not-chosen not-chosen'),
    (17, 'the account gone', 'DELETE FROM auth_providers WHERE id = %L',
        'failed 0 failed not-your-account not-your-account'),
    (18, 'the account another member''s',
        'UPDATE auth_providers SET "userId" = t.id(1)::uuid WHERE id = %L',
        'failed 0 failed not-your-account not-your-account'),
    (19, 'paused delivery of another kind changes nothing',
        'SELECT automapost.pause(''refresh-token'', ''why'') -- %s',
        'given: running 0 pending - -'),
    (20, 'sent by other means',
        'UPDATE automapost.post_deliveries SET state = ''sent'', sent_at = now()
        WHERE post_id = %L', 'cancelled 0 sent delivery-sent delivery-sent'),
    (21, 'too late', 'UPDATE posts SET "scheduledTo" = "scheduledTo" - interval ''2 h''
        WHERE id = %L', 'failed 0 missed missed-late missed-late'),
    (22, 'the account refused these tokens',
        'SELECT pg_temp.refused(%L, automapost.token_version(''access-1'', NULL))',
        'failed 0 failed reconnect-account reconnect-account'),
    (23, 'it refused the tokens of before', 'SELECT pg_temp.refused(%L, ''old'')',
        'given: running 0 pending - -')
    ) v (n, name, change, wanted);
SELECT is(pg_temp.after(24,
    'UPDATE automapost.post_deliveries SET late_allowed = true, due_at = now() - interval ''1 day''
    WHERE post_id = %1$L; UPDATE posts SET "scheduledTo" = now() - interval ''1 day''
    WHERE id = %1$L'),
    'given: running 0 pending - -', 'too late, but somebody wants it however late');
SELECT is(pg_temp.after(25,
    'UPDATE automapost.post_deliveries SET due_at = now() - interval ''119 min''
    WHERE post_id = %L; '), 'given: running 0 pending - -', 'collected for another time');
SELECT is((t.delivery(25)).due_at, "scheduledTo", 'it is due when the post is') FROM posts
    WHERE id = t.id(25)::uuid;

-- By a job for the whole post
CREATE FUNCTION pg_temp.whole(n bigint, due timestamptz,
    status text DEFAULT 'SCHEDULED') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job text;
BEGIN
    PERFORM t.later();
    PERFORM t.member(n), t.account(n, n, 'webhook'), t.post(n, n, ARRAY[n], due, status => status);
    job := (SELECT id FROM automapost.enqueue('social-media-post', jsonb_build_object('postId',
        t.id(n))));
    PERFORM t.claim('w1', '{social-media-post}');
    RETURN concat_ws(' ', (t.job(job)).status, (t.job(job)).error_code, (t.job(job)).result,
        (t.delivery(n)).state);
END $$;
SELECT is(pg_temp.whole(30, now() - interval '1 s'), 'completed {"jobs": 1} pending',
    'due: the same deliveries as collect');
SELECT is(pg_temp.whole(31, now() + interval '1 h'), 'pending', 'later: moved to its time');
SELECT is(scheduled_for, now() + interval '1 h', 'exactly') FROM automapost.job_queue
    WHERE job_key = t.id(31);
SELECT is(pg_temp.whole(32, now() - interval '1 s', 'DRAFT'), 'cancelled not-scheduled',
    'not SCHEDULED: cancelled');
SELECT t.later();
SELECT automapost.enqueue('social-media-post', '{"postId": "abc"}');
SELECT is(t.claim(), '{}', 'a post that there is not');
SELECT is((status, error_code)::text, '(cancelled,post-deleted)', 'is cancelled')
    FROM automapost.job_queue WHERE job_key = 'abc';

-- By a raw insert: no account's limit yet, so it is claimed once more with it
SELECT t.later(), t.member(40), t.account(40, 40, 'webhook'), t.post(40, 40, '{40}');
SELECT is(t.attempt('automapost_jobs_app',
    format('INSERT INTO automapost.job_queue (job_type, payload) VALUES (''social-media-post'',
    %L)',
    jsonb_build_object('postId', t.id(40), 'authProviderId', t.id(40)))), 'ok',
        'an ORM inserts a job');
SELECT is(t.claim('w1', '{social-media-post}'), '{}',
    'a raw publishing job is first given its account''s limit');
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(40)], 'then claimed');
SELECT is((t.job(t.job_of(40))).limit_key, 'webhook:' || t.id(40), 'under it');
SELECT t.later();
SELECT automapost.enqueue('social-media-post', jsonb_build_object('postId', t.id(31),
    'authProviderId', t.id(31)));
SELECT is(t.claim('w1', '{social-media-post}'), '{}', 'one for a post that is not due');
SELECT is((status, error_code)::text, '(cancelled,not-due)',
    'is cancelled: collect makes another in time') FROM automapost.job_queue
    WHERE job_key = t.id(31) || ':' || t.id(31) || ':post';

-- Reconciling runs whatever became of the post, but not while the send may be under way
CREATE FUNCTION pg_temp.due_now(post text) RETURNS void LANGUAGE sql AS $$
    SELECT t.change(format('UPDATE automapost.job_queue SET scheduled_for = now()
                            WHERE payload ->> ''postId'' = %L', post))
$$;
CREATE FUNCTION pg_temp.reconcile(n bigint, what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.later();
    PERFORM t.unconfirmed(n);
    EXECUTE format(what, t.id(n));
    PERFORM t.claim('w1', '{social-media-post}');
    RETURN concat_ws(' ', (SELECT c.mode FROM t.claims c WHERE c.id = t.job_of(n)
        AND (t.job(c.id)).status = 'running'), t.state(n));
END $$;
SELECT is(pg_temp.reconcile(50 + n,
    'SELECT t.pass(''46 s''); SELECT t.later(); SELECT pg_temp.due_now(%1$L);' || change),
    'reconcile running 1 unconfirmed -', name || ': it is looked for all the same')
FROM (VALUES (0, 'edited', 'UPDATE posts SET content = ''new'' WHERE id = %1$L'),
    (1, 'deleted', 'UPDATE posts SET "deletedAt" = now() WHERE id = %1$L'),
    (2, 'unapproved', 'UPDATE posts SET status = ''DRAFT'' WHERE id = %1$L'),
    (3, 'too late', 'UPDATE posts SET "scheduledTo" = now() - interval ''1 day'' WHERE id = %1$L'))
        v (n, name, change);
SELECT is(pg_temp.reconcile(54,
    'SELECT t.pass(''46 s''); DELETE FROM auth_providers WHERE id = %L'),
    'failed 1 held unconfirmed', 'nobody can look with an account that is gone: held');
SELECT is(pg_temp.reconcile(55,
    'SELECT automapost.enqueue(''social-media-post'', (t.job(t.job_of(55))).payload,
    on_conflict => ''reschedule'') -- %s'),
    'pending 1 unconfirmed -', 'made due too early: put back');
SELECT is((q.scheduled_for)::text, (d.begun_at + interval '45 s')::text,
    'until no send can be under way any more') FROM t.delivery(55) d, t.job(t.job_of(55)) q;

SELECT * FROM finish();
ROLLBACK;
