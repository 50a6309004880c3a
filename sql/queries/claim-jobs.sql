-- Rows: id, lease, execution_id, job_type, attempt, timeout_ms, mode, input.
SELECT c.id, c.lease, c.execution_id, c.job_type, c.attempt, c.timeout_ms, c.mode, c.input
FROM automapost.claim_jobs($1::text, $2::text, $3::text[], $4::bigint) c
