-- One row: the worker's id.
SELECT automapost.enter_worker($1::text, $2::text, $3::text, $4::text, $5::bigint, $6::text,
                               $7::timestamptz, $8::text)
