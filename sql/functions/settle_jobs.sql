-- What became of jobs, recorded in one transaction over our own tables. p_items: an array of
-- settle_item. The job's row is fenced by its lease; a receipt is not: whatever happened to the
-- lease, what the platform has taken is sent. outcome:
--     done       completed; with a receipt the delivery is sent
--     retry      certainly not received: again after a backoff
--     limited    the platform says when: again then, no attempt used
--     wait-token the account's token must be refreshed first
--     snooze     not yet: again at retry_at, no attempt used
--     failed     refused for good
--     config     an operator must act: again after a backoff, no attempt used
--     unknown    it may have happened: reconcile, not before any send can have ended
--     absent     reconciling did not find it; a second look, then the ordinary way
--     unclear    reconciling could not tell; again after a backoff
--     held       cannot be told for good: a person
--     put-back   not done, as if never claimed
--     unsent     cancelled before the first byte
--     timeout    past timeout_ms
-- verdict: settled, again (settled before, the answer was lost), lost (the lease is somebody
-- else's; a receipt was recorded all the same). apply_error: what the application refused.
CREATE OR REPLACE FUNCTION automapost.settle_jobs(p_worker text, p_items jsonb)
RETURNS TABLE (id text, verdict text, status text, scheduled_for timestamptz, apply_error text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    items automapost.settle_item[];
    item automapost.settle_item;
    job automapost.job_queue;
    settled uuid[]; -- executions
    done uuid[];    -- those of them that went the plain way
    touched text[];
    failed_effect text;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    -- Beside what this worker does over another connection, never beside its end (end_worker).
    PERFORM FROM automapost.workers w WHERE w.id = p_worker FOR KEY SHARE;
    SELECT array_agg(r ORDER BY r.id) INTO items
    FROM jsonb_populate_recordset(NULL::automapost.settle_item, p_items) r;
    -- Jobs before their deliveries and accounts, as everybody locks them; those of neither are updated
    -- at once, in the same order.
    PERFORM FROM automapost.job_queue q
    WHERE q.id = ANY (ARRAY(SELECT i.id FROM unnest(items) i
                            WHERE i.outcome <> 'done' OR i.delivery_id IS NOT NULL
                                OR i.tokens IS NOT NULL))
    ORDER BY q.id FOR NO KEY UPDATE;

    UPDATE automapost.post_deliveries d
    SET state = 'sent', remote_id = i.receipt ->> 'remoteId', url = i.receipt ->> 'url',
        receipt = i.receipt -> 'extra',
        sent_at = COALESCE((i.receipt ->> 'sentAt')::timestamptz, d.begun_at, clock_timestamp()),
        code = NULL, detail = NULL, retry_at = NULL, request = NULL, lease = NULL,
        begin_number = GREATEST(d.begin_number, i.begin_number),
        finished_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM unnest(items) i
    -- Also of a begin that this database does not know: it was put back since.
    WHERE i.receipt IS NOT NULL AND d.id = i.delivery_id AND d.state <> 'sent';

    -- Done, and the lease holds: nearly all, and these in one statement. A token has more to be told
    -- than that.
    WITH plain AS (
        UPDATE automapost.job_queue q
        SET status = 'completed', lease = NULL, claim_batch = NULL, locked_by = NULL,
            locked_at = NULL, execution_id = NULL, begun = false, waits_for = NULL,
            error_class = NULL, error_code = NULL, error_message = NULL, result = i.result,
            finished_at = clock_timestamp(), updated_at = clock_timestamp()
        FROM unnest(items) i
        WHERE i.outcome = 'done' AND (i.receipt IS NOT NULL OR i.delivery_id IS NULL)
            AND q.job_type <> 'refresh-token'
            -- By its id, and never by what else is known of it: this worker has hundreds of them. Who
            -- has a lease runs.
            AND q.id = i.id AND q.lease = i.lease AND q.locked_by IS NOT DISTINCT FROM p_worker
        RETURNING q.id, i.execution_id, i.started_at, i.duration_ms, q.attempts, i.delivery_id,
            i.receipt ->> 'url' AS url
    ), executed AS (
        INSERT INTO automapost.job_executions
            (id, job_queue_id, status, started_at, finished_at, duration_ms, retry_count, worker_id,
             metadata)
        SELECT p.execution_id, p.id, 'completed', p.started_at,
            p.started_at + p.duration_ms * interval '1 ms', p.duration_ms,
            GREATEST(p.attempts - 1, 0), p_worker,
            CASE WHEN p.delivery_id IS NULL THEN '{"outcome": "done"}'
            ELSE jsonb_strip_nulls(jsonb_build_object('outcome', 'done', 'deliveryId', p.delivery_id,
                                                      'url', p.url)) END
        FROM plain p
        ON CONFLICT (id) DO UPDATE
            SET status = excluded.status, finished_at = excluded.finished_at,
                duration_ms = excluded.duration_ms, error_class = NULL, error_code = NULL,
                error_message = NULL, metadata = excluded.metadata
    )
    SELECT COALESCE(array_agg(p.execution_id), '{}') INTO done FROM plain p;
    settled := done;
    RETURN QUERY SELECT i.id::text, 'settled'::text, 'completed'::text, NULL::timestamptz, NULL::text
        FROM unnest(items) i JOIN unnest(done) d (execution) ON d.execution = i.execution_id;

    FOR item IN
        SELECT i.* FROM unnest(items) i
        WHERE cardinality(done) < cardinality(items) AND i.execution_id <> ALL (done)
    LOOP
        id := item.id::text;
        SELECT * INTO job FROM automapost.job_queue q
        WHERE q.id = item.id AND q.status = 'running' AND q.lease = item.lease
            AND q.locked_by = p_worker;
        IF FOUND THEN
            verdict := 'settled';
            PERFORM automapost.settle_one(item, job);
            settled := settled || item.execution_id;
        ELSIF EXISTS (SELECT FROM automapost.job_executions x
                      WHERE x.id = item.execution_id AND x.status <> 'running'
                          AND x.error_code IS DISTINCT FROM 'worker-died') THEN
            verdict := 'again';
        ELSE
            verdict := 'lost';
            IF item.receipt IS NOT NULL THEN
                -- Whoever holds the job now finds the delivery sent; a waiting one need not run.
                PERFORM automapost.end_job(q.id, 'completed', NULL, NULL, item.result)
                FROM automapost.job_queue q
                WHERE q.id = item.id AND q.status = 'pending';
            END IF;
        END IF;
        SELECT q.status, q.scheduled_for INTO status, scheduled_for
        FROM automapost.job_queue q WHERE q.id = item.id;
        RETURN NEXT;
    END LOOP;

    PERFORM automapost.store_lines(p_items, settled);

    -- Posts of which something was sent hear of it now; the others have nothing to tell.
    touched := ARRAY(SELECT d.post_id FROM automapost.post_deliveries d
                     WHERE d.id = ANY (ARRAY(SELECT i.delivery_id FROM unnest(items) i))
                         AND d.kind = 'post' AND d.state IN ('sent', 'failed', 'missed', 'cancelled'));
    touched := ARRAY(SELECT DISTINCT d.post_id FROM automapost.post_deliveries d
                     WHERE d.post_id = ANY (touched) AND d.kind = 'post' AND d.state = 'sent');
    IF touched <> '{}' THEN
        failed_effect := automapost.apply_each(touched);
        IF failed_effect IS NOT NULL THEN
            RETURN QUERY SELECT NULL::text, 'apply'::text, NULL::text, NULL::timestamptz, failed_effect;
        END IF;
    END IF;
END
$$;

-- One job whose lease holds.
CREATE OR REPLACE FUNCTION automapost.settle_one(item automapost.settle_item, job automapost.job_queue)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e automapost.engine;
    t timestamptz := clock_timestamp();
    d automapost.post_deliveries;
    outcome text := item.outcome;
    execution_status text;
    cost integer;     -- the attempt that is given back
    due timestamptz;
    late_at timestamptz := 'infinity';
    said text := item.message;
BEGIN
    SELECT * INTO e FROM automapost.engine;
    IF item.delivery_id IS NOT NULL THEN
        SELECT * INTO d FROM automapost.post_deliveries p WHERE p.id = item.delivery_id FOR NO KEY UPDATE;
        late_at := CASE WHEN d.late_allowed THEN 'infinity' ELSE d.due_at + e.late_limit END;
        -- It was begun under this lease and the worker never heard so: it sent nothing.
        IF item.begin_number IS NULL AND d.state = 'sending' AND d.lease = job.lease THEN
            item.begin_number := d.begin_number;
        END IF;
    END IF;
    IF d.state = 'unconfirmed' AND outcome IN ('retry', 'limited', 'config', 'timeout', 'failed') THEN
        -- Looking failed; that tells nothing of what was sent before.
        outcome := CASE outcome WHEN 'failed' THEN 'held' ELSE 'unclear' END;
    END IF;
    SELECT CASE WHEN job.begun OR NOT y.touches_world THEN 1 ELSE 0 END INTO cost
    FROM automapost.job_definitions y WHERE y.name = job.job_type;

    -- A receipt settles the delivery whatever else was said; a begun job whose end nobody saw is an
    -- unknown outcome whatever it was called.
    IF d.state = 'sent' THEN
        outcome := 'done';
    ELSIF outcome = 'timeout' AND d.state = 'sending' AND d.begin_number = item.begin_number THEN
        outcome := 'unknown';
    END IF;
    -- Bytes that were sent before, with an end that nobody saw, or perhaps by another in a time that
    -- the database has forgotten: whatever becomes of sending them once more, only a receipt ends the
    -- doubt.
    IF d.state = 'sending' AND (d.first_sent_at < d.begun_at OR d.in_doubt) AND outcome <> 'done' THEN
        UPDATE automapost.post_deliveries p
        SET state = 'unconfirmed', lease = NULL, detail = said, updated_at = t
        WHERE p.id = d.id AND p.begin_number = item.begin_number
        RETURNING * INTO d;
        outcome := CASE outcome WHEN 'failed' THEN 'held' WHEN 'wait-token' THEN 'wait-token'
                   ELSE 'unclear' END;
    END IF;
    execution_status := CASE WHEN item.outcome = 'timeout' THEN 'timeout'
        WHEN outcome IN ('done', 'snooze') THEN 'completed'
        WHEN outcome = 'unsent' THEN 'cancelled' ELSE 'failed' END;

    IF outcome <> 'put-back' THEN
        INSERT INTO automapost.job_executions
            (id, job_queue_id, status, started_at, finished_at, duration_ms, retry_count, worker_id,
             error_class, error_code, error_message, metadata)
        VALUES (item.execution_id, job.id, execution_status, item.started_at,
                item.started_at + item.duration_ms * interval '1 ms', item.duration_ms,
                GREATEST(job.attempts - 1, 0), job.locked_by, item.class, item.code, said,
                jsonb_strip_nulls(jsonb_build_object('outcome', outcome, 'deliveryId', item.delivery_id,
                                                     'url', item.receipt ->> 'url')))
        ON CONFLICT (id) DO UPDATE
            SET status = excluded.status, finished_at = excluded.finished_at,
                duration_ms = excluded.duration_ms, error_class = excluded.error_class,
                error_code = excluded.error_code, error_message = excluded.error_message,
                metadata = excluded.metadata;
    END IF;

    -- The delivery's state first, then the job's.
    IF d.id IS NOT NULL AND d.state IN ('sending', 'unconfirmed', 'pending') THEN
        IF outcome = 'unknown' THEN
            UPDATE automapost.post_deliveries p
            SET state = 'unconfirmed', lease = NULL, absent_at = NULL, detail = said, updated_at = t
            WHERE p.id = d.id AND p.state = 'sending' AND p.begin_number = item.begin_number;
        ELSIF outcome = 'absent' AND (d.absent_at IS NULL OR d.absent_at > t - e.reread_after) THEN
            UPDATE automapost.post_deliveries p
            SET absent_at = COALESCE(p.absent_at, t), updated_at = t
            WHERE p.id = d.id AND p.state = 'unconfirmed';
            PERFORM automapost.put_back_job(job.id, COALESCE(d.absent_at, t) + e.reread_after,
                item.class, item.code, 'not found; a second look follows');
            RETURN;
        ELSIF outcome IN ('retry', 'limited', 'wait-token', 'config', 'absent', 'put-back', 'timeout')
            AND NOT (d.state = 'unconfirmed' AND outcome <> 'absent') THEN
            UPDATE automapost.post_deliveries p
            SET state = 'pending', request = NULL, lease = NULL, absent_at = NULL,
                code = item.code, detail = said, updated_at = t
            WHERE p.id = d.id AND (p.state = 'unconfirmed' AND outcome = 'absent'
                OR p.state = 'sending' AND p.begin_number = item.begin_number OR p.state = 'pending');
        END IF;
    END IF;

    CASE outcome
    WHEN 'done' THEN
        IF job.job_type = 'refresh-token' THEN
            PERFORM automapost.store_tokens(item, job);
        END IF;
        PERFORM automapost.end_job(job.id, 'completed', NULL, NULL, item.result);
        RETURN;
    WHEN 'failed' THEN
        IF d.id IS NOT NULL THEN
            PERFORM automapost.finish_delivery(d.id, 'failed', item.code, said, NULL);
            IF item.class = 'auth' THEN
                PERFORM automapost.account_refused(d.auth_provider_id, d.provider, d.user_id,
                                                   item.token_version, item.code, said);
            END IF;
        ELSIF job.job_type = 'refresh-token' AND item.class = 'auth' THEN
            PERFORM automapost.refresh_refused(item, job);
        END IF;
        PERFORM automapost.end_job(job.id, 'failed', item.code, said, NULL, item.class);
        RETURN;
    WHEN 'held' THEN
        PERFORM automapost.hold_delivery(job.id, d.id, said);
        RETURN;
    WHEN 'unsent' THEN
        UPDATE automapost.job_queue q SET attempts = q.attempts - cost WHERE q.id = job.id;
        PERFORM automapost.cancel_as_requested(job, d.id, 'cancelled by ' || job.cancel_requested_by);
        RETURN;
    WHEN 'unclear' THEN
        IF d.first_sent_at < t - e.reconcile_limit THEN
            PERFORM automapost.hold_delivery(job.id, d.id, 'for ' || e.reconcile_limit
                || ' nobody could tell whether it is published; last: ' || said);
            RETURN;
        END IF;
        due := GREATEST(item.retry_at, d.begun_at + e.send_deadline + e.reconcile_margin,
            t + automapost.backoff((log(2, 1 + (extract(epoch FROM t - d.first_sent_at)
                / extract(epoch FROM e.retry_base)))::bigint)));
        PERFORM automapost.put_back_job(job.id, due, item.class, item.code, said);
        RETURN;
    WHEN 'unknown' THEN
        IF d.id IS NULL AND job.attempts >= job.max_attempts THEN
            PERFORM automapost.end_job(job.id, 'failed', item.code, said, NULL, item.class);
            RETURN;
        ELSIF d.id IS NULL THEN
            due := t + automapost.backoff(job.attempts);
        ELSE
            due := d.begun_at + e.send_deadline + e.reconcile_margin;
        END IF;
        PERFORM automapost.put_back_job(job.id, due, item.class, item.code, said);
        RETURN;
    WHEN 'absent' THEN
        IF d.in_doubt THEN
            PERFORM automapost.hold_delivery(job.id, d.id, 'what was sent first is not there, but '
                'the database was put back since, and it may have been sent anew');
            RETURN;
        END IF;
        PERFORM automapost.put_back_job(job.id, t, item.class, item.code, 'proven absent: it is sent anew');
        RETURN;
    WHEN 'put-back' THEN
        PERFORM automapost.put_back_job(job.id, NULL, job.error_class, job.error_code, job.error_message,
                                        job.attempts - cost);
        RETURN;
    WHEN 'wait-token' THEN
        PERFORM automapost.wait_for_token(item, job, d, cost);
        RETURN;
    WHEN 'limited' THEN
        due := LEAST(GREATEST(COALESCE(item.retry_at, t + automapost.backoff(job.attempts)), t + interval '1 s'),
                     t + e.rate_limited_max);
        IF job.limit_key IS NOT NULL THEN
            INSERT INTO automapost.rate_limits AS l (key, until, reason, by)
            VALUES (CASE item.limit_scope WHEN 'provider' THEN split_part(job.limit_key, ':', 1)
                    ELSE job.limit_key END, due, COALESCE(said, 'rate limited'), 'platform')
            ON CONFLICT (key) DO UPDATE
                SET until = GREATEST(l.until, excluded.until), reason = excluded.reason,
                    by = excluded.by, is_pause = false, created_at = excluded.created_at
                WHERE NOT l.is_pause OR l.until < excluded.created_at;
        END IF;
        IF d.id IS NULL AND COALESCE(job.first_limited_at, t) < t - e.rate_limited_max THEN
            PERFORM automapost.end_job(job.id, 'failed', 'rate-limited', said, NULL, item.class);
            RETURN;
        END IF;
        UPDATE automapost.job_queue q SET first_limited_at = COALESCE(q.first_limited_at, t)
        WHERE q.id = job.id;
    WHEN 'snooze' THEN
        due := item.retry_at;
    WHEN 'config' THEN
        due := GREATEST(item.retry_at, t + automapost.backoff(5));
    ELSE -- retry, timeout
        cost := 0;
        -- A delivery is tried until the late limit, however often that is.
        IF job.attempts >= job.max_attempts AND (d.id IS NULL OR d.late_allowed) THEN
            IF d.id IS NOT NULL THEN
                PERFORM automapost.finish_delivery(d.id, 'failed', item.code, said, NULL);
            END IF;
            PERFORM automapost.end_job(job.id, CASE outcome WHEN 'timeout' THEN 'timeout' ELSE 'failed' END,
                                       item.code, said, NULL, item.class);
            RETURN;
        END IF;
        due := GREATEST(item.retry_at, t + automapost.backoff(job.attempts));
    END CASE;

    -- At the late limit load says missed; there is no reason to wait longer than that.
    due := LEAST(due, late_at);
    UPDATE automapost.post_deliveries p SET retry_at = due WHERE p.id = d.id AND p.state = 'pending';
    PERFORM automapost.put_back_job(job.id, due, item.class, item.code, said, job.attempts - cost);
END
$$;
