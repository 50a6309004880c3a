-- Pauses a service or a job type by name, every type ('--all'), or a provider or account
-- ('provider:linkedin', 'provider:linkedin:ID'), with a reason, until a time or until resumed. What
-- has begun finishes.
CREATE OR REPLACE FUNCTION automapost.pause(name text, reason text, until timestamptz DEFAULT NULL)
RETURNS TABLE (paused text, paused_until timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF COALESCE(btrim(pause.reason), '') = '' THEN
        RAISE EXCEPTION 'reason is missing: whoever finds it paused at night must know why'
            USING ERRCODE = '22023';
    END IF;
    IF pause.until IS NOT NULL AND (pause.until <= clock_timestamp() OR NOT isfinite(pause.until)) THEN
        RAISE EXCEPTION 'until must be a time to come, not %', pause.until USING ERRCODE = '22023';
    END IF;

    IF pause.name LIKE 'provider:_%' THEN
        RETURN QUERY
            INSERT INTO automapost.rate_limits AS l (key, until, reason, by, is_pause)
            VALUES (substr(pause.name, 10), COALESCE(pause.until, 'infinity'), pause.reason, session_user, true)
            ON CONFLICT (key) DO UPDATE
                SET until = excluded.until, reason = excluded.reason, by = excluded.by,
                    is_pause = true, created_at = excluded.created_at
            RETURNING pause.name, l.until;
        RETURN;
    END IF;
    RETURN QUERY
        UPDATE automapost.job_definitions d
        SET paused_reason = pause.reason, paused_by = session_user, paused_at = clock_timestamp(),
            paused_until = pause.until, updated_at = now()
        WHERE d.name = pause.name OR pause.name = '--all' AND d.kind = 'type'
        RETURNING d.name::text, d.paused_until;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing is named "%"', pause.name USING ERRCODE = 'P0002',
            HINT = 'Names: ' || (SELECT string_agg(d.name, ', ' ORDER BY d.kind, d.name)
                                 FROM automapost.job_definitions d) || ', --all, provider:NAME';
    END IF;
END
$$;

-- Ends a pause, or a platform's rate limit that an operator knows to be over.
CREATE OR REPLACE FUNCTION automapost.resume(name text)
RETURNS TABLE (resumed text, was text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF resume.name LIKE 'provider:_%' THEN
        RETURN QUERY DELETE FROM automapost.rate_limits l WHERE l.key = substr(resume.name, 10)
            RETURNING resume.name, l.reason;
        IF NOT FOUND THEN
            RAISE EXCEPTION '"%" is neither paused nor limited', resume.name USING ERRCODE = 'P0002';
        END IF;
        UPDATE automapost.job_queue q SET scheduled_for = clock_timestamp()
        WHERE q.status = 'pending' AND q.error_class = 'rate-limited'
            AND substr(resume.name, 10) IN (q.limit_key, split_part(q.limit_key, ':', 1));
        RETURN;
    END IF;
    RETURN QUERY
        WITH before AS (
            SELECT d.id, CASE WHEN automapost.is_runnable(d) THEN 'active' ELSE
                COALESCE(d.paused_reason, 'not active') END AS was
            FROM automapost.job_definitions d
            WHERE d.name = resume.name OR resume.name = '--all' AND d.kind = 'type')
        UPDATE automapost.job_definitions d
        SET paused_reason = NULL, paused_by = NULL, paused_at = NULL, paused_until = NULL,
            is_active = true, updated_at = now()
        FROM before b WHERE b.id = d.id
        RETURNING d.name::text, b.was;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing is named "%"', resume.name USING ERRCODE = 'P0002';
    END IF;
END
$$;

-- A pending job, or every pending job of a type, is due now (rate limits and pauses still hold).
CREATE OR REPLACE FUNCTION automapost.wake(id_or_type text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n bigint;
    job automapost.job_queue;
BEGIN
    IF EXISTS (SELECT FROM automapost.job_definitions d WHERE d.name = id_or_type AND d.kind = 'type') THEN
        UPDATE automapost.job_queue q SET scheduled_for = clock_timestamp()
        WHERE q.status = 'pending' AND q.job_type = id_or_type AND q.scheduled_for > clock_timestamp()
            AND NOT EXISTS (SELECT FROM automapost.post_deliveries d
                            WHERE d.job_id = q.id AND d.state = 'unconfirmed');
    ELSE
        job := automapost.find_job(id_or_type, true);
        IF job.status <> 'pending' THEN
            RAISE EXCEPTION 'job % is %, not pending', job.id, job.status USING ERRCODE = '55000';
        ELSIF EXISTS (SELECT FROM automapost.post_deliveries d
                      WHERE d.job_id = job.id AND d.state = 'unconfirmed') THEN
            RAISE EXCEPTION 'job % waits until no send can be under way any more', job.id
                USING ERRCODE = '55000';
        END IF;
        UPDATE automapost.job_queue q SET scheduled_for = clock_timestamp() WHERE q.id = job.id;
    END IF;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
