-- One row: whether a worker of another host works on jobs of these types ($1 worker, $2 types).
SELECT automapost.others_at_work($1::text, $2::text[])
