-- SPDX-License-Identifier: MIT
-- Every privilege that is not in the table of roles is tried: each function, table, view and
-- sequence of the schema, for each of our roles and for a login role that is a member of none. A
-- new function that somebody may call needs a line in "callable"; one that is for the owner alone
-- needs none.
BEGIN;
SELECT plan(56);

CREATE ROLE jobs_test_stranger LOGIN;
CREATE TEMP TABLE who (role name, may text);
INSERT INTO who VALUES ('automapost_jobs_service', 'service'), ('automapost_jobs_schedule',
    'schedule'),
    ('automapost_jobs_app', 'app'), ('jobs_test_stranger', 'stranger');

CREATE TEMP TABLE callable (function text, by text[]);
INSERT INTO callable VALUES
    -- the worker
    ('tick', '{service}'),
    ('look', '{service}'),
    ('schema_version', '{service}'),
    ('meet_host', '{service}'),
    ('register_worker', '{service}'),
    ('enter_worker', '{service}'),
    ('beat', '{service,app}'),
    ('claim_jobs', '{service}'),
    ('begin_jobs', '{service}'),
    ('settle_jobs', '{service}'),
    ('settle_done', '{service}'),
    ('log_jobs', '{service}'),
    ('release_worker', '{service}'),
    ('others_at_work', '{service}'),
    ('release_process', '{service}'),
    ('rescue_lapsed', '{service}'),
    ('record_run', '{service}'),
    ('collect_social_media_post', '{service}'),
    ('preview', '{service}'),
    ('try_undefined_jobs', '{service}'),
    ('mark_missed', '{service}'),
    ('expire_overdue', '{service}'),
    ('forget_old', '{service}'),
    ('take_slot', '{service}'),
    ('finish_slot', '{service}'),
    ('enqueue_slot', '{service}'),
    ('take_alerts', '{service}'),
    ('put_alerts', '{service}'),
    -- what the operator's command reads
    ('status', '{service}'),
    ('list_jobs', '{service}'),
    ('show_job', '{service}'),
    ('job_log_lines', '{service}'),
    ('held_deliveries', '{service}'),
    ('pauses', '{service}'),
    ('engine_settings', '{service}'),
    ('adopt_installation', '{service}'),
    ('join_host', '{service}'),
    ('set_schedule', '{service}'),
    -- what timers are made of
    ('schedules', '{service,schedule}'),
    ('note_schedule', '{service,schedule}'),
    -- what setup asks last
    ('publishing_state', '{service}'),
    ('start_publishing', '{service}'),
    -- the SQL API, and the operator's command
    ('enqueue', '{service,app}'),
    ('enqueue_many', '{service,app}'),
    ('cancel', '{service,app}'),
    ('retry', '{service,app}'),
    ('pause', '{service,app}'),
    ('resume', '{service,app}'),
    ('why', '{service,app}'),
    ('wake', '{service,app}'),
    ('resolve_delivery', '{service,app}'),
    ('resolve_restored', '{service,app}'),
    ('forget_user', '{service,app}'),
    ('publication', '{service,app}'),
    ('accounts', '{service,app}'),
    -- external workers
    ('claim', '{service,app}'),
    ('complete', '{service,app}'),
    ('fail', '{service,app}'),
    -- what the trigger on a raw INSERT calls as the caller
    ('check_new_job', '{app}');

CREATE TEMP TABLE readable (relation text, privileges text[], by text[]);
INSERT INTO readable VALUES
    -- what it may change of these only in name (change_refused)
    ('job_definitions', '{SELECT,INSERT,UPDATE,DELETE}', '{app}'),
    ('job_queue', '{SELECT,INSERT,UPDATE,DELETE}', '{app}'),
    ('job_executions', '{SELECT,INSERT,UPDATE,DELETE}', '{app}'),
    ('job_logs', '{SELECT,INSERT,UPDATE,DELETE}', '{app}'),
    ('post_publication', '{SELECT}', '{app}'),
    ('account_status', '{SELECT}', '{app}');

-- Functions
SELECT set_eq(format('SELECT p.proname::text FROM pg_proc p
        WHERE p.pronamespace = ''automapost''::regnamespace AND has_function_privilege(%L, p.oid,
            ''EXECUTE'')', role),
    format('SELECT function FROM callable WHERE %L = ANY (by)', may),
        role || ' may call exactly these functions')
FROM who;
SELECT is_empty('SELECT function FROM callable WHERE NOT EXISTS (
    SELECT FROM pg_proc p WHERE p.pronamespace = ''automapost''::regnamespace
        AND p.proname = function)',
    'the table names no function that is gone');
