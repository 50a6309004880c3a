-- Cancels a job: one JSON object, job_id and was.
SELECT to_jsonb(r) FROM automapost.cancel($1::text) r
