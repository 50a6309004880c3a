-- Rows of one text: what a tick of this service would do now.
SELECT p.line FROM automapost.preview($1::text, $2::text[], $3::bigint) p
