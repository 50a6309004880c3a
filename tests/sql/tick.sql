-- SPDX-License-Identifier: MIT
-- tick(): may a service run, and is there anything to do?
BEGIN;
SELECT plan(22);

CREATE FUNCTION pg_temp.work(service text DEFAULT 'queue',
    types text[] DEFAULT '{plain}') RETURNS boolean LANGUAGE sql AS $$
    SELECT (automapost.tick(service, types) ->> 'work')::boolean
$$;
SELECT is(automapost.tick('queue', '{plain}') - 'engine' - 'schema' - 'schedule',
    '{"lowestBinary": "0.1.0", "defined": true, "active": true, "pausedReason": null,
    "work": false}', 'a quiet minute');
SELECT is((automapost.tick('queue', '{}') ->> 'schema')::bigint, (SELECT max(version)
    FROM automapost.schema_migrations), 'the schema''s version');
SELECT is(automapost.tick('queue', '{}') -> 'engine',
    '{"beat": 3.0, "self_fence": 8.0, "lapse": 15.0, "statement_limit": 4.0, "send_deadline": 30.0,
    "collect_every": 10.0, "slot_grace": 120.0}'::jsonb,
    'the numbers that a worker needs, in seconds');
SELECT is((version, lowest_binary)::text, format('(%s,0.1.0)', (SELECT max(version)
    FROM automapost.schema_migrations)), 'schema_version() says the same')
    FROM automapost.schema_version();
SELECT is(automapost.tick('no-such', '{}') - 'engine' - 'schema' - 'schedule' - 'lowestBinary',
    '{"defined": false, "active": false, "pausedReason": null, "work": false}',
    'a service that there is not');
SELECT is(automapost.tick('plain', '{}') ->> 'defined', 'false', 'a type is no service');
SELECT automapost.pause('queue', 'platform work');
SELECT is(automapost.tick('queue', '{}') - 'engine' - 'schema' - 'schedule' - 'lowestBinary',
    '{"defined": true, "active": false, "pausedReason": "platform work", "work": false}',
    'paused, and why');
SELECT automapost.resume('queue');

SELECT automapost.enqueue('plain', scheduled_for => now() + interval '1 h');
SELECT is(pg_temp.work(), false, 'a job that is not due is no work');
SELECT automapost.wake('plain');
SELECT is(pg_temp.work(), true, 'a due one is');
SELECT is(pg_temp.work(types => '{refresh-token}'), false, 'not for other types');
SELECT t.worker('w1');
SELECT t.claim('w1', '{plain}');
SELECT is(pg_temp.work(), true, 'while it runs, for who would take it over');
SELECT is(pg_temp.work(types => '{refresh-token}'), false, 'not for others');
UPDATE automapost.workers SET last_beat = clock_timestamp() - interval '16 s';
SELECT is(pg_temp.work(types => '{}'), true, 'a lapsed worker is work for anybody');
SELECT automapost.rescue_lapsed();
SELECT is(pg_temp.work(types => '{}'), false, 'until somebody has rescued');

SELECT t.member(1), t.account(1, 1, 'webhook'), t.post(1, 1, '{1}', now() + interval '1 s');
SELECT is(pg_temp.work('social-media', '{social-media-post}'), false,
    'a post that is not due is no work');
UPDATE posts SET "scheduledTo" = now() - interval '1 s';
SELECT is(pg_temp.work('social-media', '{social-media-post}'), true, 'a due one is');
SELECT is(pg_temp.work('queue', '{plain}'), true, 'the rescued job is the queue''s work');
SELECT is(pg_temp.work('queue', '{refresh-token}'), false, 'but not the post');
UPDATE posts SET "scheduledTo" = now() - interval '3 h 1 s';
SELECT is(pg_temp.work('social-media', '{social-media-post}'), false, 'nor is one past the window');
UPDATE automapost.installation SET publish_from = now();
UPDATE posts SET "scheduledTo" = now() - interval '1 s';
SELECT is(pg_temp.work('social-media', '{social-media-post}'), false,
    'nor one due before publish_from');
INSERT INTO automapost.post_deliveries (post_id, auth_provider_id, kind, user_id, provider, due_at,
    state, sent_at) VALUES ('p', 'a', 'post', 'u', 'x', now(), 'sent', now());
SELECT is(pg_temp.work('social-media', '{social-media-post}'), true,
    'a post of which the application does not know yet is');
UPDATE automapost.post_deliveries SET applied_at = now();
SELECT is(pg_temp.work('social-media', '{social-media-post}'), false, 'until it does');

SELECT * FROM finish();
ROLLBACK;
