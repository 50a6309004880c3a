-- Tells the application and starts first comments, for posts of which something was sent. Posts are
-- locked first, and what to do is decided in later statements: two settlers of one post's last
-- deliveries would otherwise miss each other.
CREATE OR REPLACE FUNCTION automapost.apply_social_media_post(p_post_ids text[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    done text[];
    published timestamptz[];
    reopening text[];
BEGIN
    PERFORM automapost.app_lock_posts(p_post_ids, 'update');
    reopening := automapost.reopening_posts(p_post_ids);

    INSERT INTO automapost.post_deliveries
        (post_id, auth_provider_id, kind, user_id, provider, due_at, version)
    SELECT d.post_id, d.auth_provider_id, 'comment', d.user_id, d.provider, d.sent_at,
        automapost.comment_version(p.first_comment)
    FROM automapost.post_deliveries d
    JOIN automapost.app_posts_by_id(p_post_ids) p ON p.post_id = d.post_id
    WHERE d.post_id = ANY (p_post_ids) AND d.kind = 'post' AND d.state = 'sent'
        AND d.applied_at IS NULL AND p.deleted_at IS NULL AND btrim(p.first_comment) <> ''
    ON CONFLICT (post_id, auth_provider_id, kind) DO NOTHING;
    IF FOUND THEN
        PERFORM automapost.ensure_deliveries(p_post_ids);
    END IF;

    SELECT array_agg(s.post_id), array_agg(s.published) INTO done, published FROM (
        SELECT d.post_id, min(d.sent_at) AS published
        FROM automapost.post_deliveries d
        WHERE d.post_id = ANY (p_post_ids) AND d.kind = 'post' AND d.post_id <> ALL (reopening)
        GROUP BY d.post_id
        HAVING bool_or(d.state = 'sent')
            AND bool_and(d.state IN ('sent', 'failed', 'missed', 'cancelled'))) s;
    IF done IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM automapost.app_mark_posts_sent(done, published);
    UPDATE automapost.post_deliveries d SET applied_at = clock_timestamp()
    WHERE d.post_id = ANY (done) AND d.kind = 'post' AND d.state = 'sent' AND d.applied_at IS NULL;
    RETURN cardinality(done);
END
$$;

-- Posts that are out and of which the application does not know yet all that it can be told now, or
-- whose first comments were not started; those that were refused longest ago first. Not those of which
-- something is still under way or held: they are told at their end.
CREATE OR REPLACE FUNCTION automapost.unapplied_posts(p_limit bigint)
RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended text[] := ARRAY(
        SELECT DISTINCT d.post_id FROM automapost.post_deliveries d
        WHERE d.state = 'sent' AND d.kind = 'post' AND d.applied_at IS NULL
            AND NOT EXISTS (SELECT FROM automapost.post_deliveries o
                            WHERE o.post_id = d.post_id AND o.kind = 'post'
                                AND o.state IN ('pending', 'sending', 'unconfirmed', 'held')));
    without_comment text[] := ARRAY(
        SELECT DISTINCT d.post_id FROM automapost.post_deliveries d
        WHERE d.state = 'sent' AND d.kind = 'post' AND d.applied_at IS NULL
            AND NOT EXISTS (SELECT FROM automapost.post_deliveries c
                            WHERE c.post_id = d.post_id AND c.kind = 'comment'
                                AND c.auth_provider_id = d.auth_provider_id));
    reopening text[] := automapost.reopening_posts(ended);
BEGIN
    RETURN ARRAY(
        SELECT d.post_id FROM automapost.post_deliveries d
        WHERE d.state = 'sent' AND d.kind = 'post' AND d.applied_at IS NULL
            AND (d.post_id = ANY (ended) AND d.post_id <> ALL (reopening)
                OR d.post_id IN (SELECT p.post_id FROM automapost.app_posts_by_id(without_comment) p
                                 WHERE p.deleted_at IS NULL AND btrim(p.first_comment) <> ''))
        GROUP BY d.post_id
        ORDER BY min(d.apply_tried_at) NULLS FIRST, d.post_id
        LIMIT p_limit);
END
$$;

-- Posts of which collect will take up again a delivery that has ended, now or at the post's new time
-- (see ensure_deliveries): they are not at their end, whatever was sent already.
CREATE OR REPLACE FUNCTION automapost.reopening_posts(p_post_ids text[])
RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended text[] := ARRAY(
        SELECT DISTINCT d.post_id FROM automapost.post_deliveries d
        WHERE d.post_id = ANY (p_post_ids) AND d.kind = 'post'
            AND d.state IN ('failed', 'missed', 'cancelled'));
BEGIN
    IF ended = '{}' THEN
        RETURN ended;
    END IF;
    RETURN ARRAY(
        SELECT DISTINCT p.post_id
        FROM automapost.app_posts_by_id(ended) p
        JOIN automapost.post_deliveries d ON d.post_id = p.post_id AND d.kind = 'post'
        LEFT JOIN automapost.post_targets(ended) t ON t.post_id = d.post_id
            AND t.auth_provider_id = d.auth_provider_id AND t.code IS NULL
        WHERE p.status = 'SCHEDULED' AND p.deleted_at IS NULL
            AND p.due_at > clock_timestamp() - (SELECT e.late_limit FROM automapost.engine e)
            AND (p.due_at > clock_timestamp() OR t.post_id IS NOT NULL)
            AND automapost.is_reopened(d, automapost.post_version(
                p.content, p.due_at, p.providers, p.auth_provider_ids)));
END
$$;

-- apply in a savepoint, briefly; if the batch fails, one by one, so that one post that the
-- application holds, or a trigger of its own that raises, keeps no other waiting. What failed stays
-- marked (applied_at is null), and collect repeats it. Returns the first error, or null.
CREATE OR REPLACE FUNCTION automapost.apply_each(p_post_ids text[])
RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id text;
    first_error text;
    refused text[] := '{}';
BEGIN
    PERFORM set_config('lock_timeout', '300ms', true);
    BEGIN
        PERFORM automapost.apply_social_media_post(p_post_ids);
        RETURN NULL;
    EXCEPTION WHEN OTHERS THEN
        first_error := SQLSTATE || ': ' || SQLERRM;
    END;
    IF cardinality(p_post_ids) = 1 THEN
        refused := p_post_ids;
    ELSE
        PERFORM set_config('lock_timeout', '20ms', true);
        FOREACH id IN ARRAY p_post_ids LOOP
            BEGIN
                PERFORM automapost.apply_social_media_post(ARRAY[id]);
            EXCEPTION WHEN OTHERS THEN
                first_error := SQLSTATE || ': ' || SQLERRM;
                refused := refused || id;
            END;
        END LOOP;
    END IF;
    UPDATE automapost.post_deliveries d SET apply_tried_at = clock_timestamp()
    WHERE d.post_id = ANY (refused) AND d.kind = 'post' AND d.state = 'sent' AND d.applied_at IS NULL;
    RETURN first_error;
END
$$;
