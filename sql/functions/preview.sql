-- What a tick would do now, a line each, without changing anything. Never compiled, as tick is not.
CREATE OR REPLACE FUNCTION automapost.preview(p_service text, p_types text[], p_limit bigint)
RETURNS TABLE (line text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT format('post %s, due %s, to %s account %s%s', t.post_id, t.due_at, t.provider,
                  t.auth_provider_id, ': ' || COALESCE(
                      t.code, CASE WHEN d.state <> 'pending' THEN 'the delivery is ' || d.state END,
                      CASE WHEN t.due_at <= statement_timestamp() - e.late_limit THEN 'missed-late' END))
    FROM automapost.engine e, automapost.installation i,
        LATERAL (SELECT array_agg(p.post_id) AS ids FROM (
            SELECT a.post_id FROM automapost.app_due_posts(
                GREATEST(statement_timestamp() - e.late_limit - interval '1 hour', i.publish_from),
                statement_timestamp()) a
            ORDER BY a.due_at, a.post_id LIMIT p_limit) p) due,
        LATERAL automapost.post_targets(due.ids) t
    LEFT JOIN automapost.post_deliveries d ON d.post_id = t.post_id
        AND d.auth_provider_id = t.auth_provider_id AND d.kind = 'post'
    WHERE p_service IN ('social-media', 'realtime')
    UNION ALL
    SELECT format('%s due jobs of type %s', count(*), q.job_type)
    FROM automapost.job_queue q
    WHERE q.status = 'pending' AND q.scheduled_for <= statement_timestamp()
        AND q.job_type = ANY (automapost.asked_types(p_types))
    GROUP BY q.job_type
    UNION ALL
    SELECT format('%s on %s has had no beat since %s, with %s jobs', w.service, w.host, w.last_beat,
                  (SELECT count(*) FROM automapost.running_jobs q WHERE q.locked_by = w.id))
    FROM automapost.workers w, automapost.engine e
    WHERE w.ended_at IS NULL AND w.last_beat < statement_timestamp() - e.lapse
    UNION ALL
    SELECT format('delivery %s, due %s, is too late', d.id, d.due_at)
    FROM (SELECT d.id, d.due_at FROM automapost.post_deliveries d, automapost.engine e
          WHERE p_service = 'cleanup' AND d.state = 'pending' AND NOT d.late_allowed
              AND d.due_at <= statement_timestamp() - e.late_limit LIMIT p_limit) d
$$;

-- Due jobs whose type has no definition any more: each try ends the same, so that nobody waits for
-- them for ever, and a definition that comes back in time finds them.
CREATE OR REPLACE FUNCTION automapost.try_undefined_jobs(p_limit bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job automapost.job_queue;
    n bigint := 0;
BEGIN
    FOR job IN
        SELECT q.* FROM automapost.job_queue q
        WHERE q.status = 'pending' AND q.scheduled_for <= clock_timestamp()
            AND NOT EXISTS (SELECT FROM automapost.job_definitions d
                            WHERE d.name = q.job_type AND d.kind = 'type')
        ORDER BY q.scheduled_for LIMIT p_limit FOR UPDATE SKIP LOCKED
    LOOP
        UPDATE automapost.job_queue q
        SET attempts = q.attempts + 1, execution_id = gen_random_uuid(), locked_at = clock_timestamp()
        WHERE q.id = job.id;
        IF job.attempts + 1 >= COALESCE(job.max_attempts, 1) THEN
            PERFORM automapost.end_job(job.id, 'failed', 'no-handler',
                                       'no handler for job type: ' || job.job_type, NULL, 'permanent');
        ELSE
            INSERT INTO automapost.job_executions
                (job_queue_id, status, started_at, finished_at, duration_ms, retry_count, error_class,
                 error_code, error_message)
            VALUES (job.id, 'failed', clock_timestamp(), clock_timestamp(), 0, job.attempts, 'permanent',
                    'no-handler', 'no handler for job type: ' || job.job_type);
            UPDATE automapost.job_queue q
            SET execution_id = NULL, locked_at = NULL, scheduled_for = clock_timestamp()
                    + automapost.backoff(job.attempts + 1),
                error_class = 'permanent', error_code = 'no-handler',
                error_message = 'no handler for job type: ' || job.job_type
            WHERE q.id = job.id;
        END IF;
        n := n + 1;
    END LOOP;
    RETURN n;
END
$$;
