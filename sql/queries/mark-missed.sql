-- One row: how many deliveries were marked missed.
SELECT automapost.mark_missed($1::bigint)
