-- Resumes what is named, a JSON object per row: resumed and was.
SELECT to_jsonb(r) FROM automapost.resume($1::text) r
