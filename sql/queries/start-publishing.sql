-- Switches publishing on; $1: from when on, or null. Returns it.
SELECT automapost.start_publishing($1::timestamptz)::text
