-- SPDX-License-Identifier: MIT
-- settle_jobs(): the end states of a job and its delivery, which of them use an attempt, receipts
-- that no fence stops, and settling again.
BEGIN;
SELECT plan(91);
SELECT t.worker('w1'), t.worker('w2');

-- Post n published as far as begun (or only claimed), then settled: "verdict status: t.state".
CREATE FUNCTION pg_temp.settled(n bigint, outcome text, what jsonb DEFAULT '{}',
    begun boolean DEFAULT true,
                                late interval DEFAULT '1 min', way text DEFAULT 'read')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job text;
    verdict text;
BEGIN
    PERFORM t.later();
    job := t.publishing(n, late => late);
    IF t.claim('w1', '{social-media-post}') <> ARRAY[job] THEN
        RETURN 'not claimed';
    ELSIF begun AND t.begin(job, way => way) <> 'go' THEN
        RETURN 'not begun';
    END IF;
    verdict := t.settle(job, outcome, what);
    RETURN split_part(verdict, ' ', 1) || ': ' || t.state(n);
END $$;
CREATE FUNCTION pg_temp.due(n bigint) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT (t.job(t.job_of(n))).scheduled_for
$$;

-- Accepted
SELECT is(pg_temp.settled(1, 'done', t.receipt('r1') || '{"result": {"url": "u"}}'),
    'settled: completed 1 sent -', 'accepted');
SELECT is((d.remote_id, d.url, d.receipt, d.request, d.lease)::text,
    ('r1', 'https://example.test/r1', '{"cid": "r1"}'::jsonb, NULL, NULL)::text,
    'the receipt is kept, the request is gone') FROM t.delivery(1) d;
SELECT ok(d.request_sha256 IS NOT NULL AND d.sent_at = d.begun_at AND t.is_in(d.finished_at, '0 s'),
    'the digest stays; sent when it was begun, where the platform does not say')
        FROM t.delivery(1) d;
SELECT is((status, "publishedAt" = (t.delivery(1)).sent_at)::text, ('SENT', true)::text,
    'the application hears of it')
FROM posts WHERE id = t.id(1)::uuid;
SELECT is((q.result, q.lease, q.locked_by, q.execution_id)::text, ('{"url": "u"}'::jsonb, NULL,
    NULL, NULL)::text,
    'the job has its result and nobody''s lock') FROM t.job(t.job_of(1)) q;
SELECT is((x.status, x.duration_ms, x.retry_count, x.worker_id, x.metadata ->> 'outcome')::text,
    ('completed', 12, 0, 'w1', 'done')::text, 'the attempt is a row')
FROM t.claims c JOIN automapost.job_executions x ON x.id = c.execution_id WHERE c.id = t.job_of(1);
SELECT is(pg_temp.settled(2, 'done', jsonb_set(t.receipt('r2'), '{receipt,sentAt}',
    '"2026-01-02T03:04:05Z"')),
    'settled: completed 1 sent -', 'accepted, and the platform says when');
SELECT is((t.delivery(2)).sent_at, '2026-01-02 03:04:05+00'::timestamptz, 'then that is the time');

-- Certainly not received, transient
SELECT is(pg_temp.settled(10, 'retry', '{"class": "transient", "code": "503", "message": "down"}'),
    'settled: pending 1 pending 503', 'transient: again, one attempt');
SELECT ok(pg_temp.due(10) BETWEEN clock_timestamp() - interval '5 s'
    AND clock_timestamp() + interval '30 s',
    'after the first try within 2 × 15 s');
SELECT is((d.request, d.retry_at = pg_temp.due(10), d.detail)::text, (NULL, true, 'down')::text,
    'the request is gone, the delivery says when and why') FROM t.delivery(10) d;
SELECT is((x.status, x.error_class, x.error_code, x.error_message)::text, ('failed', 'transient',
    '503', 'down')::text,
    'the attempt says what went wrong')
FROM t.claims c JOIN automapost.job_executions x ON x.id = c.execution_id WHERE c.id = t.job_of(10);
SELECT is(pg_temp.settled(11, 'retry', '{"class": "transient"}', late => '1 h 59 min 55 s'),
    'settled: pending 1 pending -', 'near the late limit');
