-- One row: how many due jobs have a type that nobody defines.
SELECT automapost.try_undefined_jobs($1::bigint)
