-- One row: whether the slot is this worker's.
SELECT automapost.take_slot($1::text, $2::timestamptz, $3::text)