SELECT is_empty('SELECT p.proname FROM pg_proc p WHERE p.pronamespace = ''automapost''::regnamespace
        AND p.proname NOT IN (''load_plain'') GROUP BY p.proname HAVING count(*) > 1',
    'each function is declared once: with overloads a NULL would be ambiguous');
SELECT is_empty('SELECT p.oid::regprocedure FROM pg_proc p JOIN callable c ON c.function = p.proname
        WHERE p.pronamespace = ''automapost''::regnamespace AND NOT (p.prosecdef
            AND ''search_path=pg_catalog, pg_temp'' = ANY (COALESCE(p.proconfig, ''{}'')))',
    'whoever may call a function runs it as the owner, with a fixed search_path');
SELECT is_empty('SELECT p.oid::regprocedure FROM pg_proc p
        WHERE p.pronamespace = ''automapost''::regnamespace AND p.proname NOT LIKE ''app\_%''
            AND p.proname <> ''load_plain'' AND p.prosqlbody IS NULL
            AND NOT ''search_path=pg_catalog, pg_temp'' = ANY (COALESCE(p.proconfig, ''{}''))',
    'every function but the binding fixes its search_path, or is bound when it is made');
SELECT is_empty('SELECT p.oid::regprocedure FROM pg_proc p
        WHERE p.pronamespace = ''automapost''::regnamespace AND p.prosecdef
            AND p.proname NOT IN (SELECT function FROM callable)',
    'nothing runs as the owner that nobody is named for');
SELECT is_empty('SELECT p.oid::regprocedure, format_type(a.type, NULL) FROM pg_proc p
    JOIN callable c ON c.function = p.proname,
        LATERAL unnest(COALESCE(p.proallargtypes, p.proargtypes::oid[] || p.prorettype)) a (type)
        WHERE p.pronamespace = ''automapost''::regnamespace AND format_type(a.type, NULL) NOT IN
            (''text'', ''jsonb'', ''boolean'', ''timestamp with time zone'', ''bigint'', ''text[]'',
                ''bigint[]'')
            AND p.proname <> ''settle_done''',
    'they take and return text, jsonb, boolean, timestamptz and bigint, but for one that is in a hurry');

-- Tables, views, sequences
SELECT set_eq(format('SELECT c.relname::text, p FROM pg_class c,
            unnest(ARRAY[''SELECT'', ''INSERT'', ''UPDATE'', ''DELETE'', ''TRUNCATE'',
                ''REFERENCES'', ''TRIGGER'']) p
        WHERE c.relnamespace = ''automapost''::regnamespace AND c.relkind IN (''r'', ''p'', ''v'',
            ''m'', ''f'')
            AND has_table_privilege(%L, c.oid, p)', role),
    format('SELECT relation, unnest(privileges) FROM readable WHERE %L = ANY (by)', may),
        role || ' may do exactly this to tables and views')
FROM who;
SELECT is_empty(format('SELECT c.relname FROM pg_class c, unnest(ARRAY[''USAGE'', ''SELECT'',
    ''UPDATE'']) p
        WHERE c.relnamespace = ''automapost''::regnamespace AND c.relkind = ''S''
            AND has_sequence_privilege(%L, c.oid, p)', role),
    role || ' may use no sequence')
FROM who;
SELECT set_eq(format('SELECT c.relname::text, a.attname::text, p FROM pg_class c JOIN pg_attribute a
    ON a.attrelid = c.oid AND a.attnum > 0 AND NOT attisdropped,
            unnest(ARRAY[''SELECT'', ''INSERT'', ''UPDATE'', ''REFERENCES'']) p
        WHERE c.relnamespace = ''automapost''::regnamespace AND c.relkind IN (''r'', ''p'', ''v'',
            ''m'')
            AND has_column_privilege(%L, c.oid, a.attnum, p) AND NOT has_table_privilege(%1$L,
                c.oid, p)', role),
    format('SELECT ''job_definitions''::text AS r, c, ''SELECT''::text AS p
        FROM unnest(ARRAY[''name'', ''kind'', ''cron_schedule'', ''timezone'',
        ''is_active'', ''paused_reason'', ''paused_by'', ''paused_at'', ''paused_until'']) c
            WHERE %L = ''schedule''', may),
    role || ' has privileges on exactly these single columns')
