-- One row: posts, jobs, next_cursor.
SELECT c.posts, c.jobs, c.next_cursor
FROM automapost.collect_social_media_post($1::jsonb, $2::bigint) c
