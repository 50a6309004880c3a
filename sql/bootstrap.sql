-- Runs first at every migration, as the administrator: roles, schema, the table of migrations.
-- Idempotent. Everything after it runs as automapost_jobs_owner, but for the binding's grants.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['automapost_jobs_owner', 'automapost_jobs_service',
                                'automapost_jobs_schedule', 'automapost_jobs_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this cluster migrates at the same moment
            END;
        END IF;
    END LOOP;
    -- Since PostgreSQL 16 a role's maker is a member of it, but may not become it.
    IF NOT pg_catalog.pg_has_role(current_user, 'automapost_jobs_owner',
            CASE WHEN pg_catalog.current_setting('server_version_num')::integer < 160000
                THEN 'MEMBER' ELSE 'SET' END) THEN
        EXECUTE pg_catalog.format('GRANT automapost_jobs_owner TO %I', current_user);
    END IF;
    -- Every function of ours is callable by whom it is granted to, and by nobody else. Where one role
    -- is all there is, its name stands here instead, and the application's own functions are its too:
    -- theirs stay as they were.
    IF pg_catalog.starts_with('automapost_jobs_owner', 'automapost_jobs_') THEN
        ALTER DEFAULT PRIVILEGES FOR ROLE automapost_jobs_owner
            REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS automapost AUTHORIZATION automapost_jobs_owner;
GRANT USAGE ON SCHEMA automapost
    TO automapost_jobs_service, automapost_jobs_schedule, automapost_jobs_app;

SET LOCAL ROLE automapost_jobs_owner;

CREATE TABLE IF NOT EXISTS automapost.schema_migrations (
    version bigint PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    applied_by text NOT NULL DEFAULT session_user
);

RESET ROLE;
