-- SPDX-License-Identifier: MIT
-- tick(): may a service run, and is there anything to do?
BEGIN;
SELECT plan(41);

CREATE FUNCTION pg_temp.work(service text DEFAULT 'queue',
    types text[] DEFAULT '{plain}') RETURNS boolean LANGUAGE sql AS $$
    SELECT (automapost.tick(service, types) ->> 'work')::boolean
$$;
SELECT is(automapost.tick('queue', '{plain}') - 'engine' - 'schema' - 'schedule' - 'installation' - 'hosts',
    '{"lowestBinary": "0.1.0", "defined": true, "active": true, "pausedReason": null,
    "work": false}', 'a quiet minute');
SELECT is(automapost.tick('queue', '{}') ->> 'installation', (SELECT id::text
    FROM automapost.installation), 'the installation, by whose id a host keeps its mark');
SELECT is((automapost.tick('queue', '{}') ->> 'schema')::bigint, (SELECT max(version)
    FROM automapost.schema_migrations), 'the schema''s version');
SELECT is(automapost.tick('queue', '{}') -> 'engine',
    '{"beat": 3.0, "self_fence": 8.0, "lapse": 15.0, "statement_limit": 4.0, "send_deadline": 30.0,
    "collect_every": 10.0, "slot_grace": 120.0}'::jsonb,
    'the numbers that a worker needs, in seconds');
SELECT is((version, lowest_binary)::text, format('(%s,0.1.0)', (SELECT max(version)
    FROM automapost.schema_migrations)), 'schema_version() says the same')
    FROM automapost.schema_version();
SELECT is(automapost.tick('no-such', '{}') - 'engine' - 'schema' - 'schedule' - 'lowestBinary'
        - 'installation' - 'hosts',
    '{"defined": false, "active": false, "pausedReason": null, "work": false}',
    'a service that there is not');
SELECT is(automapost.tick('plain', '{}') ->> 'defined', 'false', 'a type is no service');
SELECT automapost.pause('queue', 'platform work');
SELECT is(automapost.tick('queue', '{}') - 'engine' - 'schema' - 'schedule' - 'lowestBinary'
        - 'installation' - 'hosts',
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

SELECT t.member(1), t.account(1, 1, 'webhook'), t.post(1, 1, '{1}', now() + interval '1 h');
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

-- What waits is no work, however due it is: for its job, for a person, for an edit
CREATE FUNCTION pg_temp.publishes() RETURNS boolean LANGUAGE sql AS $$
    SELECT pg_temp.work('social-media', '{social-media-post,refresh-token}')
$$;
DELETE FROM automapost.post_deliveries;
DELETE FROM posts;
UPDATE automapost.installation SET publish_from = now() - interval '60 days';
SELECT t.worker('w2');
SELECT t.publishing(2), t.claim('w2', '{social-media-post}');
SELECT t.begin(t.job_of(2));
SELECT t.settle(t.job_of(2), 'retry', '{"class": "transient", "message": "no connection"}');
SELECT t.later();
SELECT is(pg_temp.publishes(), false, 'one that is tried again later');
SELECT t.change('UPDATE automapost.job_queue SET scheduled_for = now() WHERE status = ''pending''
    AND job_type = ''social-media-post''');
SELECT is(pg_temp.publishes(), true, 'then it is');
SELECT t.claim('w2', '{social-media-post}'), t.begin(t.job_of(2));
SELECT t.settle(t.job_of(2), 'failed', '{"class": "permanent", "code": "rejected"}');
SELECT is(t.state(2) || ' ' || pg_temp.publishes(), 'failed 2 failed rejected false',
    'one that failed');
UPDATE posts SET content = 'new';
SELECT is(pg_temp.publishes(), true, 'until it is edited');
SELECT is(t.collect(), 1::bigint, 'which collect sees too');
SELECT t.change('UPDATE automapost.job_queue SET status = ''cancelled'', finished_at = now()
    WHERE status = ''pending'' AND job_type = ''social-media-post''');
SELECT is(pg_temp.publishes(), true, 'a delivery that lost its job');
SELECT t.collect(), t.later();
SELECT t.account(3, 2, 'webhook');
SELECT is(pg_temp.publishes(), false, 'an account that nobody chose');
UPDATE posts SET "authProviderIds" = "authProviderIds" || t.id(3);
SELECT is(pg_temp.publishes(), true, 'one that was chosen since');
SELECT t.collect();
SELECT t.claim('w2', '{social-media-post}'), t.begin(t.job_of(2, account => 3));
SELECT t.settle(t.job_of(2, account => 3), 'done', t.receipt('r'));
SELECT automapost.cancel(t.job_of(2));
SELECT is((t.delivery(2, account => 3)).state || ' ' || pg_temp.publishes(), 'sent true',
    'sent, and now nothing else can change any more: the application hears of it');
SELECT t.collect();
SELECT is((SELECT status::text FROM posts) || ' ' || pg_temp.publishes(), 'SENT false', 'it has');

SELECT t.member(5), t.account(5, 5, 'webhook'), t.account(6, 5, 'webhook'), t.post(5, 5, '{5,6}');
SELECT t.collect();
SELECT t.claim('w2', '{social-media-post}'), t.begin(t.job_of(5)),
    t.begin(t.job_of(5, account => 6));
SELECT t.settle(t.job_of(5), 'done', t.receipt('r')),
    t.settle(t.job_of(5, account => 6), 'held');
SELECT is((t.delivery(5)).state || ' ' || (t.delivery(5, account => 6)).state || ' '
    || pg_temp.publishes(), 'sent held false', 'sent beside held');
UPDATE posts SET "firstComment" = 'said later' WHERE id = t.id(5)::uuid;
SELECT is(pg_temp.publishes(), true, 'its first comment is, as long as it was not started');
SELECT t.collect();
SELECT t.claim('w2', '{social-media-post}'), t.begin(t.job_of(5, 'comment'));
SELECT t.settle(t.job_of(5, 'comment'), 'failed', '{"class": "permanent", "code": "rejected"}');
SELECT is(pg_temp.publishes(), false, 'it was started, and failed');
UPDATE posts SET "firstComment" = 'said otherwise' WHERE id = t.id(5)::uuid;
SELECT is(pg_temp.publishes(), true, 'until it is edited');
SELECT t.collect(), t.later();

-- A due job is none where it may not run
SELECT t.publishing(7, 'linkedin');
SELECT is(pg_temp.publishes(), true, 'a due job');
SELECT automapost.pause('social-media-post', 'test');
SELECT is(pg_temp.publishes(), false, 'its type is paused');
SELECT automapost.resume('social-media-post');
SELECT automapost.pause('provider:linkedin', 'test', now() + interval '1 h');
SELECT is(pg_temp.publishes(), false, 'its platform is paused or limited');
SELECT automapost.resume('provider:linkedin');
SELECT automapost.enqueue('plain', priority => p, scheduled_for => now() + interval '1 h')
FROM generate_series(6, 9) p;
SELECT t.change('UPDATE automapost.job_queue SET priority = 0 WHERE scheduled_for < now()');
SELECT is((pg_temp.publishes(), pg_temp.work())::text, '(t,f)',
    'of the lowest priority, and beside others of higher ones that are not due');

SELECT * FROM finish();
ROLLBACK;