SELECT ok(pg_temp.due(11) <= now() + interval '5 s', 'it waits no longer than until it');
SELECT t.change(format('UPDATE automapost.post_deliveries SET due_at = due_at - interval ''10 s''
    WHERE post_id = %L', t.id(11)));
UPDATE posts SET "scheduledTo" = "scheduledTo" - interval '10 s' WHERE id = t.id(11)::uuid;
SELECT t.pass('61 s'), t.later();
SELECT t.change(format('UPDATE automapost.job_queue SET scheduled_for = now() WHERE id = %L',
    t.job_of(11)));
SELECT is(t.claim('w1'), '{}', 'past it nothing is given');
SELECT is(t.state(11), 'failed 1 missed missed-late', 'but it is missed, and said');
SELECT is(pg_temp.settled(12, 'retry', jsonb_build_object('class', 'transient', 'retry_at',
    now() + interval '9 min')),
    'settled: pending 1 pending -', 'transient, and the platform says not before');
SELECT ok(t.is_in(pg_temp.due(12), '9 min'), 'then not before');

-- Rate limited
SELECT is(pg_temp.settled(20, 'limited', jsonb_build_object('class', 'rate-limited', 'code', '429',
    'limit_scope', 'account',
    'message', 'slow down', 'retry_at', now() + interval '20 min')),
        'settled: pending 0 pending 429',
    'rate limited: the begun attempt is given back');
SELECT ok(t.is_in(pg_temp.due(20), '20 min'), 'again at the platform''s time');
SELECT is((key, reason, by, is_pause, t.is_in(until, '20 min'))::text, ('webhook:' || t.id(20),
    'slow down', 'platform', false, true)::text,
    'and a limit of the account until then') FROM automapost.rate_limits;
SELECT is(pg_temp.settled(21, 'limited', jsonb_build_object('class', 'rate-limited', 'limit_scope',
    'provider',
    'retry_at', now() + interval '9 days')), 'settled: pending 0 pending -',
        'a limit of the provider, for 9 days');
SELECT ok(t.is_in((SELECT until FROM automapost.rate_limits WHERE key = 'webhook'), '7 days'),
    'is one for 7 days at most');
SELECT ok(pg_temp.due(21) < now() + interval '2 h', 'and the delivery ends at its late limit');
UPDATE automapost.rate_limits SET is_pause = true, until = now() - interval '1 s'
    WHERE key = 'webhook';
SELECT is(pg_temp.settled(22, 'limited', jsonb_build_object('limit_scope', 'provider', 'retry_at',
    now() + interval '1 min')),
    'settled: pending 0 pending -', 'a limit where a pause is over');
SELECT is((is_pause, by)::text, '(f,platform)', 'is no pause') FROM automapost.rate_limits
    WHERE key = 'webhook';
DELETE FROM automapost.rate_limits;
SELECT t.later(), t.publishing(23), t.claim('w1', '{social-media-post}');
SELECT t.begin(t.job_of(23));
SELECT automapost.pause('provider:webhook', 'a person');
SELECT is(t.settle(t.job_of(23), 'limited', '{"limit_scope": "provider"}'), 'settled pending',
    'a limit during a pause');
SELECT is((is_pause, reason)::text, '(t,"a person")', 'leaves it the pause that it is')
    FROM automapost.rate_limits WHERE key = 'webhook';
DELETE FROM automapost.rate_limits;

-- Refused for good
SELECT is(pg_temp.settled(30, 'failed',
    '{"class": "permanent", "code": "text-too-long", "message": "500 at most"}'),
    'settled: failed 1 failed text-too-long', 'refused for good');
SELECT is((d.detail, d.finished_at IS NOT NULL, q.error_class, q.error_message)::text,
    ('500 at most', true, 'permanent', '500 at most')::text, 'with the reason')
FROM t.delivery(30) d, t.job(t.job_of(30)) q;
SELECT is((SELECT status::text FROM posts WHERE id = t.id(30)::uuid), 'SCHEDULED',
    'a post of which nothing was sent stays SCHEDULED');
SELECT is(pg_temp.settled(31, 'failed', '{"class": "permanent", "code": "media-required"}',
    begun => false),
    'settled: failed 0 failed media-required', 'refused before begin: no attempt used');
SELECT is(pg_temp.settled(32, 'failed',
    '{"class": "auth", "code": "reconnect-account", "message": "revoked"}'),
    'settled: failed 1 failed reconnect-account', 'the account refused for good');
SELECT is((s.code, s.detail, s.token_version = c.input #>> '{account,tokenVersion}',
    t.is_in(s.refresh_failed_at, '0 s'))::text,
    ('reconnect-account', 'revoked', true, true)::text, 'is remembered, for these tokens')
FROM automapost.account_state s, t.claims c WHERE s.auth_provider_id = t.id(32)
    AND c.id = t.job_of(32);

-- A configuration that an operator must mend
SELECT is(pg_temp.settled(35, 'config', '{"class": "config", "code": "no-url"}'),
    'settled: pending 0 pending no-url',
    'config: again, no attempt used');

-- Outcome unknown, and what reconciling makes of it
SELECT is(pg_temp.settled(40, 'unknown', '{"class": "unknown-outcome", "message": "no answer"}'),
    'settled: pending 1 unconfirmed -', 'unknown: unconfirmed, the attempt is used');
SELECT is(pg_temp.due(40), d.begun_at + interval '45 s',
    'not before the send''s deadline and the margin are over')
FROM t.delivery(40) d;
SELECT is(d.request ->> 'body', 'the body', 'the request stays') FROM t.delivery(40) d;
SELECT t.pass('46 s');
SELECT t.change(format('UPDATE automapost.job_queue SET scheduled_for = scheduled_for + interval
    ''1 h'' WHERE status = ''pending'' AND id <> %L', t.job_of(40)));
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(40)], 'then it is given');
SELECT is((c.mode, c.input #>> '{delivery,request,body}')::text, ('reconcile', 'the body')::text,
    'to be reconciled, with the stored request')
FROM t.claims c WHERE c.id = t.job_of(40);
SELECT is(t.settle(t.job_of(40), 'absent'), 'settled pending', 'not found');
SELECT is(t.state(40), 'pending 1 unconfirmed -', 'once is not enough');
SELECT ok(t.is_in(pg_temp.due(40), '60 s'), 'a second look 60 s later');
SELECT t.pass('55 s');
SELECT t.change(format('UPDATE automapost.job_queue SET scheduled_for = now() WHERE id = %L',
    t.job_of(40)));
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(40)], 'somebody looks after 55 s');
SELECT is(t.settle(t.job_of(40), 'absent'), 'settled pending', 'not found');
SELECT is((t.delivery(40)).state, 'unconfirmed', 'too early to count as the second look');
SELECT t.pass('6 s');
SELECT t.change(format('UPDATE automapost.job_queue SET scheduled_for = now() WHERE id = %L',
    t.job_of(40)));
SELECT t.claim('w1', '{social-media-post}');
SELECT is(t.settle(t.job_of(40), 'absent'), 'settled pending', 'not found after 61 s');
SELECT is((t.state(40), (t.delivery(40)).request, t.is_in(pg_temp.due(40), '0 s'))::text,
    ('pending 1 pending -', NULL, true)::text,
    'is absent: pending, the ordinary way, due now; looking used no attempt');
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(40)], 'claimed');
SELECT is((SELECT mode FROM t.claims WHERE id = t.job_of(40)), 'run', 'to run, from a fresh load');

