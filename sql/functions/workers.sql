-- A worker's life: registered, beating, ended by itself, by release (systemd saw it die) or by
-- rescue (it lapsed).

CREATE OR REPLACE FUNCTION automapost.register_worker(
    p_worker text, p_service text, p_host text, p_boot_id text, p_pid bigint, p_version text,
    p_clock timestamptz)
RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO automapost.workers (id, service, host, boot_id, pid, version, clock_offset)
    VALUES (p_worker, p_service, p_host, p_boot_id, p_pid, p_version, p_clock - clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET last_beat = clock_timestamp() WHERE workers.ended_at IS NULL
    RETURNING id
$$;

-- The same for a worker that says on which machine it runs (meet_host): what it begins counts there.
CREATE OR REPLACE FUNCTION automapost.enter_worker(
    p_worker text, p_service text, p_host text, p_boot_id text, p_pid bigint, p_version text,
    p_clock timestamptz, p_machine text)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    entered text := automapost.register_worker(p_worker, p_service, p_host, p_boot_id, p_pid,
                                               p_version, p_clock);
BEGIN
    UPDATE automapost.workers SET machine = p_machine WHERE id = entered;
    RETURN entered;
END
$$;

-- A sign of life, with the leases that the worker knows of. What it was given before its previous
-- beat and does not name was lost on the way: put back. Answers the leases whose jobs somebody
-- wants cancelled, and those that are not this worker's any more. AM001: it has ended.
CREATE OR REPLACE FUNCTION automapost.beat(worker text, leases bigint[], clock timestamptz DEFAULT NULL)
RETURNS TABLE (lease bigint, verdict text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    w automapost.workers := automapost.lock_worker(beat.worker);
    -- Under a lesser lease nothing runs, and much may have run.
    low bigint := (SELECT c.low_lease FROM automapost.claim_turns c WHERE c.handler = 'builtin');
    job automapost.job_queue;
BEGIN
    IF w.service <> 'external' AND NOT pg_has_role(session_user, 'automapost_jobs_service', 'USAGE') THEN
        RAISE EXCEPTION 'worker % is a service''s, not yours', beat.worker USING ERRCODE = '42501';
    END IF;
    UPDATE automapost.workers SET previous_beat = last_beat, last_beat = clock_timestamp(),
        clock_offset = COALESCE(beat.clock - clock_timestamp(), clock_offset)
    WHERE id = beat.worker;

    FOR job IN
        SELECT * FROM automapost.job_queue q
        WHERE q.lease >= low AND q.lease > 0 AND q.locked_by = beat.worker AND q.locked_at < w.last_beat
            AND q.lease <> ALL (beat.leases)
    LOOP
        -- A row that cannot be written is no reason to take the worker for dead.
        BEGIN
            PERFORM automapost.give_up_job(job.id, 'the answer to its claim was lost');
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'job % cannot be put back: %', job.id, SQLERRM;
        END;
    END LOOP;

    RETURN QUERY
        SELECT l.lease, CASE WHEN q.lease IS NULL THEN 'lost' ELSE 'cancelled' END
        FROM unnest(beat.leases) l (lease)
        LEFT JOIN automapost.job_queue q
            ON q.lease = l.lease AND q.lease >= low AND q.lease > 0 AND q.locked_by = beat.worker
        WHERE q.lease IS NULL OR q.cancel_requested_at IS NOT NULL;

    FOR job IN
        SELECT * FROM automapost.job_queue q
        WHERE q.lease >= low AND q.lease > 0 AND q.locked_by = beat.worker
            AND q.locked_at < clock_timestamp() - (SELECT e.long_run FROM automapost.engine e)
            AND NOT EXISTS (SELECT FROM automapost.job_executions x WHERE x.id = q.execution_id)
    LOOP
        BEGIN
            PERFORM automapost.show_running(job);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'job % cannot be shown as running: %', job.id, SQLERRM;
        END;
    END LOOP;
END
$$;

-- A running job whose worker will not end it: put back whole if it had not begun; if it had, the
-- outcome is unknown, and nobody looks before any send can have ended.
CREATE OR REPLACE FUNCTION automapost.give_up_job(
    p_job uuid, p_reason text, p_how jsonb DEFAULT NULL) -- how its worker died
RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job automapost.job_queue;
    d automapost.post_deliveries;
    world boolean;
    due timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO job FROM automapost.job_queue q
    WHERE q.id = p_job AND q.status = 'running' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT y.touches_world INTO world FROM automapost.job_definitions y WHERE y.name = job.job_type;

    IF job.begun OR NOT world THEN
        INSERT INTO automapost.job_executions
            (id, job_queue_id, status, started_at, finished_at, duration_ms, retry_count, worker_id,
             error_class, error_code, error_message, metadata)
        VALUES (job.execution_id, job.id, 'failed', job.locked_at, due,
                extract(epoch FROM due - job.locked_at) * 1000, GREATEST(job.attempts - 1, 0),
                job.locked_by, CASE WHEN job.begun THEN 'unknown-outcome' ELSE 'transient' END,
                'worker-died', p_reason, p_how)
        ON CONFLICT (id) DO UPDATE
            SET status = excluded.status, finished_at = excluded.finished_at,
                duration_ms = excluded.duration_ms, error_class = excluded.error_class,
                error_code = excluded.error_code, error_message = excluded.error_message,
                metadata = excluded.metadata;
    END IF;

    IF job.begun THEN
        UPDATE automapost.post_deliveries p
        SET state = 'unconfirmed', lease = NULL, detail = p_reason, updated_at = clock_timestamp()
        WHERE p.job_id = job.id AND p.state = 'sending'
        RETURNING * INTO d;
        SELECT COALESCE(d.begun_at, due) + e.send_deadline + e.reconcile_margin INTO due
        FROM automapost.engine e;
    END IF;
    IF job.cancel_requested_at IS NULL AND job.attempts >= job.max_attempts AND (NOT world OR job.begun
        AND NOT EXISTS (SELECT FROM automapost.post_deliveries p WHERE p.job_id = job.id)) THEN
        PERFORM automapost.end_job(job.id, 'failed', 'worker-died', p_reason, NULL, 'transient');
        RETURN 'failed';
    END IF;
    RETURN automapost.put_back_job(job.id, CASE WHEN job.begun OR NOT world THEN due END,
                                   CASE WHEN job.begun THEN 'unknown-outcome' END,
                                   CASE WHEN job.begun OR NOT world THEN 'worker-died' END, p_reason);
END
$$;

-- Ends a worker and puts its jobs back, each with the message.
CREATE OR REPLACE FUNCTION automapost.end_worker(
    p_worker text, p_reason text, p_message text, p_how jsonb)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job uuid;
    n bigint := 0;
BEGIN
    PERFORM FROM automapost.workers w WHERE w.id = p_worker AND w.ended_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    FOR job IN SELECT q.id FROM automapost.running_jobs q WHERE q.locked_by = p_worker LOOP
        BEGIN
            PERFORM automapost.give_up_job(job, p_message, p_how);
            n := n + 1;
        EXCEPTION WHEN OTHERS THEN
            -- A row that cannot be written holds up no other. It stays, and its worker with it: the
            -- next rescue tries again.
            RAISE WARNING 'job % of an ended worker cannot be put back: %', job, SQLERRM;
        END;
    END LOOP;
    UPDATE automapost.job_executions x
    SET status = 'failed', finished_at = clock_timestamp(), error_code = 'worker-died',
        error_message = p_message, metadata = p_how
    WHERE x.worker_id = p_worker AND x.status = 'running'
        AND NOT EXISTS (SELECT FROM automapost.running_jobs q WHERE q.execution_id = x.id);
    UPDATE automapost.workers w SET ended_at = clock_timestamp(), end_reason = p_reason
    WHERE w.id = p_worker
        AND NOT EXISTS (SELECT FROM automapost.running_jobs q WHERE q.locked_by = p_worker);
    RETURN n;
END
$$;

-- The same for a worker that says so itself ("finished"), or that lapsed.
CREATE OR REPLACE FUNCTION automapost.release_worker(p_worker text, p_reason text)
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT automapost.end_worker(p_worker, p_reason, 'its worker ended: ' || p_reason, NULL)
$$;

-- "signal SEGV" as words: what ended a service, by systemd's SERVICE_RESULT and EXIT_STATUS.
CREATE OR REPLACE FUNCTION automapost.death_words(p_reason text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'the service ' || CASE split_part(p_reason, ' ', 1)
        WHEN 'signal' THEN 'ended by signal ' || split_part(p_reason, ' ', 2)
        WHEN 'core-dump' THEN 'ended by signal ' || split_part(p_reason, ' ', 2)
        WHEN 'exit-code' THEN 'ended with exit status ' || split_part(p_reason, ' ', 2)
        WHEN 'oom-kill' THEN 'was killed for want of memory'
        WHEN 'timeout' THEN 'was killed at its timeout'
        WHEN 'watchdog' THEN 'was killed because it hung'
        ELSE 'ended by ' || p_reason END
$$;

-- A process that systemd saw die, under all the names under which it worked (a worker that was given
-- up goes on as ID-1, ID-2, …). The run itself, which did not come to its end, gets its row here.
CREATE OR REPLACE FUNCTION automapost.release_process(p_invocation text, p_reason text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    status text := split_part(p_reason, ' ', 2);
    how jsonb := jsonb_strip_nulls(jsonb_build_object('result', split_part(p_reason, ' ', 1),
        'exitStatus', CASE WHEN status ~ '^[0-9]{1,3}$' THEN status::integer END,
        'signal', CASE WHEN status ~ '^[A-Z]' THEN status END));
    w automapost.workers;
    n bigint := 0;
BEGIN
    FOR w IN
        SELECT * FROM automapost.workers x
        WHERE x.ended_at IS NULL
            AND (x.id = p_invocation OR starts_with(x.id, p_invocation || '-'))
        ORDER BY x.id
    LOOP
        n := n + automapost.end_worker(w.id, p_reason, automapost.death_words(p_reason), how);
        INSERT INTO automapost.job_executions
            (job_definition_id, status, started_at, finished_at, duration_ms, worker_id,
             error_code, error_message, metadata)
        SELECT d.id, 'failed', w.started_at, clock_timestamp(),
            extract(epoch FROM clock_timestamp() - w.started_at) * 1000, w.id,
            'worker-died', automapost.death_words(p_reason), how
        FROM automapost.job_definitions d WHERE d.name = w.service AND d.kind = 'service';
    END LOOP;
    RETURN n;
END
$$;

-- Workers without a beat for longer than the lapse: their jobs are put back by whoever looks.
CREATE OR REPLACE FUNCTION automapost.rescue_lapsed()
RETURNS TABLE (worker text, service text, host text, jobs bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    w automapost.workers;
    lapse interval := (SELECT e.lapse FROM automapost.engine e);
BEGIN
    FOR w IN
        SELECT * FROM automapost.workers
        WHERE ended_at IS NULL AND last_beat < clock_timestamp() - lapse
        ORDER BY id LIMIT 20 FOR UPDATE SKIP LOCKED
    LOOP
        worker := w.id;
        service := w.service;
        host := w.host;
        jobs := automapost.release_worker(w.id, 'no beat for ' || lapse);
        RETURN NEXT;
    END LOOP;
END
$$;

-- Is a worker of another host at work on jobs of these types? If that host dies, somebody who is
-- awake takes them over in seconds, and not only at the next tick. (Of this host's own systemd knows.)
CREATE OR REPLACE FUNCTION automapost.others_at_work(p_worker text, p_types text[])
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM automapost.workers w
        WHERE w.ended_at IS NULL AND w.service <> 'external'
            AND w.boot_id <> (SELECT me.boot_id FROM automapost.workers me WHERE me.id = p_worker)
            AND EXISTS (SELECT FROM automapost.running_jobs q
                        WHERE q.locked_by = w.id AND q.job_type = ANY (p_types)))
$$;

-- One service's run, when it did something: its row in job_executions.
CREATE OR REPLACE FUNCTION automapost.record_run(
    p_service text, p_worker text, p_started timestamptz, p_status text, p_counts jsonb, p_error text)
RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO automapost.job_executions
        (job_definition_id, status, started_at, finished_at, duration_ms, error_message, metadata, worker_id)
    SELECT d.id, p_status, p_started, clock_timestamp(),
        GREATEST(extract(epoch FROM clock_timestamp() - p_started) * 1000, 0), p_error, p_counts, p_worker
    FROM automapost.job_definitions d WHERE d.name = p_service AND d.kind = 'service'
    RETURNING id::text
$$;
