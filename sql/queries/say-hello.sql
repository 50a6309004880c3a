-- Notifies whoever listens, and so this worker itself.
SELECT pg_catalog.pg_notify('job_queue_channel', pg_catalog.jsonb_build_object('hello', $1::text)::text)
