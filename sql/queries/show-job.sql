-- All that is known of one job: one JSON object.
SELECT automapost.show_job($1::text)
