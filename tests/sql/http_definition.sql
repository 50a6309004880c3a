-- SPDX-License-Identifier: MIT
-- Types that the application does when it is called: what a definition must have, who claims their jobs
-- and what they are given. (Each refusal of a definition: tests/integration/test_http_handler.py.)
BEGIN;
SELECT plan(20);
SELECT t.worker('w1');

CREATE FUNCTION pg_temp.define(name text, url text DEFAULT 'http://127.0.0.1:3000/jobs')
RETURNS text LANGUAGE sql AS $$
    SELECT format('INSERT INTO automapost.job_definitions (name, handler, http_url, http_credential,
        http_headers) VALUES (%L, ''http'', %L, ''jobs-secret'', ''{"X-Tenant": "eu"}'')', name, url)
$$;
SELECT lives_ok(pg_temp.define('report'), 'an application beside us');
SELECT lives_ok(pg_temp.define('invoice', 'https://app.example.test/api/jobs?of=invoices'),
    'one elsewhere');
SELECT throws_ok(pg_temp.define('odd', 'app.example.test/jobs'), '22023',
    'http_url of odd must be an http:// or https:// URL without user and password, not '
    '"app.example.test/jobs"', 'a URL that is none');
SELECT throws_ok($$ UPDATE automapost.job_definitions SET handler = 'http' WHERE name = 'plain' $$,
    '22023', NULL, 'a definition that becomes one is looked at as well');
SELECT throws_ok($$ UPDATE automapost.job_definitions SET kind = 'service' WHERE name = 'report' $$,
    '22023', 'handler http is for job types, and report is a service', 'no service is one');

SELECT throws_ok(pg_temp.define('http'), '22023', 'name: http is the name of a handler, and of no definition',
    'nor is one called so');
SELECT throws_ok($$ INSERT INTO automapost.job_definitions (name) VALUES ('http') $$, '22023', NULL,
    'whoever does it');

SELECT is(automapost.asked_types('{plain}'), '{plain}', 'who calls nobody asks for none of them');
SELECT set_eq('SELECT unnest(automapost.asked_types(''{plain,http}''))',
    '{plain,http,report,invoice}'::text[], 'who calls asks for all of them');

SELECT automapost.enqueue('report', '{"month": 11}'), automapost.enqueue('plain', '{"n": 1}');
SELECT is(automapost.tick('queue', '{plain}') -> 'work', 'true', 'there is work');
SELECT is(cardinality(t.claim('w1', '{plain}')), 1, 'of their own they claim only what they know');
SELECT t.settle(id, 'done') FROM t.claims;
SELECT is(automapost.tick('queue', '{plain}') -> 'work', 'false', 'then there is none');
SELECT is(automapost.tick('queue', '{plain,http}') -> 'work', 'true', 'but for who calls');
SELECT is((automapost.look('queue', '{plain,http}') ->> 'due')::bigint, 1::bigint,
    'also for a worker that stays');
SELECT is(cardinality(t.claim('w1', '{plain,http}')), 1, 'who claims it');
SELECT is(automapost.is_done_here('report', 'http'), true, 'a service of ours does it');
SELECT is(ARRAY(SELECT automapost.is_done_here(n, 'builtin')
                FROM unnest('{noop,social-media-post,from-tomorrow}'::text[]) n),
    '{true,true,false}', 'as those that have code here');
SELECT is(automapost.is_done_here('noop', 'external'), false, 'not what the application''s workers do');
SELECT is((SELECT (mode, input) FROM t.claims WHERE mode = 'http')::text,
    ('http'::text, '{"url": "http://127.0.0.1:3000/jobs", "credential": "jobs-secret",
      "headers": {"X-Tenant": "eu"}, "payload": {"month": 11}}'::jsonb)::text,
    'and is told whom to call, and never a secret');
SELECT results_eq(
    $$ SELECT split_part(t.settle(id, 'snooze',
           jsonb_build_object('retry_at', clock_timestamp() + interval '1 h')), ' ', 2),
           (t.job(id)).attempts, t.is_in((t.job(id)).scheduled_for, '1 h')
       FROM t.claims WHERE mode = 'http' $$,
    $$ VALUES ('pending', 0, true) $$, 'not yet: later, and no attempt is used');

SELECT * FROM finish();
ROLLBACK;