FROM who;

-- The schema, and who they are
SELECT is(has_schema_privilege(role, 'automapost', 'USAGE')::text || has_schema_privilege(role,
    'automapost', 'CREATE')::text,
    CASE may WHEN 'stranger' THEN 'falsefalse' ELSE 'truefalse' END,
        role || ': USAGE of the schema for ours, CREATE for none')
FROM who;
SELECT is_empty($$ SELECT rolname FROM pg_roles WHERE rolname LIKE 'automapost\_jobs\_%'
    AND (rolsuper OR rolcanlogin
    OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) $$,
        'our roles can do nothing else, and cannot log in');
SELECT is_empty($$ SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
    WHERE r.rolname LIKE 'automapost\_jobs\_%' $$,
    'and are members of nothing');

-- What the owner may do to the application's tables
SELECT set_eq($$ SELECT c.relname::text, a.attname::text, p FROM pg_class c JOIN pg_attribute a
    ON a.attrelid = c.oid AND a.attnum > 0,
            unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
            AND has_column_privilege('automapost_jobs_owner', c.oid, a.attnum, p) $$,
    $$ SELECT 'posts' AS r, c, 'SELECT' AS p FROM unnest(ARRAY['id', 'userId', 'content',
        'firstComment', 'scheduledTo', 'status', 'providers',
            'authProviderIds', 'deletedAt', 'publishedAt']) c
        UNION ALL SELECT 'posts', c, 'UPDATE' FROM unnest(ARRAY['status', 'publishedAt',
            'updatedAt']) c
        UNION ALL SELECT 'auth_providers', c, 'SELECT' FROM unnest(ARRAY['id', 'userId', 'provider',
            'providerAccountId', 'accessToken',
            'refreshToken', 'expiresAt']) c
        UNION ALL SELECT 'auth_providers', c, 'UPDATE' FROM unnest(ARRAY['accessToken',
            'refreshToken', 'expiresAt', 'updatedAt']) c $$,
    'the owner reads what publishing needs and writes the marked columns, nothing else');
SELECT is_empty($$ SELECT c.relname, p FROM pg_class c, unnest(ARRAY['DELETE', 'TRUNCATE',
    'TRIGGER']) p
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
        AND has_table_privilege('automapost_jobs_owner', c.oid, p) $$,
    'and deletes nothing there');

