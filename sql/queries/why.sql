-- Why a job, a delivery or each delivery of a post is in its state: a JSON object per row.
SELECT to_jsonb(w) FROM automapost.why($1::text) w
