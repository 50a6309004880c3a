-- One row: does this database remember its binding?
SELECT pg_catalog.to_regclass('automapost.binding') IS NOT NULL
