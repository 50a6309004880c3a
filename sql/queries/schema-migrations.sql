-- Rows: version, name, checksum, applied_at, of the migrations in the database.
SELECT m.version, m.name, m.checksum, m.applied_at
FROM automapost.schema_migrations m ORDER BY m.version
