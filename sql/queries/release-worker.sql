-- One row: how many jobs were put back.
SELECT automapost.release_worker($1::text, $2::text)
