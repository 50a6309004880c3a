-- One boolean: the application's tables are there.
SELECT to_regclass('public.posts') IS NOT NULL
