-- What publishing needs, as the world is now. A job that need not run any more ends here, with the
-- reason: deleted, unapproved, moved, too late, already out. Reconciling runs whatever became of
-- the post.
CREATE OR REPLACE FUNCTION automapost.load_social_media_post(p_jobs uuid[])
RETURNS TABLE (id uuid, mode text, input jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    e automapost.engine;
    j record;
    n bigint;
    is_post boolean;
BEGIN
    SELECT * INTO e FROM automapost.engine;

    -- A job for a whole post obeys the post: the deliveries that collect would make.
    FOR j IN
        SELECT q.id, q.payload ->> 'postId' AS post_id, p.post_id IS NULL OR p.deleted_at IS NOT NULL
            AS gone, p.status, p.due_at
        FROM automapost.job_queue q
        LEFT JOIN automapost.app_posts_by_id(ARRAY(
            SELECT i.payload ->> 'postId' FROM automapost.job_queue i WHERE i.id = ANY (p_jobs))) p
            ON p.post_id = q.payload ->> 'postId'
        WHERE q.id = ANY (p_jobs) AND q.payload ->> 'authProviderId' IS NULL
    LOOP
        IF j.gone THEN
            PERFORM automapost.end_job(j.id, 'cancelled', 'post-deleted', 'the post was deleted');
        ELSIF j.status <> 'SCHEDULED' THEN
            PERFORM automapost.end_job(j.id, 'cancelled', 'not-scheduled',
                                       'the post is ' || j.status || ', not SCHEDULED');
        ELSIF j.due_at > clock_timestamp() THEN
            PERFORM automapost.put_back_job(j.id, j.due_at);
        ELSE
            n := automapost.ensure_deliveries(ARRAY[j.post_id]);
            PERFORM automapost.end_job(j.id, 'completed', NULL, NULL, jsonb_build_object('jobs', n));
        END IF;
    END LOOP;

    PERFORM automapost.ensure_deliveries(ARRAY(
        SELECT DISTINCT q.payload ->> 'postId' FROM automapost.job_queue q
        WHERE q.id = ANY (p_jobs) AND q.status = 'running'
            AND COALESCE(q.payload ->> 'kind', 'post') = 'post'
            AND NOT EXISTS (SELECT FROM automapost.post_deliveries d
                            WHERE d.post_id = q.payload ->> 'postId'
                                AND d.auth_provider_id = q.payload ->> 'authProviderId'
                                AND d.kind = 'post')));

    FOR j IN
        SELECT q.id AS job, q.lease, q.limit_key, q.error_class, q.error_code, q.error_message,
            COALESCE(q.payload ->> 'kind', 'post') AS kind,
            d.id AS delivery, d.state, d.job_id, d.begin_number, d.begun_at, d.first_sent_at,
            d.request, d.due_at AS delivery_due_at, d.late_allowed,
            holder.id AS holder,
            p.post_id, p.user_id, p.content, p.first_comment, p.due_at, p.status, p.deleted_at,
            jsonb_array_length(p.media) AS n_media,
            CASE COALESCE(q.payload ->> 'kind', 'post') WHEN 'post' THEN automapost.post_version(
                p.content, p.due_at, p.providers, p.auth_provider_ids)
            ELSE automapost.comment_version(p.first_comment) END AS version,
            t.auth_provider_id IS NOT NULL AS chosen,
            a.auth_provider_id, a.user_id AS owner, a.provider, a.remote_id, a.service_url,
            a.access_token, a.refresh_token, a.expires_at,
            automapost.token_version(a.access_token, a.refresh_token) AS token_version,
            s.code AS account_code, s.detail AS account_detail,
            s.refresh_failed_at IS NOT NULL AND s.token_version
                = automapost.token_version(a.access_token, a.refresh_token) AS refused,
            parent.state AS parent_state, parent.remote_id AS parent_remote_id,
            parent.url AS parent_url, parent.receipt AS parent_receipt
        FROM automapost.job_queue q
        LEFT JOIN automapost.post_deliveries d ON d.post_id = q.payload ->> 'postId'
            AND d.auth_provider_id = q.payload ->> 'authProviderId'
            AND d.kind = COALESCE(q.payload ->> 'kind', 'post')
        LEFT JOIN automapost.job_queue holder ON holder.id = d.job_id AND d.job_id <> q.id
            AND holder.status IN ('pending', 'running')
        LEFT JOIN automapost.app_posts_by_id(ARRAY(
            SELECT DISTINCT i.payload ->> 'postId' FROM automapost.job_queue i
            WHERE i.id = ANY (p_jobs))) p ON p.post_id = q.payload ->> 'postId'
        LEFT JOIN automapost.post_targets(ARRAY(
            SELECT DISTINCT i.payload ->> 'postId' FROM automapost.job_queue i
            WHERE i.id = ANY (p_jobs))) t ON t.post_id = q.payload ->> 'postId'
            AND t.auth_provider_id = q.payload ->> 'authProviderId'
        LEFT JOIN automapost.app_accounts_by_id(ARRAY(
            SELECT DISTINCT i.payload ->> 'authProviderId' FROM automapost.job_queue i
            WHERE i.id = ANY (p_jobs))) a ON a.auth_provider_id = q.payload ->> 'authProviderId'
        LEFT JOIN automapost.account_state s ON s.auth_provider_id = a.auth_provider_id
        LEFT JOIN automapost.post_deliveries parent ON d.kind = 'comment'
            AND parent.post_id = d.post_id AND parent.auth_provider_id = d.auth_provider_id
            AND parent.kind = 'post'
        WHERE q.id = ANY (p_jobs) AND q.status = 'running'
            AND q.payload ->> 'authProviderId' IS NOT NULL
        ORDER BY q.priority DESC, q.scheduled_for, q.created_at
    LOOP
        is_post := j.kind = 'post';
        IF j.delivery IS NULL THEN
            PERFORM automapost.end_job(j.job, 'cancelled', 'not-due', CASE
                WHEN j.post_id IS NULL OR j.deleted_at IS NOT NULL THEN 'the post was deleted'
                WHEN NOT is_post THEN 'the post has not been published there'
                WHEN j.due_at > clock_timestamp() THEN 'the post is not due: it will be taken up then'
                ELSE 'the post does not go to this account now' END);
            CONTINUE;
        ELSIF j.holder IS NOT NULL THEN
            PERFORM automapost.end_job(j.job, 'cancelled', 'superseded', 'job ' || j.holder || ' has it');
            CONTINUE;
        ELSIF j.limit_key IS NULL THEN
            -- It came by plain SQL: give it the account's limits first, then claim it anew.
            UPDATE automapost.job_queue q
            SET limit_key = COALESCE(j.provider, 'unknown') || ':' || (q.payload ->> 'authProviderId'),
                due_at = j.delivery_due_at
            WHERE q.id = j.job;
            PERFORM automapost.put_back_job(j.job, clock_timestamp());
            CONTINUE;
        ELSIF j.job_id IS DISTINCT FROM j.job THEN
            UPDATE automapost.post_deliveries d SET job_id = j.job WHERE d.id = j.delivery;
        END IF;

        IF j.state = 'unconfirmed' THEN
            IF j.auth_provider_id IS NULL THEN
                PERFORM automapost.hold_delivery(j.job, j.delivery,
                    'the account is gone, so nobody can look whether it is there');
                CONTINUE;
            ELSIF clock_timestamp() < j.begun_at + e.send_deadline + e.reconcile_margin THEN
                -- Whoever made it due sooner did not know that the send may still be under way.
                PERFORM automapost.put_back_job(j.job, j.begun_at + e.send_deadline + e.reconcile_margin,
                    j.error_class, j.error_code, j.error_message);
                CONTINUE;
            END IF;
        ELSIF j.state <> 'pending' THEN
            PERFORM automapost.end_job(j.job, 'cancelled', 'delivery-' || j.state,
                                       'the delivery is ' || j.state || ' already');
            CONTINUE;
        ELSIF j.post_id IS NULL OR j.deleted_at IS NOT NULL THEN
            PERFORM automapost.cancel_delivery(j.job, j.delivery, 'post-deleted', 'the post was deleted');
            CONTINUE;
        ELSIF is_post AND j.status <> 'SCHEDULED' THEN
            PERFORM automapost.cancel_delivery(j.job, j.delivery, 'not-scheduled',
                                               'the post is ' || j.status || ', not SCHEDULED');
            CONTINUE;
        ELSIF is_post AND j.due_at > clock_timestamp() THEN
            PERFORM automapost.cancel_delivery(j.job, j.delivery, 'moved', 'the post was moved to a later time');
            CONTINUE;
        ELSIF is_post AND NOT j.chosen THEN
            PERFORM automapost.cancel_delivery(j.job, j.delivery, 'not-chosen',
                                               'the post does not go to this account any more');
            CONTINUE;
        ELSIF NOT is_post AND (COALESCE(btrim(j.first_comment), '') = '' OR j.parent_state <> 'sent') THEN
            PERFORM automapost.cancel_delivery(j.job, j.delivery, 'no-comment', 'there is no first comment to send');
            CONTINUE;
        ELSIF j.auth_provider_id IS NULL OR j.owner IS DISTINCT FROM j.user_id THEN
            PERFORM automapost.fail_delivery(j.job, j.delivery, 'not-your-account',
                                             'the account is gone or belongs to another member', j.version);
            CONTINUE;
        ELSIF NOT j.late_allowed AND (CASE WHEN is_post THEN j.due_at ELSE j.delivery_due_at END)
            <= clock_timestamp() - e.late_limit THEN
            PERFORM automapost.miss_delivery(j.job, j.delivery, j.version);
            CONTINUE;
        ELSIF j.refused THEN
            PERFORM automapost.fail_delivery(j.job, j.delivery, COALESCE(j.account_code, 'reconnect-account'),
                COALESCE(j.account_detail, 'the account must be reconnected'), j.version);
            CONTINUE;
        END IF;

        IF j.state = 'pending' THEN
            -- Changed since it was collected: late is what begin finds late by the new time, and an
            -- end is one of the text that is tried now, not of the one before.
            UPDATE automapost.post_deliveries d
            SET due_at = CASE WHEN is_post THEN j.due_at ELSE d.due_at END, version = j.version
            WHERE d.id = j.delivery
                AND (d.version IS DISTINCT FROM j.version OR is_post AND d.due_at <> j.due_at);
        END IF;
        id := j.job;
        mode := CASE j.state WHEN 'unconfirmed' THEN 'reconcile' ELSE 'run' END;
        input := jsonb_build_object(
            'delivery', jsonb_build_object(
                'id', j.delivery, 'kind', j.kind, 'request', j.request,
                'begunAt', j.begun_at, 'firstSentAt', j.first_sent_at, 'beginNumber', j.begin_number),
            'post', jsonb_build_object(
                'id', j.post_id, 'text', CASE WHEN is_post THEN j.content ELSE j.first_comment END,
                'dueAt', CASE WHEN is_post THEN COALESCE(j.due_at, j.delivery_due_at) ELSE j.delivery_due_at END,
                'media', j.n_media,
                'version', j.version),
            'account', jsonb_build_object(
                'id', j.auth_provider_id, 'provider', j.provider, 'remoteId', j.remote_id,
                'serviceUrl', j.service_url, 'accessToken', j.access_token,
                'refreshToken', j.refresh_token, 'expiresAt', j.expires_at,
                'tokenVersion', j.token_version),
            'parent', jsonb_build_object(
                'remoteId', j.parent_remote_id, 'url', j.parent_url, 'receipt', j.parent_receipt));
        RETURN NEXT;
    END LOOP;
END
$$;

-- Tells two states of an account's tokens apart without holding them.
CREATE OR REPLACE FUNCTION automapost.token_version(p_access text, p_refresh text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT left(encode(sha256(convert_to(concat_ws(E'\x1f', p_access, p_refresh), 'UTF8')), 'hex'), 32)
$$;
