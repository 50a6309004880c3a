-- This machine is a host from now on: one JSON object, host and state.
SELECT to_jsonb(j) FROM automapost.join_host($1::text, $2::text, $3::text, $4::text) j
