-- One row: how many jobs were put back.
SELECT automapost.release_process($1::text, $2::text)
