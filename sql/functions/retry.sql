-- A failed, timed out or cancelled job once more: pending, attempts 0, due now. A publishing job
-- reopens its delivery; past the late limit only with late => true, for a post is not to surprise
-- anybody.
CREATE OR REPLACE FUNCTION automapost.retry(id text, late boolean DEFAULT false)
RETURNS TABLE (job_id text, was text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    job automapost.job_queue;
    live automapost.job_queue;
    d automapost.post_deliveries;
BEGIN
    job := automapost.find_job(retry.id, true);
    IF job.status IN ('completed', 'pending', 'running') THEN
        RAISE EXCEPTION 'job % is %: only a failed, timed out or cancelled one can be retried',
            job.id, job.status USING ERRCODE = '55000';
    END IF;
    SELECT * INTO live FROM automapost.job_queue q
    WHERE q.job_type = job.job_type AND q.job_key = job.job_key
        AND (q.status = 'pending' OR q.status = 'running') -- one partial index each
    LIMIT 1;
    IF live.id IS NOT NULL THEN
        RAISE EXCEPTION 'job % has the same key and is %', live.id, live.status USING ERRCODE = '23505';
    END IF;

    IF job.job_type = 'social-media-post' THEN
        SELECT * INTO d FROM automapost.post_deliveries p
        WHERE p.post_id = job.payload ->> 'postId'
            AND p.auth_provider_id = job.payload ->> 'authProviderId'
            AND p.kind = COALESCE(job.payload ->> 'kind', 'post') FOR NO KEY UPDATE;
        IF d.state = 'held' THEN
            RAISE EXCEPTION 'the post may be published: somebody must look first'
                USING ERRCODE = '55000', HINT = 'Then automapost.resolve_delivery(''' || d.id
                    || ''', ''sent'' or ''not-sent'').';
        ELSIF d.state IN ('sent', 'sending', 'unconfirmed') THEN
            RAISE EXCEPTION 'the delivery is %', d.state USING ERRCODE = '55000';
        ELSIF d.due_at < clock_timestamp() - (SELECT e.late_limit FROM automapost.engine e)
            AND NOT retry.late THEN
            RAISE EXCEPTION 'the post was due at %, which is past the late limit', d.due_at
                USING ERRCODE = '55000', HINT = 'retry(id, late => true) sends it all the same.';
        END IF;
        UPDATE automapost.post_deliveries p
        SET state = 'pending', code = NULL, detail = NULL, retry_at = NULL, cancelled_by = NULL,
            finished_at = NULL, absent_at = NULL, job_id = job.id,
            late_allowed = p.late_allowed OR retry.late, updated_at = clock_timestamp()
        WHERE p.id = d.id;
        -- What an operator retries is not refused for what the tokens were before.
        UPDATE automapost.account_state s
        SET refresh_failed_at = NULL, token_version = NULL, code = NULL, detail = NULL
        WHERE s.auth_provider_id = d.auth_provider_id;
    END IF;

    UPDATE automapost.job_queue q
    SET status = 'pending', attempts = 0, scheduled_for = clock_timestamp(), finished_at = NULL,
        error_class = NULL, error_code = NULL, error_message = NULL, result = NULL,
        cancel_requested_at = NULL, cancel_requested_by = NULL, cancel_version = NULL,
        first_limited_at = NULL,
        updated_at = clock_timestamp()
    WHERE q.id = job.id;
    RETURN QUERY SELECT job.id::text, job.status::text;
END
$$;
