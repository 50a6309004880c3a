-- What a development database holds: one JSON object, posts and jobs.
SELECT jsonb_build_object('version', current_setting('server_version'),
    'posts', (SELECT count(*) FROM public.posts),
    'jobs', (SELECT count(*) FROM automapost.job_queue))
