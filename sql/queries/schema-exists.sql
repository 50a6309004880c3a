-- One row: is this database migrated at all?
SELECT pg_catalog.to_regclass('automapost.schema_migrations') IS NOT NULL
