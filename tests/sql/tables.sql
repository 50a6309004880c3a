-- SPDX-License-Identifier: MIT
-- The plan's four tables: every column of the plan is there, with its type (timestamps with zone),
-- its default and its nullness or stricter; what an ORM's model of them relies on; and the numbers
-- that hosts agree on.
BEGIN;
SELECT plan(81);

CREATE TEMP TABLE plan_columns (t text, c text, type text, def text, required boolean);
INSERT INTO plan_columns VALUES
    ('job_definitions', 'id', 'uuid', 'gen_random_uuid()', true),
    ('job_definitions', 'name', 'character varying(255)', NULL, true),
    ('job_definitions', 'description', 'text', NULL, false),
    ('job_definitions', 'cron_schedule', 'character varying(100)', NULL, false),
    ('job_definitions', 'is_active', 'boolean', 'true', false),
    ('job_definitions', 'max_retries', 'integer', '3', false),
    ('job_definitions', 'timeout_ms', 'integer', '300000', false),
    ('job_definitions', 'concurrency_limit', 'integer', '1', false),
    ('job_definitions', 'created_at', 'timestamp with time zone', 'now()', false),
    ('job_definitions', 'updated_at', 'timestamp with time zone', 'now()', false),
    ('job_queue', 'id', 'uuid', 'gen_random_uuid()', true),
    ('job_queue', 'job_type', 'character varying(100)', NULL, true),
    ('job_queue', 'priority', 'integer', '5', false),
    ('job_queue', 'payload', 'jsonb', NULL, false),
    ('job_queue', 'scheduled_for', 'timestamp with time zone', 'now()', true),
    ('job_queue', 'status', 'character varying(50)', 'pending', false),
    ('job_queue', 'locked_at', 'timestamp with time zone', NULL, false),
    ('job_queue', 'locked_by', 'character varying(255)', NULL, false),
    ('job_queue', 'attempts', 'integer', '0', false),
    ('job_queue', 'max_attempts', 'integer', '3', false),
    ('job_queue', 'error_message', 'text', NULL, false),
    ('job_queue', 'created_at', 'timestamp with time zone', 'now()', false),
    ('job_queue', 'updated_at', 'timestamp with time zone', 'now()', false),
    ('job_executions', 'id', 'uuid', 'gen_random_uuid()', true),
    ('job_executions', 'job_definition_id', 'uuid', NULL, false),
    ('job_executions', 'job_queue_id', 'uuid', NULL, false),
    ('job_executions', 'status', 'character varying(50)', NULL, true),
    ('job_executions', 'started_at', 'timestamp with time zone', NULL, false),
    ('job_executions', 'finished_at', 'timestamp with time zone', NULL, false),
    ('job_executions', 'duration_ms', 'integer', NULL, false),
    ('job_executions', 'retry_count', 'integer', '0', false),
    ('job_executions', 'error_message', 'text', NULL, false),
    ('job_executions', 'metadata', 'jsonb', NULL, false),
    ('job_executions', 'created_at', 'timestamp with time zone', 'now()', false),
    ('job_logs', 'id', 'uuid', 'gen_random_uuid()', true),
    ('job_logs', 'job_execution_id', 'uuid', NULL, false),
    ('job_logs', 'level', 'character varying(20)', NULL, true),
    ('job_logs', 'message', 'text', NULL, true),
    ('job_logs', 'data', 'jsonb', NULL, false),
    ('job_logs', 'timestamp', 'timestamp with time zone', '(now|clock_timestamp)()', false);

SELECT is(format_type(a.atttypid, a.atttypmod), p.type, p.t || '.' || p.c || ' is ' || p.type)
FROM plan_columns p LEFT JOIN pg_attribute a ON a.attrelid = ('automapost.' || p.t)::regclass
    AND a.attname = p.c AND NOT a.attisdropped;
SELECT is_empty($$ SELECT p.t, p.c FROM plan_columns p JOIN pg_attribute a
    ON a.attrelid = ('automapost.' || p.t)::regclass AND a.attname = p.c WHERE p.required
    AND NOT a.attnotnull $$,
    'what the plan requires is required');
SELECT is_empty($$ SELECT p.t, p.c, pg_get_expr(d.adbin, d.adrelid) FROM plan_columns p
    JOIN pg_attribute a ON a.attrelid = ('automapost.' || p.t)::regclass AND a.attname = p.c
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE p.def IS NOT NULL AND COALESCE(pg_get_expr(d.adbin, d.adrelid),
        '') !~ replace(replace(p.def, '(', '\('), ')', '\)')
        AND NOT (p.def = '(now|clock_timestamp)()' AND pg_get_expr(d.adbin,
            d.adrelid) ~ '(now|clock_timestamp)') $$, 'what has a default in the plan has it here');
SELECT is_empty($$ SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a
    ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'automapost'::regnamespace AND c.relname IN ('job_definitions',
        'job_queue', 'job_executions', 'job_logs')
        AND a.attnotnull AND NOT a.atthasdef AND NOT EXISTS (SELECT FROM plan_columns p
            WHERE p.t = c.relname AND p.c = a.attname) $$,
    'nothing beyond the plan must be given: the plan''s own INSERTs work');
SELECT is_empty($$ SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a
    ON a.attrelid = c.oid
    WHERE c.relnamespace = 'automapost'::regnamespace AND c.relkind = 'r'
        AND a.atttypid = 'timestamp'::regtype $$, 'no time without its zone');
