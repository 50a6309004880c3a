-- Rows of one JSON object: logins as setup made them, or finds them. $1: names that are wanted; $2: the
-- comment by which this host knows the operators' logins that it made: those come too.
SELECT pg_catalog.jsonb_build_object(
    'login', COALESCE(w.name, r.rolname),
    'quoted', pg_catalog.quote_ident(COALESCE(w.name, r.rolname)),
    'wanted', w.name IS NOT NULL,
    'there', r.oid IS NOT NULL,
    'mayLogin', COALESCE(r.rolcanlogin, false),
    'superuser', COALESCE(r.rolsuper, false),
    'comment', pg_catalog.shobj_description(r.oid, 'pg_authid'),
    'service', EXISTS (SELECT FROM pg_catalog.pg_auth_members m
                       JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
                       WHERE m.member = r.oid AND g.rolname = 'automapost_jobs_service'),
    'schedule', EXISTS (SELECT FROM pg_catalog.pg_auth_members m
                        JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
                        WHERE m.member = r.oid AND g.rolname = 'automapost_jobs_schedule'))
FROM pg_catalog.unnest($1::text[]) w (name)
FULL JOIN (SELECT * FROM pg_catalog.pg_roles x
           WHERE x.rolname = ANY ($1::text[])
               OR pg_catalog.shobj_description(x.oid, 'pg_authid') = $2::text) r
    ON r.rolname = w.name
ORDER BY 1
