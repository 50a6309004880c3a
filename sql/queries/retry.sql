-- A job once more: one JSON object, job_id and was.
SELECT to_jsonb(r) FROM automapost.retry($1::text, $2::boolean) r
