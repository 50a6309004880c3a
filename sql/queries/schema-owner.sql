-- The role that owns our schema; no row where there is none.
SELECT pg_catalog.pg_get_userbyid(n.nspowner)::text
FROM pg_catalog.pg_namespace n WHERE n.nspname = 'automapost'
