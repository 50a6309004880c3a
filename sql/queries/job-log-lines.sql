-- Log lines of a job, or of all (null), one JSON object each.
SELECT l FROM automapost.job_log_lines($1::text, $2::timestamptz, $3::text, $4::bigint) l
