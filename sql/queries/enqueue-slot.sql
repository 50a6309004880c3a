-- One row: the id of the job made for the slot, null where somebody else had it.
SELECT automapost.enqueue_slot($1::text, $2::timestamptz, $3::text)
