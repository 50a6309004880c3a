-- What a person says of a held delivery: one JSON object, delivery_id and state.
SELECT to_jsonb(r) FROM automapost.resolve_delivery($1::text, $2::text, $3::text) r
