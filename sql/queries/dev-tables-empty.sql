-- One boolean: the application has no member and no post.
SELECT NOT EXISTS (SELECT FROM public.users) AND NOT EXISTS (SELECT FROM public.posts)
