-- SPDX-License-Identifier: MIT
-- The ways in which a delivery ends without having been sent, each together with its job.
BEGIN;
SELECT plan(15);
SELECT t.worker('w1');

CREATE FUNCTION pg_temp.ended(n bigint, function text, arguments text) RETURNS text LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM t.later(), t.publishing(n);
    PERFORM t.claim('w1', '{social-media-post}');
    PERFORM t.begin(t.job_of(n));
    PERFORM t.change(format('SELECT automapost.%I(%L, %L%s)', function, t.job_of(n),
        (t.delivery(n)).id, arguments));
    RETURN t.state(n) || ' / ' || COALESCE((t.job(t.job_of(n))).error_code,
        '-') || ' ' || COALESCE((t.job(t.job_of(n))).error_class, '-');
END $$;
SELECT is(pg_temp.ended(1, 'fail_delivery', ', ''text-too-long'', ''500 at most'', ''v2'''),
    'failed 1 failed text-too-long / text-too-long permanent', 'failed');
SELECT is((d.detail, d.version, d.request, d.lease, d.retry_at, t.is_in(d.finished_at,
    '0 s'))::text, '("500 at most",v2,,,,t)', 'why, of which version; the request is gone')
    FROM t.delivery(1) d;
SELECT is(pg_temp.ended(2, 'miss_delivery', ', NULL'),
    'failed 1 missed missed-late / missed-late permanent', 'missed');
SELECT is((t.delivery(2)).detail, 'more than 02:00:00 late', 'how late');
SELECT isnt((t.delivery(2)).version, NULL, 'the version that it had stays');
SELECT is(pg_temp.ended(3, 'cancel_delivery', ', ''post-deleted'', ''the post was deleted'''),
    'cancelled 1 cancelled post-deleted / post-deleted -', 'cancelled');
SELECT is((d.cancelled_by, d.detail)::text, '(,"the post was deleted")',
    'by nobody, so that it can be taken up again') FROM t.delivery(3) d;
SELECT is(pg_temp.ended(4, 'hold_delivery', ', ''look there'''),
    'failed 1 held unconfirmed / held unknown-outcome', 'held');
SELECT is((d.detail, d.finished_at)::text, '("look there",)',
    'it has not ended: it waits for a person') FROM t.delivery(4) d;

-- What is sent is sent
SELECT t.later(), t.publishing(5);
SELECT t.claim('w1', '{social-media-post}');
SELECT t.begin(t.job_of(5));
SELECT t.settle(t.job_of(5), 'done', t.receipt('r'));
SELECT t.change(format('SELECT automapost.finish_delivery(%L, %L, ''x'', ''y'', NULL)',
    (t.delivery(5)).id, state)) FROM unnest(ARRAY['failed', 'missed', 'cancelled', 'held']) state;
SELECT is((d.state, d.code, d.url)::text, '(sent,,https://example.test/r)',
    'sent is final for ever') FROM t.delivery(5) d;

-- The table itself refuses what cannot be
SELECT throws_ok(format('UPDATE automapost.post_deliveries SET %s WHERE post_id = t.id(1)', change),
    '23514', NULL, 'not possible: ' || change)
FROM unnest(ARRAY['state = ''sending''', 'state = ''sent''', 'state = ''lost''',
    'kind = ''story''']) change;
SELECT throws_ok('INSERT INTO automapost.post_deliveries (post_id, auth_provider_id, kind, user_id,
    provider, due_at) SELECT post_id, auth_provider_id, kind, user_id, provider, due_at
    FROM automapost.post_deliveries LIMIT 1',
    '23505', NULL, 'one delivery for a post, an account and a kind');

SELECT * FROM finish();
ROLLBACK;
