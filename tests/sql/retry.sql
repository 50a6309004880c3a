-- SPDX-License-Identifier: MIT
-- retry(): which jobs may be tried once more, and what that reopens.
BEGIN;
SELECT plan(26);
SELECT t.worker('w1');

CREATE FUNCTION pg_temp.ended(status text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job text := (SELECT id FROM automapost.enqueue('plain', job_key => 'key-' || status));
BEGIN
    PERFORM t.change(format('UPDATE automapost.job_queue SET status = %L, finished_at = now(),
        attempts = 3, error_class = ''permanent'',
        error_code = ''x'', error_message = ''m'', cancel_requested_at = now(),
            first_limited_at = now(), scheduled_for = now() + interval ''1 h'' WHERE id = %L',
            status, job));
    RETURN job;
END $$;
SELECT is(r.was, status, status || ' can be retried') FROM unnest(ARRAY['failed', 'timeout',
    'cancelled']) status, LATERAL pg_temp.ended(status) job, LATERAL automapost.retry(job) r;
SELECT is((q.status, q.attempts, q.error_class, q.error_code, q.error_message, q.finished_at,
    q.cancel_requested_at, q.first_limited_at, t.is_in(q.scheduled_for, '0 s'))::text,
    ('pending', 0, NULL, NULL, NULL, NULL, NULL, NULL, true)::text,
        'pending, due now, attempts 0, as if new') FROM automapost.job_queue q
        WHERE job_key = 'key-failed';
SELECT t.refuses(format('SELECT automapost.retry(%L)', id), '55000',
    'is pending: only a failed, timed out or cancelled one', 'a pending one')
    FROM automapost.job_queue WHERE job_key = 'key-failed';
SELECT t.claim('w1', '{plain}');
SELECT t.refuses(format('SELECT automapost.retry(%L)', id), '55000', 'is running: only a failed',
    'a running one') FROM automapost.job_queue WHERE job_key = 'key-failed';
SELECT t.settle(id::text, 'done') FROM automapost.job_queue WHERE job_key = 'key-failed';
SELECT t.refuses(format('SELECT automapost.retry(%L)', id), '55000', 'is completed: only a failed',
    'a completed one') FROM automapost.job_queue WHERE job_key = 'key-failed';
CREATE TEMP TABLE old AS SELECT pg_temp.ended('failed') AS id;
CREATE TEMP TABLE live AS SELECT * FROM automapost.enqueue('plain', job_key => 'key-failed');
SELECT t.refuses(format('SELECT automapost.retry(%L)', o.id), '23505',
    format('job %s has the same key and is pending', l.id), 'one whose key lives') FROM old o,
    live l;
SELECT t.refuses('SELECT automapost.retry(''abc'')', '22023', 'id "abc" is no job id', 'no id');
SELECT t.refuses('SELECT automapost.retry(''ffffffffffff'')', 'P0002', 'no job has the id',
    'a job that there is not');

-- Publishing
CREATE FUNCTION pg_temp.published(n bigint, state text, due interval DEFAULT '1 min') RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    job text := t.publishing(n, late => due);
BEGIN
    PERFORM t.change(format('UPDATE automapost.job_queue SET status = ''failed'',
        finished_at = now() WHERE id = %L', job));
    UPDATE automapost.post_deliveries d SET state = published.state, code = 'x', detail = 'y',
        finished_at = now(), cancelled_by = 'me', request = '{}', sent_at = now(), absent_at = now()
    WHERE d.post_id = t.id(n);
    RETURN job;
END $$;
SELECT is(r.was, 'failed', state || ': its job can be retried')
FROM (VALUES (1, 'failed'), (2, 'missed'), (3, 'cancelled')) v (n, state),
    LATERAL pg_temp.published(n, state) job, LATERAL automapost.retry(job) r;
SELECT is((d.state, d.code, d.detail, d.finished_at, d.cancelled_by, d.absent_at,
    d.late_allowed)::text, '(pending,,,,,,f)', 'its delivery is pending again')
    FROM t.delivery(1) d;
SELECT t.refuses(format('SELECT automapost.retry(%L)', pg_temp.published(n, state)), '55000', says,
    state || ': refused')
FROM (VALUES (11, 'held', 'automapost.resolve_delivery('), (12, 'sent', 'the delivery is sent'),
    (13, 'sending', 'the delivery is sending'),
    (14, 'unconfirmed', 'the delivery is unconfirmed')) v (n, state, says);
SELECT is((t.delivery(11)).state, 'held', 'a held one stays held');
SELECT t.publishing(20);
SELECT t.change('UPDATE automapost.post_deliveries SET state = ''missed'',
    due_at = now() - interval ''3 h'', finished_at = now() WHERE post_id = t.id(20)');
SELECT t.change(format('UPDATE automapost.job_queue SET status = ''failed'', finished_at = now()
    WHERE id = %L', t.job_of(20)));
UPDATE posts SET "scheduledTo" = now() - interval '3 h' WHERE id = t.id(20)::uuid;
SELECT t.refuses(format('SELECT automapost.retry(%L)', t.job_of(20)), '55000',
    'past the late limit', 'past the late limit: refused');
SELECT t.refuses(format('SELECT automapost.retry(%L)', t.job_of(20)), '55000', 'late => true',
    'with the way out');
SELECT is(was, 'failed', 'with it, retried') FROM automapost.retry(t.job_of(20), late => true);
SELECT is((d.state, d.late_allowed)::text, '(pending,t)', 'however late') FROM t.delivery(20) d;
SELECT ok(t.job_of(20) = ANY (t.claim('w1', '{social-media-post}')), 'claimed');
SELECT is(t.begin(t.job_of(20)), 'go', 'and sent');
SELECT is(t.settle(t.job_of(20), 'done', t.receipt('r')) || ': ' || t.state(20),
    'settled completed: completed 1 sent -', 'out');

SELECT * FROM finish();
ROLLBACK;