SELECT col_is_pk('automapost', t, 'id', t || ': id alone is the key, as an ORM expects')
    FROM unnest(ARRAY['job_definitions', 'job_queue', 'job_executions']) t;
SELECT col_is_pk('automapost', 'job_logs', ARRAY['job_execution_id', 'id'],
    'lines are found by their execution, with one index');
SELECT col_is_unique('automapost', 'job_definitions', 'name', 'a definition''s name is unique');
SELECT fk_ok('automapost', 'job_executions', ARRAY['job_definition_id'], 'automapost',
    'job_definitions', ARRAY['id'], 'an execution belongs to a definition');
SELECT set_eq($$ SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'
    AND connamespace = 'automapost'::regnamespace AND confrelid IN ('automapost.job_queue'::regclass,
        'automapost.job_executions'::regclass) $$, ARRAY[]::text[],
    'nothing is checked for each execution and each line');
SELECT is_empty($$ SELECT conname FROM pg_constraint WHERE contype = 'f'
    AND connamespace = 'automapost'::regnamespace
    AND confrelid IN (SELECT oid FROM pg_class WHERE relnamespace <> 'automapost'::regnamespace) $$,
        'no foreign key crosses into the application''s schema');
SELECT is_empty($$ SELECT d.objid FROM pg_depend d JOIN pg_class c ON c.oid = d.refobjid
    AND d.refclassid = 'pg_class'::regclass AND c.relnamespace = 'public'::regnamespace
    AND c.relkind = 'r'
    LEFT JOIN pg_proc p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass LEFT
        JOIN pg_rewrite w ON w.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
    WHERE p.pronamespace = 'automapost'::regnamespace OR w.ev_class IN (SELECT oid FROM pg_class
        WHERE relnamespace = 'automapost'::regnamespace) $$,
    'and nothing of ours depends on its tables: its next DROP COLUMN is not refused because of us');
SELECT is((SELECT string_agg(name || ' ' || kind || ' ' || COALESCE(cron_schedule, '-'), ', '
    ORDER BY kind, name) FROM automapost.job_definitions WHERE name IN ('social-media', 'cleanup',
    'social-media-post', 'refresh-token')),
    'cleanup service */10 * * * *, social-media service * * * * *, '
    || 'refresh-token type -, social-media-post type -',
    'the services'' schedules are the plan''s');

-- Statuses and states
SELECT lives_ok(format('INSERT INTO automapost.job_executions (status) VALUES (%L)', s),
    'an execution can be ' || s) FROM unnest(ARRAY['running', 'completed', 'failed', 'timeout',
    'cancelled']) s;
SELECT lives_ok(format('SELECT t.change(%L)', format('INSERT INTO automapost.job_queue
        (job_type, status, finished_at) VALUES (''plain'', %L, now())', s)), 'a job can have ended ' || s)
FROM unnest(ARRAY['completed', 'failed', 'timeout', 'cancelled']) s;
SELECT t.refuses(format('SELECT t.change(%L)', 'INSERT INTO automapost.job_queue (job_type, ' ||
    what), '23514', 'violates check constraint', 'no job has ' || what)
FROM unnest(ARRAY['status) VALUES (''plain'', ''done'')', 'status) VALUES (''plain'', ''running'')',
    'lease) VALUES (''plain'', 1)', 'status) VALUES (''plain'', ''failed'')',
    'finished_at) VALUES (''plain'', now())',
    'priority) VALUES (''plain'', -1)', 'max_attempts) VALUES (''plain'', 0)']) what;
SELECT throws_ok('INSERT INTO automapost.job_logs (job_execution_id, level, message) VALUES (gen_random_uuid(), ''fatal'', ''m'')',
    '23514', NULL, 'a log line has one of four levels');

-- The numbers fit
SELECT t.refuses(format('UPDATE automapost.engine SET %s', change), '23514',
    'violates check constraint', why)
FROM (VALUES ('self_fence = ''6 s''', 'two beats fit before a worker fences itself'),
    ('lapse = ''11 s''', 'it fences itself, and its last statement ends, before it lapses'),
    ('reconcile_margin = ''14 s''',
        'nobody reconciles before a worker that beat at its begin has lapsed'), ('beat = ''0''',
        'a beat takes time'), ('retry_cap = ''14 s''', 'a cap is not below its base'),
    ('pace_after = ''2 h''', 'an account is behind before it is late'),
        ('rate_limited_max = ''8 days''', 'a limit lasts 7 days at most')) v (change, why);
SELECT lives_ok($$ UPDATE automapost.engine SET beat = beat / 20, self_fence = self_fence / 20,
    lapse = lapse / 20, statement_limit = statement_limit / 20, send_deadline = send_deadline / 20,
    reconcile_margin = reconcile_margin / 20, reread_after = reread_after / 20,
        retry_base = retry_base / 20, retry_cap = retry_cap / 20, pace = pace / 20,
        pace_after = pace_after / 20 $$, 'all of them at 1/20 fit');
SELECT throws_ok(format('INSERT INTO automapost.%I DEFAULT VALUES', t), '23505', NULL,
    t || ' has one row') FROM unnest(ARRAY['engine', 'installation']) t;

SELECT * FROM finish();
ROLLBACK;
