-- A helper whose arguments have changed would stay beside its successor, and calls become ambiguous.
-- Dropped are functions that this migration did not make anew and that nobody but the owner may
-- call; what a role was granted stays for one release, for hosts that still run the older binary.
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN
        SELECT p.oid FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'automapost'::regnamespace
            AND p.xmin <> pg_catalog.pg_current_xact_id()::xid
            AND p.proowner = 'automapost_jobs_owner'::regrole
            AND p.proacl IS NOT NULL
            AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) a
                            WHERE a.grantee <> p.proowner)
    LOOP
        EXECUTE pg_catalog.format('DROP FUNCTION %s', f);
    END LOOP;
END
$$;
