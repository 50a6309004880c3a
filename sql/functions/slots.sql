-- Schedules and their slots. A schedule is read, and its slots are counted, by src/base/cron.c
-- alone: SQL keeps what was due, taken and done, and decides who does it.

-- Keeps in slots when a definition came to be, got another schedule, and was paused: what was due
-- before, or meanwhile, is not missed.
CREATE OR REPLACE FUNCTION automapost.definition_changed()
RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t timestamptz := clock_timestamp();
    was boolean;
BEGIN
    INSERT INTO automapost.slots AS s (definition_id, due_after)
    VALUES (NEW.id, CASE TG_OP WHEN 'INSERT' THEN t ELSE OLD.created_at END)
    ON CONFLICT DO NOTHING;
    IF TG_OP = 'INSERT' THEN
        RETURN NULL;
    END IF;
    was := automapost.is_runnable(OLD);

    IF (OLD.cron_schedule, OLD.timezone) IS DISTINCT FROM (NEW.cron_schedule, NEW.timezone) THEN
        UPDATE automapost.slots s SET due_after = t WHERE s.definition_id = NEW.id;
    END IF;
    IF NOT automapost.is_runnable(NEW) THEN
        -- A further pause: the one before it counts no longer by itself.
        UPDATE automapost.slots s
        SET idle_from = CASE WHEN was THEN t ELSE COALESCE(s.idle_from, t) END,
            idle_until = CASE WHEN NEW.is_active THEN NEW.paused_until END,
            due_after = CASE WHEN was THEN GREATEST(s.due_after, s.idle_until) ELSE s.due_after END
        WHERE s.definition_id = NEW.id;
    ELSIF NOT was THEN
        UPDATE automapost.slots s SET idle_until = t WHERE s.definition_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER job_definitions_changed AFTER INSERT OR UPDATE ON automapost.job_definitions
    FOR EACH ROW EXECUTE FUNCTION automapost.definition_changed();

-- Every definition with its schedule, for the timers, the queue's tick and the operator's command.
CREATE OR REPLACE FUNCTION automapost.schedules()
RETURNS SETOF jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
    SELECT jsonb_build_object(
        'name', d.name, 'kind', d.kind, 'description', d.description,
        'cron_schedule', d.cron_schedule, 'timezone', d.timezone,
        'default_schedule', d.default_schedule,
        'active', automapost.is_runnable(d), 'paused_reason', d.paused_reason,
        'paused_by', d.paused_by, 'paused_at', d.paused_at, 'paused_until', d.paused_until,
        'handler', d.handler, 'max_retries', d.max_retries, 'timeout_ms', d.timeout_ms,
        'concurrency_limit', d.concurrency_limit, 'key_limit', d.key_limit,
        'slot', s.slot, 'taken_by', s.taken_by, 'taken_at', s.taken_at, 'done_at', s.done_at,
        'due_after', GREATEST(COALESCE(s.due_after, d.created_at),
                              CASE WHEN s.done_at IS NOT NULL THEN s.slot END),
        'idle_from', s.idle_from, 'idle_until', s.idle_until,
        'good_schedule', s.good_schedule, 'good_timezone', s.good_timezone,
        'problem', s.problem, 'problem_since', s.problem_since,
        'now', clock_timestamp())
    FROM automapost.job_definitions d LEFT JOIN automapost.slots s ON s.definition_id = d.id
    ORDER BY d.kind, d.name
$$;

-- The row of a definition's slot, locked, where that slot is to be had by p_taker; else null.
CREATE OR REPLACE FUNCTION automapost.lock_open_slot(p_name text, p_kind text, p_slot timestamptz,
                                                     p_taker text)
RETURNS automapost.slots
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    d automapost.job_definitions;
    s automapost.slots;
    held boolean;
BEGIN
    SELECT * INTO d FROM automapost.job_definitions x WHERE x.name = p_name AND x.kind = p_kind;
    IF d.id IS NULL OR p_slot > clock_timestamp() OR NOT automapost.is_runnable(d) THEN
        RETURN NULL;
    END IF;
    INSERT INTO automapost.slots (definition_id, due_after) VALUES (d.id, d.created_at)
    ON CONFLICT DO NOTHING;
    SELECT * INTO s FROM automapost.slots x WHERE x.definition_id = d.id FOR NO KEY UPDATE;
    IF s.taken_by = p_taker AND s.slot = p_slot AND s.done_at IS NULL THEN
        RETURN s; -- asked again: the answer was lost
    END IF;
    -- Whoever has taken a slot and neither done it nor ended is doing it, this one or an earlier.
    held := s.done_at IS NULL AND EXISTS (
        SELECT FROM automapost.workers w, automapost.engine e
        WHERE w.id = s.taken_by AND w.ended_at IS NULL
            AND w.last_beat >= clock_timestamp() - e.lapse);
    IF held OR p_slot <= s.due_after
        OR p_slot < s.slot OR p_slot = s.slot AND s.done_at IS NOT NULL
        OR p_slot >= s.idle_from AND p_slot < COALESCE(s.idle_until, 'infinity') THEN
        RETURN NULL;
    END IF;
    RETURN s;
END
$$;

