-- SPDX-License-Identifier: MIT
-- pause(), resume(), wake().
BEGIN;
SELECT plan(29);

SELECT t.refuses('SELECT automapost.pause(''plain'', NULL)', '22023', 'reason is missing',
    'no reason');
SELECT t.refuses('SELECT automapost.pause(''plain'', ''  '')', '22023', 'reason is missing',
    'a blank reason');
SELECT t.refuses('SELECT automapost.pause(''plain'', ''r'', now() - interval ''1 s'')', '22023',
    'until must be a time to come', 'until a time that is past');
SELECT t.refuses('SELECT automapost.pause(''plain'', ''r'', ''infinity'')', '22023',
    'until must be a time to come, not infinity', 'until never');
SELECT t.refuses('SELECT automapost.pause(''no-such'', ''r'')', 'P0002',
    'nothing is named "no-such"', 'a name that is none');
SELECT t.refuses('SELECT automapost.pause(''no-such'', ''r'')', 'P0002', 'plain',
    'the hint lists the names');
SELECT t.refuses('SELECT automapost.resume(''no-such'')', 'P0002', 'nothing is named "no-such"',
    'nor can it be resumed');
SELECT t.refuses('SELECT automapost.resume(''provider:linkedin'')', 'P0002',
    '"provider:linkedin" is neither paused nor limited', 'a provider that runs');

SELECT is((paused, paused_until)::text, '(plain,)', 'a type, until resumed')
    FROM automapost.pause('plain', 'platform work');
SELECT is((d.paused_reason, d.paused_by, d.paused_at IS NOT NULL, d.is_active,
    automapost.is_runnable(d))::text, ('platform work', session_user, true, true, false)::text,
    'who, when, why') FROM automapost.job_definitions d WHERE name = 'plain';
SELECT is(paused_until, now() + interval '1 h', 'paused again, for an hour')
    FROM automapost.pause('plain', 'r', now() + interval '1 h');
SELECT is((resumed, was)::text, '(plain,r)', 'resumed: what it was')
    FROM automapost.resume('plain');
SELECT is((d.paused_reason, d.paused_by, d.paused_at, d.paused_until)::text, '(,,,)',
    'nothing of it stays') FROM automapost.job_definitions d WHERE name = 'plain';
SELECT is(was, 'active', 'resumed twice') FROM automapost.resume('plain');
SELECT t.change('UPDATE automapost.job_definitions SET is_active = false WHERE name = ''plain''');
SELECT is(was, 'not active', 'resume makes an inactive one active') FROM automapost.resume('plain');
SELECT ok(is_active, 'so it is') FROM automapost.job_definitions WHERE name = 'plain';
SELECT is(paused, 'cleanup', 'a service too') FROM automapost.pause('cleanup', 'r');
SELECT set_eq('SELECT paused FROM automapost.pause(''--all'', ''r'')', $$ SELECT name::text
    FROM automapost.job_definitions WHERE kind = 'type' $$, '--all: every type, no service');
SELECT set_eq('SELECT resumed FROM automapost.resume(''--all'')', $$ SELECT name::text
    FROM automapost.job_definitions WHERE kind = 'type' $$, 'and back');
SELECT is((paused_at IS NOT NULL), true, 'a service is not in --all')
    FROM automapost.job_definitions WHERE name = 'cleanup';

SELECT is((paused, paused_until)::text, '(provider:linkedin,infinity)', 'a provider')
    FROM automapost.pause('provider:linkedin', 'r');
SELECT is((key, is_pause, reason, by)::text, ('linkedin', true, 'r', session_user)::text,
    'is a limit that says it is a pause') FROM automapost.rate_limits;
SELECT is((resumed, was)::text, '(provider:linkedin,r)', 'resumed')
    FROM automapost.resume('provider:linkedin');
SELECT is_empty('SELECT FROM automapost.rate_limits', 'gone');

-- wake
SELECT automapost.enqueue('plain', scheduled_for => now() + interval '1 h');
SELECT automapost.enqueue('plain', scheduled_for => now() + interval '1 h');
SELECT is(automapost.wake('plain'), 2::bigint, 'every pending job of a type');
SELECT is(automapost.wake((SELECT id::text FROM automapost.job_queue LIMIT 1)), 1::bigint,
    'or one');
SELECT automapost.cancel(id::text) FROM automapost.job_queue LIMIT 1;
SELECT t.refuses(format('SELECT automapost.wake(%L)', id), '55000', 'is cancelled, not pending',
    'not an ended one') FROM automapost.job_queue WHERE status = 'cancelled';
SELECT t.later(), t.worker('w1');
SELECT t.unconfirmed(1);
SELECT t.refuses(format('SELECT automapost.wake(%L)', t.job_of(1)), '55000',
    'waits until no send can be under way', 'nor one whose send may be under way');
SELECT is(automapost.wake('social-media-post'), 0::bigint, 'not even with its type');

SELECT * FROM finish();
ROLLBACK;
