-- Whether the book of alerts was written: it was still ours.
SELECT automapost.put_alerts($1::text, $2::text, $3::boolean)
