-- Cancels a job: a pending one at once; a running one before its begin, or before its first byte;
-- what is being sent is not aborted, and its outcome is recorded as it is. was: cancelled,
-- requested, or the end that it had already.
CREATE OR REPLACE FUNCTION automapost.cancel(id text)
RETURNS TABLE (job_id text, was text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    job automapost.job_queue;
    d automapost.post_deliveries;
BEGIN
    job := automapost.find_job(cancel.id, true);
    IF job.status = 'running' THEN
        UPDATE automapost.job_queue q
        SET cancel_requested_at = COALESCE(q.cancel_requested_at, clock_timestamp()),
            cancel_requested_by = COALESCE(q.cancel_requested_by, session_user),
            cancel_version = (SELECT automapost.current_version(p.post_id, p.kind)
                              FROM automapost.post_deliveries p WHERE p.job_id = q.id)
        WHERE q.id = job.id;
        RETURN QUERY SELECT job.id::text, 'requested'::text;
    ELSIF job.status = 'pending' THEN
        SELECT * INTO d FROM automapost.post_deliveries p WHERE p.job_id = job.id FOR NO KEY UPDATE;
        IF d.state = 'unconfirmed' THEN
            RAISE EXCEPTION 'job % cannot be cancelled: the post may be published already, and that is being looked up',
                job.id USING ERRCODE = '55000',
                HINT = 'automapost.why(''' || job.id || ''') tells when.';
        ELSIF d.state = 'sent' THEN
            -- A late receipt, of a worker that had been given up: the job only did not know yet.
            PERFORM automapost.end_job(job.id, 'completed', NULL, NULL);
            RETURN QUERY SELECT job.id::text, 'completed'::text;
            RETURN;
        END IF;
        -- Only what is edited from now on takes it up again, not what was edited before.
        PERFORM automapost.finish_delivery(d.id, 'cancelled', NULL, 'cancelled by ' || session_user,
                                           automapost.current_version(d.post_id, d.kind));
        UPDATE automapost.post_deliveries p SET cancelled_by = session_user WHERE p.id = d.id;
        PERFORM automapost.end_job(job.id, 'cancelled', 'cancelled', 'cancelled by ' || session_user);
        RETURN QUERY SELECT job.id::text, 'cancelled'::text;
    ELSE
        RETURN QUERY SELECT job.id::text, job.status::text;
    END IF;
END
$$;

-- A running job whose cancellation was asked for ends: the delivery is cancelled by that person, as
-- of the post that they saw.
CREATE OR REPLACE FUNCTION automapost.cancel_as_requested(
    job automapost.job_queue, p_delivery uuid, p_detail text)
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT automapost.cancel_delivery(job.id, p_delivery, 'cancelled', p_detail);
    UPDATE automapost.post_deliveries d
    SET cancelled_by = job.cancel_requested_by, version = COALESCE(job.cancel_version, d.version)
    WHERE d.id = p_delivery AND d.state = 'cancelled'
$$;

-- The job of an id, or of the beginning of one (4 characters and more) as people type it. P0002
-- where there is none; 22023 where the text is no id or stands for several.
CREATE OR REPLACE FUNCTION automapost.find_job(p_id text, p_lock boolean DEFAULT false)
RETURNS automapost.job_queue
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job automapost.job_queue;
    low uuid;
    high uuid;
    typed text := lower(replace(p_id, '-', ''));
    n bigint;
BEGIN
    IF typed IS NULL OR typed !~ '^[0-9a-f]{4,32}$' THEN
        RAISE EXCEPTION 'id "%" is no job id: it is 32 hexadecimal digits, or the first 4 or more of them',
            COALESCE(p_id, 'null') USING ERRCODE = '22023';
    END IF;
    low := rpad(typed, 32, '0')::uuid;
    high := rpad(typed, 32, 'f')::uuid;
    SELECT count(*) INTO n FROM (
        SELECT FROM automapost.job_queue q WHERE q.id BETWEEN low AND high LIMIT 2) two;
    IF n = 0 THEN
        RAISE EXCEPTION 'no job has the id %', p_id USING ERRCODE = 'P0002',
            HINT = 'Finished jobs are forgotten after a while: see "automapost jobs --all".';
    ELSIF n > 1 THEN
        RAISE EXCEPTION 'several jobs begin with %: type more of the id', p_id USING ERRCODE = '22023';
    END IF;
    IF p_lock THEN
        SELECT * INTO job FROM automapost.job_queue q WHERE q.id BETWEEN low AND high FOR NO KEY UPDATE;
    ELSE
        SELECT * INTO job FROM automapost.job_queue q WHERE q.id BETWEEN low AND high;
    END IF;
    RETURN job;
END
$$;
