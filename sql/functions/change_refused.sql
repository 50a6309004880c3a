-- What the application may not do to the plan's four tables itself is refused with what to call: without
-- the privilege PostgreSQL would only say that it is denied. Arguments of the trigger: that sentence, and
-- a hint. The names are in the message itself, for Prisma hands on no hint.
CREATE OR REPLACE FUNCTION automapost.change_refused()
RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = TG_RELID);
BEGIN
    -- Our own functions know what they do. Whoever is the owner too (a superuser) may make definitions and
    -- tidy up the history; a job's row is nobody's but the functions'.
    IF current_user = owner OR TG_TABLE_NAME <> 'job_queue' AND pg_has_role(owner, 'USAGE') THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% of automapost.% is not for %: %', lower(TG_OP), TG_TABLE_NAME, current_user, TG_ARGV[0]
        USING ERRCODE = '42501', HINT = TG_ARGV[1];
END
$$;

-- The conditions only spare our own functions the call; the function itself decides.
CREATE OR REPLACE TRIGGER job_queue_update_refused BEFORE UPDATE ON automapost.job_queue
    FOR EACH STATEMENT WHEN (current_user <> 'automapost_jobs_owner')
    EXECUTE FUNCTION automapost.change_refused(
        'call automapost.cancel, retry or enqueue, or as a worker claim, complete and fail',
        'A pending job is changed by automapost.enqueue(…, job_key, on_conflict => ''replace'' or ''reschedule'').');
CREATE OR REPLACE TRIGGER job_queue_delete_refused BEFORE DELETE ON automapost.job_queue
    FOR EACH STATEMENT WHEN (current_user <> 'automapost_jobs_owner')
    EXECUTE FUNCTION automapost.change_refused(
        'call automapost.cancel, retry or enqueue, or as a worker claim, complete and fail',
        'What is done is forgotten by itself.');
CREATE OR REPLACE TRIGGER job_definitions_change_refused
    BEFORE INSERT OR UPDATE OR DELETE ON automapost.job_definitions
    FOR EACH STATEMENT WHEN (current_user <> 'automapost_jobs_owner')
    EXECUTE FUNCTION automapost.change_refused('call automapost.pause or resume',
        'Definitions are made by the owner of the database; automapost schedule sets when one runs.');
CREATE OR REPLACE TRIGGER job_executions_change_refused
    BEFORE INSERT OR UPDATE OR DELETE ON automapost.job_executions
    FOR EACH STATEMENT WHEN (current_user <> 'automapost_jobs_owner')
    EXECUTE FUNCTION automapost.change_refused(
        'it is the history; call automapost.retry or cancel, or as a worker complete or fail',
        'What is done is forgotten by itself.');
CREATE OR REPLACE TRIGGER job_logs_change_refused
    BEFORE INSERT OR UPDATE OR DELETE ON automapost.job_logs
    FOR EACH STATEMENT WHEN (current_user <> 'automapost_jobs_owner')
    EXECUTE FUNCTION automapost.change_refused(
        'it is the history; as a worker call automapost.complete or fail',
        'What is done is forgotten by itself.');
