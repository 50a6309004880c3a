-- One JSON object: what a database is, who asks, and what setup would find or lack there. Reads the
-- catalogs alone. $1: the binding's text, whose grants say which tables and columns it needs; $2: the
-- role that owns our schema, or would.
WITH need AS MATERIALIZED (
    SELECT g[3] AS "table", g[1] AS privilege, pg_catalog.btrim(c, E' \n"') AS "column"
    FROM pg_catalog.regexp_matches($1::text, 'GRANT (\w+) \(([^)]*)\)\s+ON (\S+) TO', 'g') g,
        pg_catalog.unnest(pg_catalog.string_to_array(g[2], ',')) c
), found AS (
    SELECT n."table", c.oid, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
        pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
        ARRAY(SELECT DISTINCT m."column" FROM need m
              WHERE m."table" = n."table"
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                                  WHERE a.attrelid = c.oid AND a.attname = m."column"
                                      AND a.attnum > 0 AND NOT a.attisdropped)
              ORDER BY m."column") AS missing
    FROM (SELECT DISTINCT x."table" FROM need x) n
    LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n."table")
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT pg_catalog.jsonb_build_object(
    'database', pg_catalog.current_database(),
    'databaseQuoted', pg_catalog.quote_ident(pg_catalog.current_database()),
    'login', current_user,
    'loginQuoted', pg_catalog.quote_ident(current_user),
    'version', pg_catalog.current_setting('server_version'),
    'versionNumber', pg_catalog.current_setting('server_version_num')::bigint,
    'encoding', pg_catalog.current_setting('server_encoding'),
    'standby', pg_catalog.pg_is_in_recovery(),
    -- the same server and database, whichever way leads there
    'identity', pg_catalog.format('%s %s', d.oid,
        extract(epoch FROM pg_catalog.pg_postmaster_start_time())),
    'superuser', r.rolsuper,
    'createRole', r.rolsuper OR r.rolcreaterole,
    'createSchema', pg_catalog.has_database_privilege(d.oid, 'CREATE'),
    'publicConnect', pg_catalog.has_database_privilege('public', d.oid, 'CONNECT'),
    'tables', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'table', f."table", 'there', f.oid IS NOT NULL, 'owner', f.owner, 'owned', f.owned,
        'missing', f.missing) ORDER BY f."table") FROM found f),
    -- whether the owner of the schema has it all already
    'granted', o.oid IS NOT NULL AND NOT EXISTS (
        SELECT FROM need n JOIN found f ON f."table" = n."table"
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.oid AND a.attname = n."column"
        WHERE NOT pg_catalog.has_column_privilege(o.oid, f.oid, a.attnum, n.privilege)),
    'grants', (SELECT pg_catalog.jsonb_agg(g[1])
               FROM pg_catalog.regexp_matches($1::text, '\m(GRANT [^\u003b]*)', 'g') g),
    'rolesMissing', (SELECT COALESCE(pg_catalog.jsonb_agg(x.name ORDER BY x.name), '[]')
        FROM (VALUES ('automapost_jobs_owner'), ('automapost_jobs_service'),
                     ('automapost_jobs_schedule'), ('automapost_jobs_app')) x (name)
        WHERE pg_catalog.to_regrole(x.name) IS NULL),
    'schemaOwner', (SELECT pg_catalog.pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace n
                    WHERE n.nspname = 'automapost'),
    'mayOwn', COALESCE(pg_catalog.pg_has_role(o.oid, 'MEMBER'), false),
    'memberOf', (SELECT COALESCE(pg_catalog.jsonb_object_agg(g.rolname, true), '{}')
                 FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
                 WHERE m.member = r.oid AND g.rolname LIKE 'automapost\_jobs\_%'),
    'oldQueue', EXISTS (
        SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = pg_catalog.to_regclass('public.job_queue') AND NOT a.attisdropped
            AND a.attname IN ('job_type', 'status', 'locked_by', 'locked_at')
            AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
        HAVING count(*) = 4))
FROM pg_catalog.pg_database d
JOIN pg_catalog.pg_roles r ON r.rolname = current_user
LEFT JOIN pg_catalog.pg_roles o ON o.rolname = $2::text
WHERE d.datname = pg_catalog.current_database()
