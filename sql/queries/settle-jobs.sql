-- Rows: id, verdict, status, scheduled_for (microseconds since the epoch), apply_error.
SELECT s.id, s.verdict, s.status, (extract(epoch FROM s.scheduled_for) * 1000000)::bigint, s.apply_error
FROM automapost.settle_jobs($1::text, $2::jsonb) s
