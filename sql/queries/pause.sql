-- Pauses what is named, a JSON object per row: paused and paused_until.
SELECT to_jsonb(r) FROM automapost.pause($1::text, $2::text, $3::timestamptz) r
