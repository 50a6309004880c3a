-- One row: whether the slot was still this worker's.
SELECT automapost.finish_slot($1::text, $2::timestamptz, $3::text)
