-- One row: the version of the schema, and the lowest binary that it bears.
SELECT to_jsonb(v) FROM automapost.schema_version() v