CREATE FUNCTION pg_temp.reconciled(n bigint, outcome text, what jsonb DEFAULT '{}',
    passed interval DEFAULT '46 s')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    verdict text;
BEGIN
    IF pg_temp.settled(n, 'unknown') <> 'settled: pending 1 unconfirmed -' THEN
        RETURN 'not unconfirmed';
    END IF;
    PERFORM t.pass(passed);
    PERFORM t.change(format('UPDATE automapost.job_queue
        SET scheduled_for = now() + interval ''1 h''
        WHERE status = ''pending'' AND id <> %L', t.job_of(n)));
    PERFORM t.claim('w1', '{social-media-post}');
    verdict := t.settle(t.job_of(n), outcome, what);
    RETURN split_part(verdict, ' ', 1) || ': ' || t.state(n);
END $$;
SELECT is(pg_temp.reconciled(41, 'done', t.receipt('r41')), 'settled: completed 1 sent -',
    'found: sent');
SELECT is(pg_temp.reconciled(42, 'held', '{"message": "look there"}'),
    'settled: failed 1 held unconfirmed', 'cannot be told: held');
SELECT is((t.job(t.job_of(42))).error_code, 'held', 'the job fails with code held');
SELECT is((t.delivery(42)).finished_at, NULL, 'a held delivery has not ended');
SELECT is(pg_temp.reconciled(43, 'unclear', '{"message": "503"}'),
    'settled: pending 1 unconfirmed -', 'no answer: another look');
SELECT ok(pg_temp.due(43) > now() - interval '5 s', 'after a backoff');
SELECT is(pg_temp.reconciled(44, 'unclear', '{"message": "503"}', '24 h 1 min'),
    'settled: failed 1 held unconfirmed', 'no answer for a day: held');
SELECT is(pg_temp.reconciled(45 + n, outcome, '{"class": "transient"}'), 'settled: ' || wanted,
    'reconciling ended ' || outcome || ': ' || wanted)
FROM (VALUES (0, 'retry', 'pending 1 unconfirmed -'), (1, 'limited', 'pending 1 unconfirmed -'), (2,
    'config', 'pending 1 unconfirmed -'),
    (3, 'timeout', 'pending 1 unconfirmed -'), (4, 'put-back', 'pending 1 unconfirmed -'), (5,
        'failed', 'failed 1 held unconfirmed')) v (n, outcome, wanted);
SELECT is(pg_temp.settled(52, 'unknown'), 'settled: pending 1 unconfirmed -', 'unknown');
SELECT t.change(format('UPDATE automapost.post_deliveries SET due_at = now() - interval ''3 h''
    WHERE post_id = %L', t.id(52)));
SELECT t.pass('46 s'), t.later(),
    t.change(format('UPDATE automapost.job_queue SET scheduled_for = now() WHERE id = %L',
    t.job_of(52)));
SELECT is(t.claim('w1', '{social-media-post}'), ARRAY[t.job_of(52)],
    'too late by now; it is looked at all the same');
SELECT is(t.settle(t.job_of(52), 'retry', '{"class": "transient"}'), 'settled pending',
    'past the late limit reconciling goes on');
SELECT ok(pg_temp.due(52) > now(), 'and does not turn on the spot');

-- Sent once more with the same bytes: only a receipt ends the doubt
SELECT is(pg_temp.settled(55, 'unknown', way => 'resend'), 'settled: pending 1 unconfirmed -',
    'unknown');
SELECT t.pass('46 s'), t.later(),
    t.change(format('UPDATE automapost.job_queue SET scheduled_for = now() WHERE id = %L',
    t.job_of(55)));
SELECT t.claim('w1', '{social-media-post}'), t.begin(t.job_of(55), way => 'resend');
SELECT is(t.settle(t.job_of(55), 'retry', '{"class": "transient", "message": "refused"}') || ': ' ||
    t.state(55),
    'settled pending: pending 2 unconfirmed -',
        'the second time certainly not received: the first is as unknown as before');
SELECT ok(pg_temp.due(55) >= (t.delivery(55)).begun_at + interval '45 s',
    'looked at when that send too must be over');

-- Cancelled
SELECT is(pg_temp.settled(60, 'unsent'), 'settled: cancelled 0 cancelled cancelled',
    'cancelled before the first byte: the attempt is given back');
SELECT t.later(), t.publishing(61), t.claim('w1', '{social-media-post}');
SELECT t.begin(t.job_of(61));
SELECT automapost.cancel(t.job_of(61));
SELECT is(t.settle(t.job_of(61), 'done', t.receipt('r61')) || ': ' || t.state(61),
    'settled completed: completed 1 sent -',
    'cancelled after it: recorded as it is');
SELECT t.later(), t.publishing(62), t.claim('w1', '{social-media-post}');
SELECT t.begin(t.job_of(62));
SELECT automapost.cancel(t.job_of(62));
SELECT is(t.settle(t.job_of(62), 'retry', '{"class": "transient", "message": "503"}') || ': ' ||
    t.state(62),
    'settled cancelled: cancelled 1 cancelled cancelled',
        'cancelled and certainly not received: not tried again');
SELECT is((t.delivery(62)).cancelled_by || ', ' || (t.delivery(62)).detail,
    format('%s, cancelled by %1$s; last: 503', session_user), 'by whom, and what was last');

-- Past timeout_ms
SELECT is(pg_temp.settled(65, 'timeout', '{"class": "transient"}'),
    'settled: pending 1 unconfirmed -', 'timeout after begin: as unknown');
SELECT is(pg_temp.settled(66, 'timeout', '{"class": "transient"}', begun => false),
    'settled: pending 0 pending -', 'before: again');

-- Types without a begin: attempts are claims
CREATE FUNCTION pg_temp.plain(outcomes text[], tries bigint DEFAULT 2) RETURNS text LANGUAGE plpgsql
    AS $$
DECLARE
    job text := (SELECT id FROM automapost.enqueue('plain', max_attempts => tries));
    outcome text;
    states text := '';
BEGIN
    FOREACH outcome IN ARRAY outcomes LOOP
        PERFORM t.change(format('UPDATE automapost.job_queue SET scheduled_for = now()
            WHERE id = %L', job));
        PERFORM t.claim('w1', '{plain}');
        PERFORM t.settle(job, outcome, '{"class": "transient", "message": "m"}');
        states := states || format('%s %s, ', (t.job(job)).status, (t.job(job)).attempts);
    END LOOP;
    RETURN rtrim(states, ', ');
END $$;
SELECT is(pg_temp.plain('{retry,retry}'), 'pending 1, failed 2', 'two tries in all, then failed');
SELECT is(pg_temp.plain('{timeout,timeout}'), 'pending 1, timeout 2',
    'timeout only when no attempt is left');
SELECT is(pg_temp.plain('{limited,limited,config,put-back,done}', 1),
    'pending 0, pending 0, pending 0, pending 0, completed 1',
    'limited, config and put back use none');
SELECT is(pg_temp.plain('{unknown}'), 'pending 1',
    'an unknown outcome of what only touches our database: again');
SELECT is(pg_temp.plain('{failed}', 9), 'failed 1', 'failed for good whatever is left');
SELECT is(pg_temp.plain('{limited}'), 'pending 0', 'limited now');
SELECT t.change('UPDATE automapost.job_queue SET scheduled_for = now(),
    first_limited_at = now() - interval ''7 days 1 s'' WHERE first_limited_at IS NOT NULL
    AND job_type = ''plain'' AND status = ''pending''');
SELECT is(t.settle((t.claim('w1', '{plain}'))[1], 'limited'), 'settled failed',
    'limited for 7 days: failed');

-- Fenced: the job's row by its lease; a receipt never
SELECT t.later(), t.publishing(70), t.claim('w1', '{social-media-post}');
SELECT t.begin(t.job_of(70));
SELECT automapost.release_worker('w1', 'killed'), t.worker('w3');
SELECT is(t.state(70), 'pending 1 unconfirmed worker-died', 'given up after begin');
SELECT is(t.settle(t.job_of(70), 'failed', '{"code": "x"}') || ': ' || t.state(70),
    'lost pending: pending 1 unconfirmed worker-died', 'a lost lease settles nothing');
SELECT is(t.settle(t.job_of(70), 'done', t.receipt('r70')) || ': ' || t.state(70),
    'lost completed: completed 1 sent -', 'but its receipt counts');
SELECT is((SELECT status::text FROM posts WHERE id = t.id(70)::uuid), 'SENT',
    'and the application hears of it');

-- Again, after an answer that was lost; and a batch
UPDATE t.claims SET worker = 'w3' WHERE worker = 'w1';
SELECT t.later(), t.publishing(80), t.publishing(81), t.claim('w3', '{social-media-post}');
SELECT t.begin(t.job_of(80)), t.begin(t.job_of(81));
SELECT t.settle(t.job_of(80), 'done', t.receipt('r80'));
SELECT is(t.settle(t.job_of(80), 'done', t.receipt('r80')), 'again completed',
    'settled twice: again, and the same');
UPDATE t.claims SET lease = lease + 1000 WHERE id = t.job_of(80);
SELECT is((SELECT count(*) FROM automapost.job_executions WHERE job_queue_id::text = t.job_of(80)),
    1::bigint, 'one attempt is one row');
SELECT is((SELECT string_agg(s.verdict, ' ' ORDER BY s.verdict) FROM automapost.settle_jobs('w3', (
        SELECT jsonb_agg(jsonb_build_object('id', c.id, 'lease', c.lease, 'outcome', 'retry',
            'execution_id', gen_random_uuid(),
            'delivery_id', c.input #>> '{delivery,id}', 'begin_number', c.begin_number,
            'logs', '[{"level": "info", "message": "said", "data": {"a": 1},
                "at": "2026-01-01T00:00:00Z"}]'::jsonb))
        FROM t.claims c WHERE c.id IN (t.job_of(80), t.job_of(81)))) s),
    'lost settled', 'in a batch a lost one is passed over, the other settles');
SELECT results_eq($$ SELECT level::text, message, data, "timestamp" FROM automapost.job_logs $$,
    $$ VALUES ('info', 'said', '{"a": 1}'::jsonb, '2026-01-01 00:00:00+00'::timestamptz) $$,
        'the log lines of what settled are kept, once');

SELECT * FROM finish();
ROLLBACK;
