-- SPDX-License-Identifier: MIT
-- Publishing is switched on: the first time nothing that was due before is taken up, later nothing
-- is left behind.
BEGIN;
SELECT plan(10);

SELECT is(automapost.publishing_state() ->> 'since', NULL, 'nobody has published yet');
SELECT is((automapost.publishing_state() ->> 'lateLimit')::integer, 7200, 'too late after 2 h');

-- helpers.sql lets publishing begin 60 days ago
SELECT is(automapost.start_publishing(NULL) > now() - interval '1 min', true,
    'the first time from now on');
SELECT is((automapost.publishing_state() ->> 'since')::timestamptz > now() - interval '1 min', true,
    'it is remembered');
SELECT is((automapost.publishing_state() ->> 'from')::timestamptz,
    (SELECT publish_from FROM automapost.installation), 'from when on is told');

UPDATE automapost.installation SET publish_from = now() - interval '1 day';
SELECT is(automapost.start_publishing(NULL), now() - interval '1 day', 'once more moves nothing');
SELECT is(automapost.start_publishing(now()), now() - interval '1 day', 'never forward');
SELECT is(automapost.start_publishing(now() - interval '2 days'), now() - interval '2 days',
    'back where somebody says so');

UPDATE automapost.installation SET publishing_since = NULL;
SELECT is(automapost.start_publishing(now() - interval '1 h'), now() - interval '1 h',
    'the first time from what is said');

-- begun without setup
UPDATE automapost.installation SET publishing_since = NULL;
INSERT INTO automapost.post_deliveries
    (post_id, auth_provider_id, kind, user_id, provider, state, due_at, begun_at, sent_at)
VALUES ('p', 'a', 'post', 'u', 'webhook', 'sent', now(), now() - interval '3 h', now());
SELECT is((automapost.publishing_state() ->> 'since')::timestamptz, now() - interval '3 h',
    'a delivery that has begun tells it too');

SELECT * FROM finish();
ROLLBACK;
