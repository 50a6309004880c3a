-- Rows: id, verdict, begin_number, detail.
SELECT b.id, b.verdict, b.begin_number, b.detail
FROM automapost.begin_jobs($1::text, $2::text, $3::jsonb) b
