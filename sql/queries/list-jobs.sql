-- Jobs by filters, one JSON object each.
SELECT j FROM automapost.list_jobs($1::jsonb) j
