-- SPDX-License-Identifier: MIT
-- What the application tries to change by itself is refused with the names of the functions to call.
BEGIN;
SELECT plan(29);

CREATE FUNCTION pg_temp.app(statement text) RETURNS text LANGUAGE sql AS $$
    SELECT t.attempt('automapost_jobs_app', statement)
$$;
SELECT automapost.enqueue('plain');
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM automapost.job_queue) AS jobs,
    (SELECT count(*) FROM automapost.job_definitions) AS definitions;

-- Each table, its key, what is said of it, and a row and a change for it
CREATE TEMP TABLE closed AS SELECT * FROM (VALUES
    ('job_queue', 'id', 'call automapost.cancel, retry or enqueue, or as a worker claim, complete and fail',
        '(id, job_type) VALUES (t.id(1)::uuid, ''plain'')', 'priority = 1'),
    ('job_definitions', 'id', 'call automapost.pause or resume',
        '(id, name) VALUES (t.id(1)::uuid, ''mine'')', 'is_active = false'),
    ('job_executions', 'id',
        'it is the history; call automapost.retry or cancel, or as a worker complete or fail',
        '(id, status) VALUES (t.id(1)::uuid, ''completed'')', 'status = ''completed'''),
    ('job_logs', 'job_execution_id, id', 'it is the history; as a worker call automapost.complete or fail',
        '(id, level, message) VALUES (t.id(1)::uuid, ''info'', ''m'')', 'message = ''m''')
) v (name, key, says, row, change);
SELECT is(pg_temp.app(format(tried.statement, c.name, c.row, c.change, c.key)),
    format('42501: %s of automapost.%s is not for automapost_jobs_app: %s', tried.word, c.name, c.says),
    c.name || ': ' || tried.what)
FROM closed c, (VALUES
    ('update', 'UPDATE automapost.%1$s SET %3$s', 'an update'),
    ('update', 'UPDATE automapost.%1$s SET %3$s WHERE false', 'also of no row'),
    ('delete', 'DELETE FROM automapost.%1$s', 'a delete'),
    ('insert', 'INSERT INTO automapost.%1$s %2$s', 'an insert'),
    ('insert', 'INSERT INTO automapost.%1$s %2$s ON CONFLICT (%4$s) DO UPDATE SET %3$s', 'an upsert')
) tried (word, statement, what)
WHERE tried.word <> 'insert' OR c.name <> 'job_queue';
SELECT is(pg_temp.app('INSERT INTO automapost.job_queue (id, job_type) VALUES (t.id(1)::uuid, ''plain'')
        ON CONFLICT (id) DO UPDATE SET status = ''completed'''),
    '42501: update of automapost.job_queue is not for automapost_jobs_app: call automapost.cancel, retry or '
    'enqueue, or as a worker claim, complete and fail', 'job_queue: an upsert, which may insert');
SELECT is(pg_temp.app('TRUNCATE automapost.' || c.name), '42501: permission denied for table ' || c.name,
    c.name || ': TRUNCATE') FROM closed c;
SELECT is((SELECT (jobs, definitions)::text FROM before), (SELECT (count(*), (
    SELECT count(*) FROM automapost.job_definitions))::text FROM automapost.job_queue), 'all is as it was');

-- The way out is in the hint where it is longer
CREATE FUNCTION pg_temp.as_app(statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('role', 'automapost_jobs_app', true);
    EXECUTE statement;
END $$;
SELECT t.refuses(format('SELECT pg_temp.as_app(%L)', statement), '42501', says, 'it names ' || says)
FROM (VALUES
    ('UPDATE automapost.job_queue SET priority = 1',
        'automapost.enqueue(…, job_key, on_conflict => ''replace'''),
    ('DELETE FROM automapost.job_logs', 'What is done is forgotten by itself')) v (statement, says);

-- Whoever is the owner as well
SELECT lives_ok('INSERT INTO automapost.job_definitions (name) VALUES (''mine'')',
    'a superuser makes definitions');
SELECT lives_ok('DELETE FROM automapost.job_logs', 'and may tidy up');
SELECT throws_like('UPDATE automapost.job_queue SET priority = 1',
    '%is not for postgres: call automapost.cancel%', 'but a job is changed by the functions alone');

SELECT * FROM finish();
ROLLBACK;
