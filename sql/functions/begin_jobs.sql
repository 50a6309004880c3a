-- The write-ahead of everything that touches the world: nothing is sent without a row that says so,
-- and nothing is recorded as begun by a worker that may have been given up. p_items: an array of
-- {"id", "lease", "version", "handle", "way", "request": {…}}. Verdicts: go (send exactly these
-- bytes), again (put back whole: it was edited, or somebody is changing it), paused, cancelled,
-- late, held, lost (the lease is no longer this worker's), stale (nothing was looked at: the beat is
-- old, or meet_host() has something to say). Asking again with the same batch gives the same go. A job
-- that is no delivery needs no more than its lease, and is not held: whoever sees no end of it, does it
-- once more. To a worker that names its machine comes one row more, without id: mark, with what is to
-- be in the machine's state folder before the first byte leaves.
CREATE OR REPLACE FUNCTION automapost.begin_jobs(p_worker text, p_batch text, p_items jsonb)
RETURNS TABLE (id text, verdict text, begin_number bigint, detail text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    w automapost.workers := automapost.lock_worker(p_worker);
    e automapost.engine;
    others automapost.begin_item[];
    plain uuid[]; -- begun, and no deliveries
    any_goes boolean;
    t timestamptz := clock_timestamp(); -- of this begin, wherever it is noted
    paused text[] := ARRAY(SELECT l.key FROM automapost.rate_limits l
                           WHERE l.is_pause AND l.until > t);
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    SELECT * INTO e FROM automapost.engine;
    -- A worker whose beats do not arrive may be taken for dead at any moment: it begins nothing.
    IF w.last_beat < clock_timestamp() - e.self_fence THEN
        RETURN QUERY SELECT i ->> 'id', 'stale'::text, NULL::bigint,
            'the last beat is older than ' || e.self_fence FROM jsonb_array_elements(p_items) i;
        RETURN;
    ELSIF NOT automapost.may_begin(w) THEN
        RETURN QUERY SELECT i ->> 'id', 'stale'::text, NULL::bigint, 'meet_host() says why'
            FROM jsonb_array_elements(p_items) i;
        RETURN;
    END IF;
    -- What is no delivery, and nobody wants to stop: all of it in one statement, by id as everybody
    -- locks it.
    WITH plain AS (
        UPDATE automapost.job_queue q
        SET begun = true, begin_batch = p_batch, attempts = q.attempts + 1,
            updated_at = clock_timestamp()
        FROM (SELECT r.id, r.lease FROM jsonb_to_recordset(p_items) r (id uuid, lease bigint) ORDER BY r.id) i
        WHERE q.id = i.id AND q.lease = i.lease AND q.locked_by IS NOT DISTINCT FROM p_worker
            AND NOT q.begun AND q.cancel_requested_at IS NULL
            AND q.job_type = ANY (ARRAY(
                SELECT y.name FROM automapost.job_definitions y
                WHERE y.name <> 'social-media-post' AND automapost.is_runnable(y)))
            AND (q.limit_key IS NULL OR q.limit_key <> ALL (paused))
        RETURNING q.id
    )
    SELECT COALESCE(array_agg(p.id), '{}') INTO plain FROM plain p;
    RETURN QUERY SELECT p.id::text, 'go'::text, 1::bigint, NULL::text FROM unnest(plain) p (id);
    any_goes := plain <> '{}';

    IF cardinality(plain) < jsonb_array_length(p_items) THEN
        others := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::automapost.begin_item, p_items) r
                        WHERE r.id <> ALL (plain) ORDER BY r.id);
        FOR id, verdict, begin_number, detail IN
            SELECT * FROM automapost.begin_each(p_worker, p_batch, others, e, t)
        LOOP
            any_goes := any_goes OR verdict = 'go';
            RETURN NEXT;
        END LOOP;
    END IF;
    IF w.machine IS NOT NULL THEN
        UPDATE automapost.hosts h SET begins = h.begins + 1, begun_at = t
        WHERE h.machine = w.machine AND any_goes;
        RETURN QUERY SELECT NULL::text, 'mark'::text, h.begins,
                to_char(h.begun_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            FROM automapost.hosts h WHERE h.machine = w.machine AND h.begun_at IS NOT NULL;
    END IF;
END
$$;

-- Deliveries, and whatever does not simply go: each its own verdict. t: when they begin.
CREATE OR REPLACE FUNCTION automapost.begin_each(
    p_worker text, p_batch text, items automapost.begin_item[], e automapost.engine, t timestamptz)
RETURNS TABLE (id text, verdict text, begin_number bigint, detail text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    item automapost.begin_item;
    go automapost.begin_item[] := '{}';
    shared text[];
    j record;
    why text;
BEGIN
    PERFORM FROM automapost.job_queue q
    WHERE q.id = ANY (ARRAY(SELECT i.id FROM unnest(items) i)) ORDER BY q.id FOR NO KEY UPDATE;
    PERFORM FROM automapost.post_deliveries d
    WHERE d.job_id = ANY (ARRAY(SELECT i.id FROM unnest(items) i)) ORDER BY d.id FOR NO KEY UPDATE;
    shared := ARRAY(SELECT l.post_id FROM automapost.app_lock_posts(ARRAY(
        SELECT DISTINCT q.payload ->> 'postId' FROM automapost.job_queue q
        WHERE q.id = ANY (ARRAY(SELECT i.id FROM unnest(items) i))), 'share') l);

    FOR j IN
        SELECT i AS item, q AS whole_job, q.id AS job, q.lease, q.locked_by, q.status, q.begun,
            q.cancel_requested_at, q.cancel_requested_by, q.limit_key, q.attempts,
            d.id AS delivery, d.state, d.kind, COALESCE(d.begin_number, 0) AS begin_number,
            COALESCE(d.begin_batch, q.begin_batch) AS begin_batch, d.job_id, d.request,
            d.first_sent_at, d.due_at AS delivery_due_at, d.late_allowed,
            y.paused_reason, automapost.is_runnable(y) AS runnable,
            (SELECT l.reason FROM automapost.rate_limits l
             WHERE l.is_pause AND l.until > clock_timestamp()
                AND l.key IN (d.provider, q.limit_key) LIMIT 1) AS provider_pause,
            p.post_id, p.status AS post_status, p.deleted_at, p.due_at, p.first_comment,
            CASE d.kind WHEN 'post' THEN automapost.post_version(
                p.content, p.due_at, p.providers, p.auth_provider_ids)
            ELSE automapost.comment_version(p.first_comment) END AS version
        FROM unnest(items) i
        LEFT JOIN automapost.job_queue q ON q.id = i.id
        LEFT JOIN automapost.job_definitions y ON y.name = q.job_type
        LEFT JOIN automapost.post_deliveries d ON d.job_id = q.id
        LEFT JOIN automapost.app_posts_by_id(ARRAY(
            SELECT DISTINCT k.payload ->> 'postId' FROM automapost.job_queue k
            WHERE k.id = ANY (ARRAY(SELECT n.id FROM unnest(items) n)))) p
            ON p.post_id = q.payload ->> 'postId'
        ORDER BY i.id
    LOOP
        item := j.item;
        id := item.id::text;
        begin_number := NULL;
        detail := NULL;
        IF j.job IS NULL OR j.status <> 'running' OR j.locked_by IS DISTINCT FROM p_worker
            OR j.lease IS DISTINCT FROM item.lease THEN
            verdict := 'lost';
        ELSIF j.begun AND j.begin_batch = p_batch THEN
            verdict := 'go';
            begin_number := GREATEST(j.begin_number, 1);
        ELSIF j.begun THEN
            verdict := 'lost'; -- what is being sent cannot begin again
        ELSIF j.delivery IS NULL AND (j.whole_job).job_type <> 'social-media-post' THEN
            IF j.cancel_requested_at IS NOT NULL THEN
                verdict := 'cancelled';
                detail := 'cancelled by ' || j.cancel_requested_by;
                PERFORM automapost.cancel_as_requested(j.whole_job, NULL, detail);
            ELSIF NOT j.runnable OR j.provider_pause IS NOT NULL THEN
                verdict := 'paused';
                detail := COALESCE(j.provider_pause, j.paused_reason);
                PERFORM automapost.put_back_job(j.job, NULL);
            ELSE
                verdict := 'go';
            END IF;
        ELSIF j.delivery IS NULL OR j.state NOT IN ('pending', 'unconfirmed') THEN
            verdict := 'cancelled';
            detail := 'the delivery is ' || COALESCE(j.state, 'gone');
            PERFORM automapost.end_job(j.job, 'cancelled', 'superseded', detail);
        ELSIF j.cancel_requested_at IS NOT NULL AND j.state = 'pending' THEN
            verdict := 'cancelled';
            detail := 'cancelled by ' || j.cancel_requested_by;
            PERFORM automapost.cancel_as_requested(j.whole_job, j.delivery, detail);
        ELSIF j.state = 'unconfirmed' THEN
            -- The same bytes once more, only for the post that they were made for.
            why := CASE
                WHEN j.post_id IS NULL OR j.deleted_at IS NOT NULL THEN 'the post was deleted since'
                WHEN NOT j.post_id = ANY (shared) THEN NULL
                WHEN j.kind = 'post' AND j.post_status NOT IN ('SCHEDULED', 'SENT')
                    THEN 'the post was taken back since'
                WHEN j.version IS DISTINCT FROM (SELECT d.version FROM automapost.post_deliveries d
                                                 WHERE d.id = j.delivery) THEN 'the post was edited since'
                WHEN NOT j.runnable OR j.provider_pause IS NOT NULL
                    OR j.cancel_requested_at IS NOT NULL THEN 'it was paused or cancelled since'
                END;
            IF why IS NOT NULL THEN
                verdict := 'held';
                detail := 'it may be published, and ' || why;
                PERFORM automapost.hold_delivery(j.job, j.delivery, detail);
            ELSIF NOT j.post_id = ANY (shared) THEN
                verdict := 'again';
                PERFORM automapost.put_back_job(j.job, clock_timestamp() + e.locked_wait);
            ELSE
                verdict := 'go';
            END IF;
        ELSIF NOT j.runnable OR j.provider_pause IS NOT NULL THEN
            verdict := 'paused';
            detail := COALESCE(j.provider_pause, j.paused_reason);
            PERFORM automapost.put_back_job(j.job, NULL);
        ELSIF j.post_id IS NOT NULL AND NOT j.post_id = ANY (shared) THEN
            verdict := 'again';
            detail := 'the application is changing the post';
            PERFORM automapost.put_back_job(j.job, clock_timestamp() + e.locked_wait);
        ELSIF j.post_id IS NULL OR j.deleted_at IS NOT NULL OR j.version IS DISTINCT FROM item.version
            OR j.kind = 'post' AND (j.post_status <> 'SCHEDULED' OR j.due_at > clock_timestamp()) THEN
            verdict := 'again'; -- load then says what became of it
            detail := 'the post was changed';
            PERFORM automapost.put_back_job(j.job, NULL);
        ELSIF NOT j.late_allowed AND j.delivery_due_at <= clock_timestamp() - e.late_limit THEN
            verdict := 'late';
            PERFORM automapost.miss_delivery(j.job, j.delivery, j.version);
        ELSE
            verdict := 'go';
        END IF;

        IF verdict = 'go' AND begin_number IS NULL THEN
            begin_number := j.begin_number + 1;
            go := go || item;
        END IF;
        RETURN NEXT;
    END LOOP;

    -- All that go in one statement each. What is sent once more keeps its bytes.
    UPDATE automapost.post_deliveries d
    SET state = 'sending', begin_number = d.begin_number + 1, begin_batch = p_batch,
        begun_at = t, lease = g.lease,
        version = CASE d.state WHEN 'unconfirmed' THEN d.version ELSE g.version END,
        handle = g.handle, way = g.way,
        request = COALESCE(CASE d.state WHEN 'unconfirmed' THEN d.request END, g.request),
        request_sha256 = CASE d.state WHEN 'unconfirmed' THEN d.request_sha256
            ELSE encode(sha256(convert_to(g.request ->> 'body', 'UTF8')), 'hex') END,
        first_sent_at = CASE d.state WHEN 'unconfirmed' THEN d.first_sent_at ELSE t END,
        absent_at = NULL, updated_at = t
    FROM unnest(go) g
    WHERE d.job_id = g.id;
    UPDATE automapost.job_queue q
    SET begun = true, begin_batch = p_batch, attempts = q.attempts + 1, updated_at = clock_timestamp()
    WHERE q.id = ANY (ARRAY(SELECT g.id FROM unnest(go) g));
    -- The pace of accounts that are late counts from here.
    INSERT INTO automapost.limit_keys AS k (key, last_begun)
    SELECT DISTINCT q.limit_key, clock_timestamp() FROM automapost.job_queue q
    WHERE q.id = ANY (ARRAY(SELECT g.id FROM unnest(go) g)) AND q.limit_key IS NOT NULL
        AND q.due_at IS NOT NULL
    ORDER BY 1
    ON CONFLICT (key) DO UPDATE SET last_begun = excluded.last_begun;
END
$$;
