-- The ways in which a delivery ends without having been sent, each together with its job.

CREATE OR REPLACE FUNCTION automapost.finish_delivery(
    p_delivery uuid, p_state text, p_code text, p_detail text, p_version text)
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    UPDATE automapost.post_deliveries
    SET state = p_state, code = p_code, detail = p_detail, retry_at = NULL,
        version = COALESCE(p_version, version), request = NULL, lease = NULL,
        finished_at = CASE WHEN p_state = 'held' THEN NULL ELSE clock_timestamp() END,
        updated_at = clock_timestamp()
    WHERE id = p_delivery AND state <> 'sent'
$$;

CREATE OR REPLACE FUNCTION automapost.fail_delivery(
    p_job uuid, p_delivery uuid, p_code text, p_detail text, p_version text)
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT automapost.finish_delivery(p_delivery, 'failed', p_code, p_detail, p_version);
    SELECT automapost.end_job(p_job, 'failed', p_code, p_detail, NULL, 'permanent')
$$;

CREATE OR REPLACE FUNCTION automapost.miss_delivery(p_job uuid, p_delivery uuid, p_version text)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    why text;
BEGIN
    SELECT 'more than ' || e.late_limit || ' late' || COALESCE('; last: ' || q.error_message, '')
    INTO why
    FROM automapost.engine e LEFT JOIN automapost.job_queue q ON q.id = p_job;
    PERFORM automapost.finish_delivery(p_delivery, 'missed', 'missed-late', why, p_version);
    PERFORM automapost.end_job(p_job, 'failed', 'missed-late', why, NULL, 'permanent');
END
$$;

CREATE OR REPLACE FUNCTION automapost.cancel_delivery(
    p_job uuid, p_delivery uuid, p_code text, p_detail text)
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT automapost.finish_delivery(p_delivery, 'cancelled', NULL, p_detail, NULL);
    SELECT automapost.end_job(p_job, 'cancelled', p_code, p_detail)
$$;

-- Unknown for good: waits for a person, who says sent or not-sent (resolve_delivery).
CREATE OR REPLACE FUNCTION automapost.hold_delivery(p_job uuid, p_delivery uuid, p_detail text)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM automapost.finish_delivery(p_delivery, 'held', 'unconfirmed', p_detail, NULL);
    PERFORM automapost.end_job(p_job, 'failed', 'held', p_detail, NULL, 'unknown-outcome');
END
$$;
