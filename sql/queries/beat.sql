-- Rows: lease, verdict (cancelled or lost).
SELECT b.lease, b.verdict FROM automapost.beat($1::text, $2::bigint[], $3::timestamptz) b
