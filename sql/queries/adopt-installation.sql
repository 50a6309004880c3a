-- This database is the installation from now on: one JSON object, installation, state and detail.
SELECT to_jsonb(a) FROM automapost.adopt_installation($1::text, $2::text, $3::text) a
