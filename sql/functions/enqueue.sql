-- Puts one job into the queue. scheduled_for: at most 7 days past; priority: 0 to 1000, higher
-- first; max_attempts: tries in all, null takes the definition's max_retries + 1; limit_key: at most
-- key_limit of the definition run at once with the same; on_conflict says what happens where a job
-- of this type with this job_key lives:
--     reject      an error that names it
--     keep        nothing: that job's id comes back
--     replace     a pending one takes payload, time and priority; a running one gets a successor
--     reschedule  a pending one takes the time; a running one gets a successor
-- was: inserted, kept, replaced, rescheduled or successor.
CREATE OR REPLACE FUNCTION automapost.enqueue(
    job_type text, payload jsonb DEFAULT '{}', priority bigint DEFAULT 5,
    scheduled_for timestamptz DEFAULT now(), max_attempts bigint DEFAULT NULL,
    job_key text DEFAULT NULL, on_conflict text DEFAULT 'reject', limit_key text DEFAULT NULL)
RETURNS TABLE (id text, was text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    key text := automapost.check_job(enqueue.job_type, enqueue.payload, enqueue.priority,
                                     enqueue.scheduled_for, enqueue.max_attempts, enqueue.job_key);
    tries bigint := COALESCE(enqueue.max_attempts,
        (SELECT d.max_retries + 1 FROM automapost.job_definitions d WHERE d.name = enqueue.job_type));
    live record;
    new_id uuid;
    verdict text;
BEGIN
    IF enqueue.on_conflict IS NULL
        OR enqueue.on_conflict NOT IN ('reject', 'keep', 'replace', 'reschedule') THEN
        RAISE EXCEPTION 'on_conflict must be reject, keep, replace or reschedule, not "%"',
            COALESCE(enqueue.on_conflict, 'null') USING ERRCODE = '22023';
    END IF;
    PERFORM automapost.check_limit_key(enqueue.job_type, enqueue.limit_key);

    -- Another session may insert or finish the same key at any moment: each turn decides on what is
    -- there, and the unique indexes decide whether that still held.
    LOOP
        verdict := 'inserted';
        IF key IS NOT NULL THEN
            SELECT q.id, q.status INTO live FROM automapost.job_queue q
            WHERE q.job_type = enqueue.job_type AND q.job_key = key
                AND (q.status = 'pending' OR q.status = 'running') -- one partial index each
            ORDER BY q.status LIMIT 1; -- pending before running
            IF FOUND THEN
                IF enqueue.on_conflict = 'reject' THEN
                    RAISE EXCEPTION 'job_key "%" lives: job % is %', key, live.id, live.status
                        USING ERRCODE = '23505',
                        HINT = 'on_conflict => keep, replace or reschedule says what to do with it.';
                ELSIF enqueue.on_conflict = 'keep' THEN
                    RETURN QUERY SELECT live.id::text, 'kept'::text;
                    RETURN;
                ELSIF live.status = 'pending' THEN
                    UPDATE automapost.job_queue q
                    SET scheduled_for = enqueue.scheduled_for,
                        payload = CASE enqueue.on_conflict WHEN 'replace' THEN enqueue.payload
                                  ELSE q.payload END,
                        priority = CASE enqueue.on_conflict WHEN 'replace' THEN enqueue.priority
                                   ELSE q.priority END,
                        updated_at = now()
                    WHERE q.id = live.id AND q.status = 'pending';
                    IF FOUND THEN
                        RETURN QUERY SELECT live.id::text, enqueue.on_conflict || 'd';
                        RETURN;
                    END IF;
                    CONTINUE; -- claimed in between
                ELSIF enqueue.job_type IN ('social-media-post', 'refresh-token') THEN
                    RAISE EXCEPTION 'job % is running, and % has no successors', live.id,
                        enqueue.job_type USING ERRCODE = '55000';
                ELSE
                    verdict := 'successor';
                END IF;
            END IF;
        END IF;

        BEGIN
            INSERT INTO automapost.job_queue AS q
                (id, job_type, payload, priority, scheduled_for, max_attempts, job_key, limit_key)
            VALUES (automapost.new_id(), enqueue.job_type, COALESCE(enqueue.payload, '{}'),
                    enqueue.priority, enqueue.scheduled_for, tries, key, enqueue.limit_key)
            RETURNING q.id INTO new_id;
            RETURN QUERY SELECT new_id::text, verdict;
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            -- The same key came in between: look again. A snapshot taken before would never show it.
            IF current_setting('transaction_isolation') <> 'read committed' THEN
                RAISE EXCEPTION 'job_key "%" came to live since this transaction began', key
                    USING ERRCODE = '40001', HINT = 'Repeat the transaction, or use READ COMMITTED.';
            END IF;
        END;
    END LOOP;
END
$$;