-- Really tried
SELECT is(t.attempt(role, statement), wanted, role || ': ' || statement)
FROM (VALUES
    ('automapost_jobs_service', 'SELECT * FROM automapost.job_queue',
        '42501: permission denied for table job_queue'),
    ('automapost_jobs_service', 'SELECT * FROM automapost.post_publication',
        '42501: permission denied for view post_publication'),
    ('automapost_jobs_service', 'SELECT nextval(''automapost.leases'')',
        '42501: permission denied for sequence leases'),
    ('automapost_jobs_service', 'SELECT automapost.app_accounts_by_id(''{}'')',
        '42501: permission denied for function app_accounts_by_id'),
    ('automapost_jobs_service', 'SELECT automapost.put_back_job(NULL, NULL)',
        '42501: permission denied for function put_back_job'),
    ('automapost_jobs_service', 'SELECT * FROM automapost.tick(''queue'', ''{plain}'')', 'ok'),
    ('automapost_jobs_service', 'SELECT * FROM public.posts',
        '42501: permission denied for table posts'),
    ('automapost_jobs_schedule',
        'SELECT name, kind, cron_schedule, timezone, is_active, paused_until
        FROM automapost.job_definitions', 'ok'),
    ('automapost_jobs_schedule', 'SELECT * FROM automapost.job_definitions',
        '42501: permission denied for table job_definitions'),
    ('automapost_jobs_schedule', 'SELECT automapost.tick(''queue'', ''{}'')',
        '42501: permission denied for function tick'),
    ('automapost_jobs_schedule', 'UPDATE automapost.job_definitions SET is_active = false',
        '42501: permission denied for table job_definitions'),
    ('automapost_jobs_app',
        'SELECT * FROM automapost.job_queue, automapost.job_logs, automapost.post_publication,
        automapost.account_status', 'ok'),
    ('automapost_jobs_app', 'SELECT * FROM automapost.post_deliveries',
        '42501: permission denied for table post_deliveries'),
    ('automapost_jobs_app', 'TRUNCATE automapost.job_logs',
        '42501: permission denied for table job_logs'),
    ('automapost_jobs_app', 'SELECT automapost.settle_jobs(''w'', ''[]'')',
        '42501: permission denied for function settle_jobs'),
    ('automapost_jobs_app', 'SELECT automapost.enqueue(''plain'')', 'ok'),
    ('automapost_jobs_app', 'CREATE TABLE automapost.mine ()',
        '42501: permission denied for schema automapost'),
    ('jobs_test_stranger', 'SELECT automapost.enqueue(''plain'')',
        '42501: permission denied for schema automapost'),
    ('jobs_test_stranger', 'SELECT * FROM automapost.job_queue',
        '42501: permission denied for schema automapost')
) v (role, statement, wanted);

-- A hostile search_path: operators, functions and tables with the names that ours use, first in
-- line.
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.text_eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE
    'hostile operator'; END $$;
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.text_eq);
CREATE FUNCTION hostile.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE
    'hostile function'; END $$;
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE
    'hostile function'; END $$;
CREATE FUNCTION hostile.jsonb_typeof(jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE
    'hostile function'; END $$;
CREATE FUNCTION hostile.find_job(text, boolean) RETURNS automapost.job_queue LANGUAGE plpgsql AS $$
    BEGIN RAISE 'hostile function'; END $$;
CREATE TEMP TABLE job_queue (id uuid, status text);
CREATE TEMP TABLE engine (late_limit interval);
CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE
    'hostile function'; END $$;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
GRANT ALL ON job_queue, engine TO PUBLIC;
CREATE FUNCTION t.hostile(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := 'ok';
BEGIN
    PERFORM set_config('role', role, true), set_config('search_path',
        'hostile, pg_temp, pg_catalog, public', true);
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        answer := SQLSTATE || ': ' || SQLERRM;
    END;
    PERFORM pg_catalog.set_config('role', 'none', true), pg_catalog.set_config('search_path',
        't, tap, public', true);
    RETURN answer;
END
$$;
SELECT is(t.hostile('automapost_jobs_app', 'SELECT ''a''::text = ''b''::text'),
    'P0001: hostile operator', 'the trap works for an operator');
SELECT is(t.hostile('automapost_jobs_app', 'SELECT clock_timestamp()'), 'P0001: hostile function',
    'and for a function');
SELECT is_empty($$
    SELECT p.oid::regprocedure, answer FROM callable c JOIN pg_proc p ON p.proname = c.function
        AND p.pronamespace = 'automapost'::regnamespace,
        LATERAL t.hostile('automapost_jobs_' || c.by[1], format('SELECT * FROM automapost.%I(%s)',
            p.proname, (
            SELECT string_agg(CASE format_type(a, NULL) WHEN 'text' THEN quote_literal('plain')
                WHEN 'text[]' THEN '''{plain}'''
                WHEN 'bigint' THEN '1' WHEN 'bigint[]' THEN '''{1}''' WHEN 'jsonb' THEN '''{}'''
                    WHEN 'boolean' THEN 'true'
                ELSE '''2030-01-01''' END || '::' || format_type(a, NULL), ', ' ORDER BY n)
            FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY u (a, n)))) answer
    WHERE answer LIKE '%hostile%' $$,
        'no function that anybody may call uses what the caller puts in its way');
SELECT t.worker('w1');
SELECT is(t.hostile('automapost_jobs_app',
    'SELECT automapost.enqueue(''plain'', ''{"n": 1}'', job_key => ''hostile'')'), 'ok',
    'enqueue,');
SELECT is(t.hostile('automapost_jobs_app',
    'INSERT INTO automapost.job_queue (job_type, job_key) VALUES (''plain'', ''hostile-2'')'), 'ok',
    'a raw insert,');
SELECT is(t.hostile('automapost_jobs_service',
    'SELECT automapost.claim_jobs(''w1'', ''b'', ''{plain}'', 5)'), 'ok', 'claim:');
SELECT is((SELECT count(*) FROM automapost.job_queue WHERE locked_by = 'w1'), 3::bigint,
    'all of them did their work on our own tables');

SELECT * FROM finish();
ROLLBACK;
