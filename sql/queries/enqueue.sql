-- Puts one job into the queue: one JSON object, id and was.
SELECT to_jsonb(r) FROM automapost.enqueue(
    $1::text, $2::jsonb, COALESCE($3::bigint, 5), COALESCE($4::timestamptz, now()), $5::bigint,
    $6::text, COALESCE($7::text, 'reject')) r
