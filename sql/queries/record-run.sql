-- One row: the execution's id.
SELECT automapost.record_run($1::text, $2::text, $3::timestamptz, $4::text, $5::jsonb, $6::text)