-- Takes a slot for a service's worker: true for one of them, on however many hosts they ask. AM001:
-- this worker has ended.
CREATE OR REPLACE FUNCTION automapost.take_slot(p_name text, p_slot timestamptz, p_worker text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s automapost.slots;
BEGIN
    PERFORM automapost.lock_worker(p_worker);
    s := automapost.lock_open_slot(p_name, 'service', p_slot, p_worker);
    UPDATE automapost.slots x
    SET slot = p_slot, taken_by = p_worker, taken_at = clock_timestamp(), done_at = NULL
    WHERE x.definition_id = s.definition_id;
    RETURN FOUND;
END
$$;

-- What the slot was for is collected. False where somebody else has it meanwhile.
CREATE OR REPLACE FUNCTION automapost.finish_slot(p_name text, p_slot timestamptz, p_worker text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE automapost.slots s SET done_at = COALESCE(s.done_at, clock_timestamp())
    FROM automapost.job_definitions d
    WHERE d.name = p_name AND s.definition_id = d.id AND s.slot = p_slot AND s.taken_by = p_worker;
    RETURN FOUND;
END
$$;

-- The job of a scheduled job type for one slot, once over all hosts: its id, or null where the slot
-- is not to be had. The payload is {"slot": TIME}. At most one waits while one runs: what was due
-- meanwhile is made good once.
CREATE OR REPLACE FUNCTION automapost.enqueue_slot(p_name text, p_slot timestamptz, p_taker text)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC' AS $$
DECLARE
    s automapost.slots := automapost.lock_open_slot(p_name, 'type', p_slot, p_taker);
    job text;
BEGIN
    IF s.definition_id IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT e.id INTO job FROM automapost.enqueue(p_name, jsonb_build_object('slot', p_slot),
        job_key => 'schedule', on_conflict => 'replace') e;
    UPDATE automapost.slots x
    SET slot = p_slot, taken_by = p_taker, taken_at = clock_timestamp(), done_at = clock_timestamp()
    WHERE x.definition_id = s.definition_id;
    RETURN job;
END
$$;

-- What came of reading a definition's schedule: null, then it is in use; or why it cannot be used,
-- then the last that could stays. Forgotten where the row has changed meanwhile.
CREATE OR REPLACE FUNCTION automapost.note_schedule(p_name text, p_schedule text, p_timezone text,
                                                    p_problem text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO automapost.slots AS s (definition_id, due_after, good_schedule, good_timezone, problem,
                                       problem_since)
    SELECT d.id, d.created_at, CASE WHEN p_problem IS NULL THEN p_schedule END,
        CASE WHEN p_problem IS NULL THEN p_timezone END, p_problem,
        CASE WHEN p_problem IS NOT NULL THEN clock_timestamp() END
    FROM automapost.job_definitions d
    WHERE d.name = p_name AND d.timezone = p_timezone
        AND d.cron_schedule IS NOT DISTINCT FROM p_schedule
    ON CONFLICT (definition_id) DO UPDATE
    SET good_schedule = CASE WHEN p_problem IS NULL THEN p_schedule ELSE s.good_schedule END,
        good_timezone = CASE WHEN p_problem IS NULL THEN p_timezone ELSE s.good_timezone END,
        problem = p_problem,
        problem_since = CASE WHEN p_problem IS NOT NULL
            THEN COALESCE(s.problem_since, clock_timestamp()) END;
    RETURN FOUND;
END
$$;

-- Gives a service or a job type another schedule; null: on demand. A null timezone stays what it
-- is. The caller has read the schedule: here it is only what it says.
CREATE OR REPLACE FUNCTION automapost.set_schedule(p_name text, p_schedule text, p_timezone text)
RETURNS TABLE (name text, schedule text, timezone text, was_schedule text, was_timezone text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF p_schedule IS NOT NULL AND p_name IN ('social-media-post', 'refresh-token') THEN
        RAISE EXCEPTION '% has no schedule: each of its jobs is for one post or account', p_name
            USING ERRCODE = '22023', HINT = 'The service social-media makes its jobs.';
    END IF;
    RETURN QUERY
        WITH before AS (
            SELECT d.id, d.cron_schedule, d.timezone FROM automapost.job_definitions d
            WHERE d.name = p_name FOR NO KEY UPDATE)
        UPDATE automapost.job_definitions d
        SET cron_schedule = p_schedule, timezone = COALESCE(p_timezone, d.timezone), updated_at = now()
        FROM before b WHERE b.id = d.id
        RETURNING d.name::text, d.cron_schedule::text, d.timezone, b.cron_schedule::text, b.timezone;
    IF FOUND THEN
        UPDATE automapost.slots s
        SET good_schedule = p_schedule, good_timezone = d.timezone, problem = NULL, problem_since = NULL
        FROM automapost.job_definitions d WHERE d.name = p_name AND s.definition_id = d.id;
    ELSE
        RAISE EXCEPTION 'nothing is named "%"', p_name USING ERRCODE = 'P0002',
            HINT = 'Names: ' || (SELECT string_agg(d.name, ', ' ORDER BY d.kind, d.name)
                                 FROM automapost.job_definitions d);
    END IF;
END
$$;
