-- Changes a schedule: one JSON object.
SELECT to_jsonb(s) FROM automapost.set_schedule($1::text, $2::text, $3::text) s
