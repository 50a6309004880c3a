-- What a person says of all that is held since a restore: one JSON object, deliveries and posts.
SELECT to_jsonb(r) FROM automapost.resolve_restored($1::text, $2::timestamptz, $3::text) r
