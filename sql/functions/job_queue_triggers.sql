-- Plain SQL and ORMs may INSERT jobs: they come in as enqueue() would make them. Whatever else they
-- try is refused (change_refused).
CREATE OR REPLACE FUNCTION automapost.job_queue_inserted()
RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fresh automapost.job_queue;
BEGIN
    IF current_user = (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = TG_RELID) THEN
        RETURN NEW; -- our own functions know what they do
    END IF;
    fresh.id := NEW.id;
    fresh.job_type := NEW.job_type;
    fresh.payload := COALESCE(NEW.payload, '{}');
    fresh.priority := NEW.priority;
    fresh.scheduled_for := NEW.scheduled_for;
    fresh.max_attempts := COALESCE(NEW.max_attempts, (
        SELECT d.max_retries + 1 FROM automapost.job_definitions d WHERE d.name = NEW.job_type));
    fresh.job_key := automapost.check_new_job(NEW.job_type, fresh.payload, NEW.priority,
        NEW.scheduled_for, NEW.max_attempts, NEW.job_key);
    fresh.limit_key := CASE WHEN NEW.job_type NOT IN ('social-media-post', 'refresh-token')
                            THEN NEW.limit_key END;
    fresh.status := 'pending';
    fresh.attempts := 0;
    fresh.begun := false;
    fresh.created_at := now();
    fresh.updated_at := now();
    fresh.created_by := session_user;
    RETURN fresh;
END
$$;

-- check_job() for a caller who may not read the definitions.
CREATE OR REPLACE FUNCTION automapost.check_new_job(
    p_job_type text, p_payload jsonb, p_priority bigint, p_scheduled_for timestamptz,
    p_max_attempts bigint, p_job_key text)
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT automapost.check_job(p_job_type, p_payload, p_priority, p_scheduled_for, p_max_attempts,
                                p_job_key)
$$;

-- The condition only spares our own functions the call; the function itself decides.
CREATE OR REPLACE TRIGGER job_queue_inserted BEFORE INSERT ON automapost.job_queue
    FOR EACH ROW WHEN (current_user <> 'automapost_jobs_owner')
    EXECUTE FUNCTION automapost.job_queue_inserted();

-- Workers that stay are woken, once per statement and type, where something is due at once; what
-- becomes due later they see coming.
CREATE OR REPLACE FUNCTION automapost.job_queue_notify()
RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('job_queue_channel',
                      jsonb_build_object('type', f.job_type, 'count', count(*))::text)
    FROM fresh f
    WHERE f.status = 'pending' AND f.scheduled_for <= clock_timestamp()
    GROUP BY f.job_type;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER job_queue_notify AFTER INSERT ON automapost.job_queue
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION automapost.job_queue_notify();
