-- For --dry-run: rows post_id, due_at, provider, account, problem, of at most $1 due posts.
SELECT t.post_id, t.due_at, t.provider, t.auth_provider_id, t.problem
FROM automapost.due_preview($1::bigint) t
