-- One row: verdict, installation, detail, hint, held.
SELECT m.verdict, m.installation, m.detail, m.hint, m.held
FROM automapost.meet_host($1::text, $2::text, $3::text, $4::bigint, $5::timestamptz) m
