-- At most one row: name, checksum, applied_at, of the binding in the database.
SELECT b.name, b.checksum, b.applied_at FROM automapost.binding b
