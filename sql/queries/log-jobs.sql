-- Rows: lease, the number below which all of its job's lines are stored; of jobs that are still this
-- worker's.
SELECT lease, stored FROM automapost.log_jobs($1::text, $2::jsonb)
