-- SPDX-License-Identifier: MIT
-- cancel(), and how people name a job.
BEGIN;
SELECT plan(21);
SELECT t.worker('w1');

CREATE TEMP TABLE plain AS SELECT * FROM automapost.enqueue('plain');
SELECT is((c.job_id, c.was)::text, format('(%s,cancelled)', p.id),
    'a pending job is cancelled at once') FROM plain p, automapost.cancel(p.id) c;
SELECT is((q.status, q.error_message, q.finished_at IS NOT NULL)::text, ('cancelled',
    'cancelled by ' || session_user, true)::text, 'by whom') FROM plain p, t.job(p.id) q;
SELECT is(c.was, 'cancelled', 'once more: the end that it has') FROM plain p,
    automapost.cancel(p.id) c;

SELECT t.publishing(1);
SELECT is(was, 'cancelled', 'a pending publication') FROM automapost.cancel(t.job_of(1));
SELECT is((d.state, d.cancelled_by)::text, ('cancelled', session_user)::text,
    'its delivery too, by a person') FROM t.delivery(1) d;
SELECT is(t.collect(), 0::bigint, 'collect leaves it cancelled');
UPDATE posts SET content = 'new';
SELECT is(t.collect(), 1::bigint, 'until it is edited');

SELECT t.claim();
SELECT is(was, 'requested', 'a running one: requested') FROM automapost.cancel(t.job_of(1));
SELECT is((t.job(t.job_of(1))).status, 'running', 'it runs until its begin');
CREATE TEMP TABLE asked AS SELECT cancel_requested_at AS at FROM t.job(t.job_of(1));
SELECT is(was, 'requested', 'asked again') FROM automapost.cancel(t.job_of(1));
SELECT is((t.job(t.job_of(1))).cancel_requested_at, at, 'it stays the first request') FROM asked;
SELECT is(t.settle(t.job_of(1), 'put-back'), 'settled cancelled', 'put back, it is cancelled');

SELECT t.later();
SELECT t.unconfirmed(2);
SELECT t.refuses(format('SELECT automapost.cancel(%L)', t.job_of(2)), '55000',
    'the post may be published already', 'an unconfirmed one is not cancelled');
SELECT t.refuses(format('SELECT automapost.cancel(%L)', t.job_of(2)), '55000',
    'automapost.why(''' || t.job_of(2), 'the hint says whom to ask');

-- Names
SELECT is((automapost.find_job(upper(replace(id, '-', '')))).id::text, id,
    'without dashes, in capitals') FROM plain;
SELECT is((automapost.find_job(left(id, 20))).id::text, id, 'by its beginning') FROM plain;
SELECT t.refuses(format('SELECT automapost.cancel(%L)', id), '22023', format('id "%s" is no job id',
    COALESCE(id, 'null')), 'no job id: ' || COALESCE(id, 'null'))
FROM (VALUES ('abc'), ('xyzw1234'), (NULL)) v (id);
SELECT t.refuses('SELECT automapost.cancel(''ffffffff-ffff-4fff-bfff-ffffffffffff'')', 'P0002',
    'no job has the id ffffffff-ffff', 'a job that there is not');
SELECT t.change($$ INSERT INTO automapost.job_queue (id, job_type)
    VALUES ('abcd0000-0000-4000-8000-000000000001', 'plain'),
    ('abcd0000-0000-4000-8000-000000000002', 'plain') $$);
SELECT t.refuses('SELECT automapost.cancel(''abcd'')', '22023', 'several jobs begin with abcd',
    'a beginning of two');

SELECT * FROM finish();
ROLLBACK;
