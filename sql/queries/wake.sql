-- Makes pending jobs due now: one JSON object, woken.
SELECT jsonb_build_object('woken', automapost.wake($1::text))
