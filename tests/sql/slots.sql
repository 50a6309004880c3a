-- SPDX-License-Identifier: MIT
-- Slots of schedules: who takes one, when it is open again, what is not missed, and what a row of
-- job_definitions may do to it.
BEGIN;
SELECT plan(56);

SELECT t.change($$ INSERT INTO automapost.job_definitions (name, kind, cron_schedule)
    VALUES ('daily', 'service', '0 8 * * *'), ('report', 'type', '0 9 * * *') $$);
-- As if they had been there for a week.
CREATE FUNCTION pg_temp.age(elapsed interval) RETURNS void LANGUAGE sql AS $$
    SELECT t.change(format('UPDATE automapost.slots SET due_after = due_after - %1$L::interval,
        slot = slot - %1$L::interval, taken_at = taken_at - %1$L::interval,
        done_at = done_at - %1$L::interval, idle_from = idle_from - %1$L::interval,
        idle_until = idle_until - %1$L::interval', elapsed))
$$;
CREATE FUNCTION pg_temp.slot(name text) RETURNS automapost.slots LANGUAGE sql AS $$
    SELECT s FROM automapost.slots s JOIN automapost.job_definitions d ON d.id = s.definition_id
    WHERE d.name = slot.name
$$;
CREATE FUNCTION pg_temp.row(name text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT s FROM automapost.schedules() s WHERE s ->> 'name' = row.name
$$;
CREATE FUNCTION pg_temp.ago(elapsed interval) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT date_trunc('minute', now()) - elapsed
$$;

SELECT is((pg_temp.slot('daily')).slot, NULL, 'a definition has a row at once');
SELECT ok(t.is_in((pg_temp.slot('daily')).due_after, '0'), 'from now on: what was due before it '
    'was there is not missed');
SELECT pg_temp.age('7 d');

-- One takes it.
SELECT t.worker('w1'), t.worker('w2');
SELECT is(automapost.take_slot('daily', pg_temp.ago('1 h'), 'w1'), true, 'a worker takes a slot');
SELECT is(automapost.take_slot('daily', pg_temp.ago('1 h'), 'w1'), true,
    'and again, where the answer was lost');
SELECT is(automapost.take_slot('daily', pg_temp.ago('1 h'), 'w2'), false, 'no other takes it');
SELECT is(automapost.take_slot('daily', pg_temp.ago('1 min'), 'w2'), false,
    'nor the next one, while that worker is at it');
SELECT is(automapost.finish_slot('daily', pg_temp.ago('1 h'), 'w2'), false,
    'what another has cannot be finished');
SELECT is((pg_temp.slot('daily')).done_at, NULL, 'it is not done');
SELECT is(automapost.finish_slot('daily', pg_temp.ago('1 h'), 'w1'), true, 'its taker finishes it');
SELECT is(automapost.finish_slot('daily', pg_temp.ago('1 h'), 'w1'), true, 'and may say so twice');
SELECT is(automapost.take_slot('daily', pg_temp.ago('1 h'), 'w2'), false, 'what is done is done');
SELECT is(automapost.take_slot('daily', pg_temp.ago('1 h'), 'w1'), false, 'also for its taker');
SELECT is(automapost.take_slot('daily', pg_temp.ago('2 h'), 'w2'), false,
    'a stale tick does not go back');
SELECT is(automapost.take_slot('daily', now() + interval '1 min', 'w2'), false,
    'nor an early one ahead');
SELECT is(automapost.take_slot('no-such', pg_temp.ago('1 min'), 'w2'), false, 'of nothing');
SELECT is(automapost.take_slot('report', pg_temp.ago('1 min'), 'w2'), false,
    'a job type''s slot is a job''s');
SELECT is((pg_temp.row('daily') ->> 'due_after')::timestamptz, pg_temp.ago('1 h'),
    'a reader sees that it is done');

-- Its taker ends without having done it.
SELECT is(automapost.take_slot('daily', pg_temp.ago('30 min'), 'w1'), true, 'the next slot');
SELECT automapost.release_worker('w1', 'signal KILL');
SELECT is(automapost.finish_slot('daily', pg_temp.ago('30 min'), 'w1'), true,
    'what an ended worker had collected counts, while nobody else has the slot');
SELECT t.change('UPDATE automapost.slots SET done_at = NULL');
SELECT is(automapost.take_slot('daily', pg_temp.ago('30 min'), 'w2'), true,
    'open again for others when its taker ended without it');
SELECT is(automapost.finish_slot('daily', pg_temp.ago('30 min'), 'w1'), false,
    'then the late one has nothing to finish');
UPDATE automapost.workers SET last_beat = clock_timestamp() - interval '16 s' WHERE id = 'w2';
SELECT t.worker('w3');
SELECT is(automapost.take_slot('daily', pg_temp.ago('30 min'), 'w3'), true, 'or when it lapsed');
SELECT t.refuses($$ SELECT automapost.take_slot('daily', now() - interval '5 min', 'w1') $$, 'AM001',
    'worker w1', 'a worker that has ended takes nothing');
SELECT automapost.finish_slot('daily', pg_temp.ago('30 min'), 'w3');

-- What is not missed.
SELECT t.change($$ UPDATE automapost.job_definitions SET cron_schedule = '0 7 * * *'
    WHERE name = 'daily' $$);
SELECT is(automapost.take_slot('daily', pg_temp.ago('1 min'), 'w3'), false,
    'by another schedule, what was due before it');
SELECT pg_temp.age('1 d');
SELECT t.change($$ UPDATE automapost.job_definitions SET description = 'x' WHERE name = 'daily' $$);
SELECT is(automapost.take_slot('daily', pg_temp.ago('20 min'), 'w3'), true,
    'another description changes nothing');
SELECT automapost.finish_slot('daily', pg_temp.ago('20 min'), 'w3');

SELECT automapost.pause('daily', 'platform work');
SELECT is(automapost.take_slot('daily', pg_temp.ago('0'), 'w3'), false, 'paused: none is taken');
SELECT pg_temp.age('1 h');
SELECT automapost.resume('daily');
SELECT is(automapost.take_slot('daily', pg_temp.ago('10 min'), 'w3'), false,
    'what was due in the pause is not missed');
SELECT is(automapost.take_slot('daily', pg_temp.ago('61 min'), 'w3'), true,
    'what was missed before it is');
SELECT automapost.finish_slot('daily', pg_temp.ago('61 min'), 'w3');
SELECT pg_temp.age('2 h');
SELECT automapost.pause('daily', 'again'), automapost.resume('daily');
SELECT is(automapost.take_slot('daily', pg_temp.ago('130 min'), 'w3'), false,
    'a second pause does not bring back what was due in the first');
SELECT is(automapost.take_slot('daily', pg_temp.ago('110 min'), 'w3'), true,
    'what was missed between the two is');
SELECT automapost.finish_slot('daily', pg_temp.ago('110 min'), 'w3');

SELECT automapost.pause('daily', 'until then', now() + interval '1 h');
SELECT pg_temp.age('30 min');
SELECT t.change($$ UPDATE automapost.job_definitions SET paused_at = now() - interval '30 min',
    paused_until = now() - interval '1 s' WHERE name = 'daily' $$);
SELECT ok((pg_temp.slot('daily')).idle_until <= clock_timestamp(), 'a pause ends by itself');
SELECT is(automapost.take_slot('daily', pg_temp.ago('5 min'), 'w3'), false,
    'and what was due in it is not missed');
SELECT pg_temp.age('2 h');
SELECT is(automapost.take_slot('daily', pg_temp.ago('5 min'), 'w3'), true, 'what comes after it is '
    'taken');
SELECT automapost.finish_slot('daily', pg_temp.ago('5 min'), 'w3');

SELECT t.change($$ UPDATE automapost.job_definitions SET is_active = false WHERE name = 'daily' $$);
SELECT is((pg_temp.slot('daily')).idle_until, NULL, 'turned off by plain SQL is a pause too');
SELECT t.change($$ UPDATE automapost.job_definitions SET is_active = true WHERE name = 'daily' $$);
SELECT ok(t.is_in((pg_temp.slot('daily')).idle_until, '0'), 'until it is turned on');

-- Job types.
SELECT t.change($$ UPDATE automapost.slots SET due_after = now() - interval '7 d' $$);
SELECT isnt(automapost.enqueue_slot('report', pg_temp.ago('1 h'), 'q1'), NULL, 'a job for its slot');
SELECT is(automapost.enqueue_slot('report', pg_temp.ago('1 h'), 'q2'), NULL, 'once');
SELECT is((SELECT array_agg((q.job_type, q.job_key, q.status)::text)
    FROM automapost.job_queue q), ARRAY['(report,schedule,pending)'], 'in the queue');
SELECT is((SELECT (q.payload ->> 'slot')::timestamptz FROM automapost.job_queue q),
    pg_temp.ago('1 h'), 'that knows its slot');
SELECT isnt(automapost.enqueue_slot('report', pg_temp.ago('30 min'), 'q2'), NULL, 'the next slot');
SELECT is((SELECT array_agg((q.payload ->> 'slot')::timestamptz) FROM automapost.job_queue q),
    ARRAY[pg_temp.ago('30 min')], 'takes the place of the one that still waits');
SELECT t.change($$ UPDATE automapost.job_definitions SET handler = 'external'
    WHERE name = 'report' $$);
SELECT is((SELECT count(*) FROM automapost.claim('{report}', 'external-1', 'batch', 1)), 1::bigint,
    'it runs');
SELECT isnt(automapost.enqueue_slot('report', pg_temp.ago('20 min'), 'q2'), NULL,
    'one that is due meanwhile');
SELECT is((SELECT array_agg(q.status::text ORDER BY q.status) FROM automapost.job_queue q),
    ARRAY['pending', 'running'], 'waits until it has ended');
SELECT is(automapost.enqueue_slot('daily', pg_temp.ago('1 min'), 'q2'), NULL, 'not for a service');

-- What came of reading a schedule.
SELECT is(automapost.note_schedule('daily', '0 7 * * *', 'UTC', NULL), true, 'it can be used');
SELECT is(pg_temp.row('daily') - ARRAY(SELECT k FROM jsonb_object_keys(pg_temp.row('daily')) k
        WHERE k NOT IN ('good_schedule', 'good_timezone', 'problem', 'problem_since')),
    '{"good_schedule": "0 7 * * *", "good_timezone": "UTC", "problem": null,
      "problem_since": null}', 'and is the good one');
SELECT t.change($$ UPDATE automapost.job_definitions SET cron_schedule = '0 25 * * *'
    WHERE name = 'daily' $$);
SELECT is(automapost.note_schedule('daily', '0 7 * * *', 'UTC', 'stale'), false,
    'news of a schedule that is no more is none');
SELECT is(automapost.note_schedule('daily', '0 25 * * *', 'UTC', 'no such hour'), true,
    'it cannot be used');
SELECT is(pg_temp.row('daily') ->> 'good_schedule', '0 7 * * *', 'the last good one stays');
SELECT is(pg_temp.row('daily') ->> 'problem', 'no such hour', 'and why is kept');

-- Another schedule.
SELECT is((SELECT to_jsonb(s) FROM automapost.set_schedule('daily', '0 6 * * *', 'Europe/Berlin') s),
    '{"name": "daily", "schedule": "0 6 * * *", "timezone": "Europe/Berlin",
      "was_schedule": "0 25 * * *", "was_timezone": "UTC"}', 'set_schedule says what it was');
SELECT is((SELECT to_jsonb(s) ->> 'timezone' FROM automapost.set_schedule('daily', NULL, NULL) s),
    'Europe/Berlin', 'on demand; the zone stays');
SELECT t.refuses($$ SELECT automapost.set_schedule('dayly', '0 6 * * *', NULL) $$, 'P0002',
    'Names: ', 'what there is not is named, and what there is');
SELECT t.refuses($$ SELECT automapost.set_schedule('refresh-token', '0 6 * * *', NULL) $$, '22023',
    'has no schedule', 'jobs that are for one post or account have none');
SELECT is((SELECT array_agg(s ->> 'name' || ' ' || (s ->> 'default_schedule'))
    FROM automapost.schedules() s WHERE s ->> 'default_schedule' IS NOT NULL),
    ARRAY['cleanup */10 * * * *', 'queue * * * * *', 'schedule */10 * * * *',
        'social-media * * * * *'],
    'schedules() says what units are shipped with');

SELECT * FROM finish();
ROLLBACK;
