-- Why something is in its state, said to a person. Who says what: the functions here decide the
-- reason and make the sentences, in English, because the application asks too; whoever shows them
-- adds what depends on the reader. So a sentence is made as a template: {name} stands for the text
-- facts.name, {@name} for the time facts.name. sentence is the template filled in with times in
-- UTC; the command automapost fills it in with the terminal's zone and with ages. Texts of others
-- (a platform's error, a pause's reason) only ever come in as facts, so that nothing in them is
-- taken for a placeholder. Commands are words for a shell, or the name of a service to start.

-- "2 h 14 min": the two largest units.
CREATE OR REPLACE FUNCTION automapost.span(p interval)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH unit AS (
        SELECT u.n, u.name, u.size, floor(extract(epoch FROM p))::bigint AS s
        FROM (VALUES (1, 'd', 86400), (2, 'h', 3600), (3, 'min', 60), (4, 's', 1)) u (n, name, size)
    ), part AS (
        SELECT n, CASE n WHEN 1 THEN s / size ELSE
            s % (CASE n WHEN 2 THEN 86400 WHEN 3 THEN 3600 ELSE 60 END) / size END AS value, name
        FROM unit
    ), largest AS (
        SELECT min(n) AS n FROM part WHERE value > 0
    )
    SELECT COALESCE((SELECT string_agg(p.value || ' ' || p.name, ' ' ORDER BY p.n)
                     FROM part p, largest l WHERE p.n IN (l.n, l.n + 1) AND p.value > 0), '< 1 s')
$$;

-- The beginning of an id, as people read it.
CREATE OR REPLACE FUNCTION automapost.short_id(p_id text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN length(p_id) > 12 THEN left(p_id, 8) || '…' ELSE p_id END
$$;

-- A template with times in UTC. In one pass: what is filled in is not looked at again.
CREATE OR REPLACE FUNCTION automapost.fill(p_template text, p_facts jsonb)
RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(m.part[1] || CASE
            WHEN m.part[3] IS NULL THEN ''
            WHEN m.part[2] = '' THEN COALESCE(p_facts ->> m.part[3], '-')
            WHEN p_facts ->> m.part[3] = 'infinity' THEN 'for ever'
            ELSE COALESCE(to_char((p_facts ->> m.part[3])::timestamptz AT TIME ZONE 'UTC',
                                  'FMDD Mon YYYY HH24:MI:SS "UTC"'), '-') END, '' ORDER BY m.n)
    FROM regexp_matches(p_template, '([^{]*)(?:\{(@?)([a-z_]+)\})?', 'g')
        WITH ORDINALITY m (part, n)
$$;

-- What a member or an operator can do about a code of the closed list (src/base/codes.h).
CREATE OR REPLACE FUNCTION automapost.advice(p_code text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE p_code
        WHEN 'reconnect-account' THEN 'The member must connect the account again in the '
            'application, then edit or reschedule the post.'
        WHEN 'permission-missing' THEN 'The member must connect the account again and grant every '
            'permission that is asked for.'
        WHEN 'account-invalid' THEN 'The account''s data are wrong: the member must remove it and '
            'connect it again.'
        WHEN 'not-your-account' THEN 'The account is gone or belongs to another member: the '
            'member must choose one of their own.'
        WHEN 'no-account' THEN 'The member must choose an account for the post.'
        WHEN 'forbidden-host' THEN 'The address is not allowed: it must be https on a public host.'
        WHEN 'endpoint-gone' THEN 'The endpoint says that it is gone: the member must remove it '
            'or give a new address.'
        WHEN 'text-too-long' THEN 'The member must shorten the text.'
        WHEN 'text-empty' THEN 'The member must write a text.'
        WHEN 'media-required' THEN 'The platform takes no post without an image or a video: the '
            'member must add one or leave this account out.'
        WHEN 'duplicate' THEN 'The platform has this very text already: the member must change it.'
        WHEN 'parent-missing' THEN 'The post that it comments on cannot be found on the platform.'
        WHEN 'rejected' THEN 'The member must change the post as the platform says.'
        WHEN 'unsupported-platform' THEN 'Nothing can be published there: the member must leave '
            'this account out.'
        WHEN 'missed-late' THEN 'The member may give the post a new time.'
        WHEN 'no-handler' THEN 'Its type needs a definition, and a service that knows it.'
        WHEN 'worker-died' THEN 'Its workers died: their logs say why.'
        ELSE 'It may be tried again.'
    END
$$;

CREATE OR REPLACE FUNCTION automapost.command(p_purpose text, VARIADIC p_words text[])
RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_array(jsonb_build_object('purpose', p_purpose, 'command', p_words))
$$;

-- One run of a service is the way out.
CREATE OR REPLACE FUNCTION automapost.start_command(p_purpose text, p_service text)
RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_array(jsonb_build_object('purpose', p_purpose, 'start', p_service))
$$;

-- The service whose ticks do a type of job.
CREATE OR REPLACE FUNCTION automapost.service_of(p_type text)
RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_type IN ('social-media-post', 'refresh-token') THEN 'social-media'
        ELSE 'queue' END
$$;

-- Of whom we speak: "Job 1234… (post 5678… to LinkedIn account 90ab…)".
CREATE OR REPLACE FUNCTION automapost.subject(q automapost.job_queue, d automapost.post_deliveries)
RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH it AS (
        SELECT CASE
            WHEN d.id IS NOT NULL THEN
                CASE d.kind WHEN 'comment' THEN 'first comment of ' ELSE '' END
                || 'post ' || automapost.short_id(d.post_id)
                || CASE WHEN d.auth_provider_id LIKE 'no-account%' THEN ''
                   ELSE ' to ' || automapost.platform_name(d.provider) || ' account '
                       || automapost.short_id(d.auth_provider_id) END
            WHEN q.job_type = 'social-media-post' THEN
                'post ' || automapost.short_id(q.payload ->> 'postId')
            WHEN q.job_type = 'refresh-token' THEN
                'refresh-token of account ' || automapost.short_id(q.payload ->> 'authProviderId')
            ELSE q.job_type END AS text)
    SELECT CASE WHEN q.id IS NOT NULL
        THEN 'Job ' || automapost.short_id(q.id::text) || ' (' || text || ')'
        ELSE 'The delivery of ' || text END
    FROM it
$$;

-- What follows a wait: the next attempt, or that it comes too late. p_until: when the wait ends.
CREATE OR REPLACE FUNCTION automapost.what_follows(
    q automapost.job_queue, d automapost.post_deliveries, p_until timestamptz, INOUT template text,
    INOUT facts jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    late_at timestamptz := CASE WHEN NOT d.late_allowed AND d.state <> 'unconfirmed' THEN
        d.due_at + (SELECT e.late_limit FROM automapost.engine e) END;
BEGIN
    IF late_at <= p_until THEN
        template := template || ' That is past its late limit: it is missed {@late_at}.';
        facts := facts || jsonb_build_object('late_at', late_at);
    ELSE
        template := template || ' Attempt ' || q.attempts + 1
            || CASE WHEN d.id IS NULL THEN ' of ' || COALESCE(q.max_attempts, 1) ELSE '' END
            || ' follows then. Nothing to do.';
    END IF;
END
$$;

-- Why a pending job does not run: whatever holds it, in the order in which it would be felt.
CREATE OR REPLACE FUNCTION automapost.explain_pending(
    q automapost.job_queue, d automapost.post_deliveries,
    OUT reason text, OUT template text, OUT facts jsonb, OUT commands jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e automapost.engine;
    y automapost.job_definitions;
    s automapost.job_definitions;
    l automapost.rate_limits;
    k automapost.limit_keys;
    r automapost.job_queue;
    t timestamptz := clock_timestamp();
    doer text := automapost.service_of(q.job_type);
    account text := split_part(q.limit_key, ':', 2);
    platform text := CASE COALESCE(d.provider, split_part(q.limit_key, ':', 1))
        WHEN 'webhook' THEN 'the receiver'
        ELSE automapost.platform_name(COALESCE(d.provider, split_part(q.limit_key, ':', 1))) END;
    later boolean := q.scheduled_for > clock_timestamp();
    n bigint;
    seen timestamptz;
    beating boolean;
BEGIN
    SELECT * INTO e FROM automapost.engine;
    SELECT * INTO y FROM automapost.job_definitions x WHERE x.name = q.job_type AND x.kind = 'type';
    SELECT * INTO s FROM automapost.job_definitions x WHERE x.name = doer AND x.kind = 'service';
    SELECT * INTO k FROM automapost.limit_keys x WHERE x.key = q.limit_key;
    SELECT * INTO l FROM automapost.rate_limits x
    WHERE x.key IN (q.limit_key, split_part(q.limit_key, ':', 1)) AND x.until > t
    ORDER BY x.is_pause DESC, x.until DESC LIMIT 1;
    facts := jsonb_build_object('due_at', q.scheduled_for, 'attempts', q.attempts,
        'max_attempts', q.max_attempts, 'error', q.error_message, 'error_class', q.error_class,
        'error_code', q.error_code);
    commands := automapost.command('To stop', 'automapost', 'cancel', q.id::text);

    IF y.id IS NULL THEN
        reason := 'type-undefined';
        template := ' waits: no job type "{type}" is defined.' || CASE WHEN later
            THEN ' Attempt ' || q.attempts + 1 || ' of ' || COALESCE(q.max_attempts, 1)
                || ' follows {@due_at}, and ends in vain unless somebody defines it.'
            ELSE ' The next tick of automapost-queue tries it, in vain unless somebody defines '
                'it.' END;
        facts := facts || jsonb_build_object('type', q.job_type);
    ELSIF NOT automapost.is_runnable(y)
        OR y.handler <> 'external' AND NOT automapost.is_runnable(s) THEN
        IF automapost.is_runnable(y) THEN
            y := s;
        END IF;
        reason := CASE y.kind WHEN 'type' THEN 'type-paused' ELSE 'service-paused' END;
        template := ' waits: the ' || CASE y.kind WHEN 'type' THEN 'job type' ELSE 'service' END
            || ' {name} is ' || CASE WHEN y.paused_by IS NULL THEN 'not active.' ELSE
                'paused by {by} since {@since}'
                || CASE WHEN y.paused_until IS NULL THEN '' ELSE ', until {@until}' END
                || ': {why}.' END
            || CASE WHEN later THEN ' It is due {@due_at}.' ELSE '' END;
        facts := facts || jsonb_build_object('name', y.name, 'by', y.paused_by,
            'since', y.paused_at, 'until', y.paused_until, 'why', y.paused_reason);
        commands := automapost.command('To go on', 'automapost', 'resume', y.name) || commands;
    ELSIF l.is_pause THEN
        reason := 'platform-paused';
        template := ' waits: ' || automapost.platform_name(split_part(l.key, ':', 1))
            || CASE WHEN l.key LIKE '%:%' THEN ' account '
                '' || automapost.short_id(account) ELSE '' END
            || ' is paused by {by} since {@since}'
            || CASE WHEN isfinite(l.until) THEN ', until {@until}' ELSE '' END || ': {why}.';
        -- l.by is no name in PL/pgSQL, where BY is a keyword
        facts := facts || jsonb_build_object('by', to_jsonb(l) ->> 'by', 'since', l.created_at,
            'until', l.until, 'why', l.reason, 'key', l.key);
        commands := automapost.command('To go on', 'automapost', 'resume', 'provider:' || l.key)
            || commands;
    ELSIF d.state = 'unconfirmed' THEN
        reason := 'reconciling';
        template := ' waits: it was sent {@begun_at}, and whether it arrived is not known: '
            '{detail}. '
            || CASE WHEN later THEN 'Not before {@due_at}, when no send can be under way any more, '
               ELSE 'At the next tick ' END
            || CASE d.way
                WHEN 'read' THEN platform || ' is asked. If two looks find nothing, it is sent '
                    'anew.'
                    || CASE WHEN d.absent_at IS NULL THEN '' ELSE ' The first look, {@absent_at}, '
                        'found nothing.' END
                WHEN 'resend' THEN 'the same bytes are sent once more: ' || platform
                    || ' knows them again, so that nothing appears twice.'
                ELSE 'it is given to a person: ' || platform || ' cannot be asked.' END
            || ' Nothing to do.';
        facts := facts || jsonb_build_object('begun_at', d.begun_at, 'detail',
            COALESCE(d.detail, 'the answer was lost'), 'way', d.way, 'absent_at', d.absent_at);
        commands := '[]'; -- it cannot be cancelled
    ELSIF l.key IS NOT NULL THEN
        reason := CASE WHEN l.key LIKE '%:%' THEN 'account-limited' ELSE 'platform-limited' END;
        template := ' waits: ' || platform || ' takes no more'
            || CASE WHEN l.key LIKE '%:%' THEN ' from this account' ELSE '' END
            || ' until {@until}: {why}.';
        facts := facts || jsonb_build_object('until', l.until, 'why', l.reason, 'key', l.key);
        SELECT f.template, f.facts INTO template, facts
        FROM automapost.what_follows(q, d, GREATEST(l.until, q.scheduled_for), template, facts) f;
    ELSIF q.waits_for = 'token' AND later THEN
        SELECT * INTO r FROM automapost.job_queue x
        WHERE x.job_type = 'refresh-token' AND x.job_key = account
            AND (x.status = 'pending' OR x.status = 'running') ORDER BY x.status DESC LIMIT 1;
        reason := 'waits-for-token';
        template := ' waits for a new access token of its account. '
            || CASE WHEN r.id IS NULL THEN 'Nobody fetches one now; it looks again {@due_at}.'
                WHEN r.status = 'running' THEN 'It is being fetched; at the latest it looks again '
                    '{@due_at}.'
                ELSE 'It is fetched at {@refresh_at}' || CASE WHEN r.error_message IS NULL THEN ''
                    ELSE ' (the last try failed: {refresh_error})' END
                    || '; at the latest it looks again {@due_at}.' END || ' Nothing to do.';
        facts := facts || jsonb_build_object('refresh_job', r.id, 'refresh_at',
            GREATEST(r.scheduled_for, t), 'refresh_error', r.error_message);
        IF r.id IS NOT NULL THEN
            commands := automapost.command('The '
                'fetching', 'automapost', 'why', r.id::text) || commands;
        END IF;
    ELSIF later AND q.error_class = 'config' THEN
        reason := 'operator-action';
        template := ' waits for an operator: {error}. It tries again {@due_at}, which uses no '
            'attempt.';
        commands := automapost.command('When that is '
            'mended', 'automapost', 'wake', q.id::text) || commands;
    ELSIF later AND q.error_message IS NOT NULL THEN
        reason := 'retry';
        template := ' waits until {@due_at}: the last try failed: {error}.';
        SELECT f.template, f.facts INTO template, facts
        FROM automapost.what_follows(q, d, q.scheduled_for, template, facts) f;
        commands := automapost.command('To try at '
            'once', 'automapost', 'wake', q.id::text) || commands;
    ELSIF later THEN
        reason := 'future';
        template := ' is due {@due_at}. Nothing to do.';
    ELSE
        SELECT * INTO r FROM automapost.job_queue x
        WHERE x.job_type = q.job_type AND x.job_key = q.job_key AND x.status = 'running';
        IF r.id IS NOT NULL THEN
            reason := 'key-running';
            template := ' waits: job {other} has the same key and runs since {@other_since}. It '
                'follows then. Nothing to do.';
            facts := facts || jsonb_build_object('other', automapost.short_id(r.id::text),
                'other_id', r.id, 'other_since', r.locked_at, 'key', q.job_key);
            commands := automapost.command('The other '
                'job', 'automapost', 'why', r.id::text) || commands;
            RETURN;
        END IF;
        SELECT count(*) INTO n FROM automapost.running_jobs x WHERE x.job_type = q.job_type;
        IF n >= y.concurrency_limit THEN
            reason := 'concurrency-limit';
            template := ' waits: ' || n || ' of at most ' || y.concurrency_limit
                || ' jobs of type {type} run. It follows then. Nothing to do.';
            facts := facts || jsonb_build_object('type', q.job_type, 'running', n,
                                                 'limit', y.concurrency_limit);
            RETURN;
        END IF;
        SELECT count(*) INTO n FROM automapost.running_jobs x WHERE x.limit_key = q.limit_key;
        IF n >= (CASE WHEN q.due_at < t - e.pace_after THEN 1 ELSE y.key_limit END) THEN
            reason := 'account-busy';
            template := ' waits: ' || automapost.counted(n, 'post')
                || ' of this account ' || CASE n WHEN 1 THEN 'is' ELSE 'are' END
                || ' being sent, and more are not at once. It follows then. Nothing to do.';
            facts := facts || jsonb_build_object('running', n);
            RETURN;
        END IF;
        IF q.due_at < t - e.pace_after AND k.last_begun > t - e.pace THEN
            SELECT count(*) INTO n FROM automapost.job_queue x
            WHERE x.limit_key = q.limit_key AND x.status = 'pending' AND x.scheduled_for <= t
                AND (x.priority, q.scheduled_for, q.created_at)
                    > (q.priority, x.scheduled_for, x.created_at);
            reason := 'pacing';
            template := ' waits: its account is behind, and what is late goes out at least '
                || automapost.span(e.pace) || ' apart. The last one began {@last_begun}; '
                || CASE n WHEN 0 THEN 'this one is next, {@until}.'
                   ELSE automapost.counted(n, 'post') || ' of the account ' || CASE n WHEN 1
                       THEN 'is' ELSE 'are' END || ' before it.' END || ' Nothing to do.';
            facts := facts || jsonb_build_object('last_begun', k.last_begun, 'before', n,
                                                 'until', k.last_begun + e.pace);
            RETURN;
        END IF;
        IF y.handler = 'external' THEN
            reason := 'handler-external';
            template := ' is due since {@due_at} and waits for the application: the type {type} '
                'is done by its own workers, and none has taken it.';
            facts := facts || jsonb_build_object('type', q.job_type);
            RETURN;
        ELSIF NOT automapost.is_done_here(q.job_type, y.handler) THEN
            reason := 'type-unknown';
            template := ' is due since {@due_at}, and no service knows the type {type}: it waits '
                'for a version that does.';
            facts := facts || jsonb_build_object('type', q.job_type);
            RETURN;
        END IF;
        SELECT max(w.last_beat), bool_or(w.ended_at IS NULL AND w.last_beat > t - e.lapse)
        INTO seen, beating FROM automapost.workers w WHERE w.service = doer;
        facts := facts || jsonb_build_object('seen_at', seen, 'service', doer);
        IF beating THEN
            reason := 'next';
            template := ' is due since {@due_at}, and automapost-{service} is at work: it follows '
                'when a place is free. Nothing to do.';
        ELSIF q.scheduled_for > t - e.pace_after THEN
            reason := 'due';
            template := ' is due since {@due_at}: the next tick of automapost-{service} takes it, '
                'within a minute. Nothing to do.';
        ELSE
            reason := 'no-worker';
            template := ' is due since {@due_at}, and no worker has looked: automapost-{service} '
                'does not run, or it fails.'
                || CASE WHEN seen IS NULL THEN '' ELSE ' Its last sign of life was {@seen_at}.' END;
            commands := automapost.start_command('To run it', doer) || commands;
        END IF;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION automapost.explain_running(
    q automapost.job_queue, d automapost.post_deliveries,
    OUT reason text, OUT template text, OUT facts jsonb, OUT commands jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e automapost.engine;
    w automapost.workers;
    lapsed boolean;
BEGIN
    SELECT * INTO e FROM automapost.engine;
    SELECT * INTO w FROM automapost.workers x WHERE x.id = q.locked_by;
    lapsed := w.last_beat < clock_timestamp() - e.lapse;
    reason := CASE WHEN lapsed THEN 'worker-lapsed' WHEN q.begun THEN 'sending' ELSE 'running' END;
    facts := jsonb_build_object('since', q.locked_at, 'begun', q.begun, 'attempts', q.attempts,
        'host', w.host, 'pid', w.pid, 'service', w.service, 'worker', q.locked_by,
        'beat_at', w.last_beat, 'begun_at', COALESCE(d.begun_at, q.updated_at), 'cancel_by', q.cancel_requested_by,
        'cancel_at', q.cancel_requested_at);
    template := ' runs since {@since} on {host} ('
        || CASE w.service WHEN 'external' THEN 'worker {worker}' ELSE 'automapost-{service}, pid '
            '{pid}' END
        || '). '
        || CASE WHEN q.begun AND q.cancel_requested_at IS NULL THEN 'It is being sent since '
            '{@begun_at}. '
            WHEN q.begun THEN 'It is being sent since {@begun_at}, which nobody aborts: '
                '{cancel_by} wanted it cancelled {@cancel_at}. '
            WHEN q.cancel_requested_at IS NOT NULL THEN 'Nothing is sent yet, and it ends before '
                'that: {cancel_by} cancelled it {@cancel_at}. '
            WHEN d.id IS NOT NULL THEN 'Nothing is sent yet. ' ELSE '' END
        || 'Its worker''s last sign of life was {@beat_at}.'
        || CASE WHEN lapsed THEN ' That is too long ago: the next tick of any service takes the '
            'job back, '
            || CASE WHEN q.begun THEN 'and it is looked up whether it arrived.' ELSE 'and it is '
                'done anew.' END
            ELSE '' END;
    commands := CASE WHEN lapsed THEN automapost.start_command('To take it back now', 'cleanup')
            ELSE '[]' END
        || CASE WHEN q.begun OR q.cancel_requested_at IS NOT NULL THEN '[]'
            ELSE automapost.command('To stop', 'automapost', 'cancel', q.id::text) END;
END
$$;

-- What has ended: by the delivery where there is one (it outlives its job), else by the job.
CREATE OR REPLACE FUNCTION automapost.explain_end(
    q automapost.job_queue, d automapost.post_deliveries,
    OUT reason text, OUT template text, OUT facts jsonb, OUT commands jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    state text := COALESCE(d.state, q.status);
    late boolean := d.due_at + (SELECT e.late_limit FROM automapost.engine e) <= clock_timestamp();
    retry jsonb := '[]';
BEGIN
    -- A job that was refused because of its delivery's state says so itself.
    IF q.status = 'cancelled'
        AND d.state IN ('sent', 'sending', 'unconfirmed', 'held', 'pending') THEN
        state := 'cancelled';
    END IF;
    facts := jsonb_build_object('finished_at', COALESCE(d.finished_at, q.finished_at),
        'attempts', q.attempts, 'error', COALESCE(d.detail, q.error_message),
        'code', COALESCE(d.code, q.error_code), 'due_at', COALESCE(d.due_at, q.scheduled_for),
        'url', d.url, 'sent_at', d.sent_at, 'begun_at', d.begun_at, 'by', d.cancelled_by,
        'result', q.result);
    IF q.id IS NOT NULL THEN
        retry := CASE WHEN late THEN automapost.command('To send it however late',
                                                        'automapost', 'retry', '--late', q.id::text)
            ELSE automapost.command('To try again', 'automapost', 'retry', q.id::text) END;
    END IF;
    commands := '[]';
    reason := state;

    CASE state
    WHEN 'sent' THEN
        template := ' is published since {@sent_at}'
            || CASE WHEN d.url IS NULL THEN ' (the platform gave no link)' ELSE ': {url}' END
            || CASE WHEN d.detail LIKE 'confirmed by %' THEN ' ({error})' ELSE '' END || '.';
    WHEN 'completed' THEN
        template := ' is done since {@finished_at}'
            || CASE WHEN q.job_type = 'social-media-post' THEN ': it made '
                || automapost.counted(COALESCE((q.result ->> 'jobs')::bigint, 0), 'job')
                || ', one for each account' ELSE '' END || '.';
    WHEN 'held' THEN
        facts := facts || jsonb_build_object('account', d.auth_provider_id);
        template := CASE WHEN d.in_doubt THEN ' waits for a person: {error}. '
                ELSE ' was sent {@begun_at}, and whether it arrived is not known: {error}. ' END
            || 'Somebody must look at the ' || automapost.platform_name(d.provider)
            || ' account and say what is there.';
        commands := automapost.command('If it is '
            'there', 'automapost', 'resolve', d.id::text, 'sent')
            || automapost.command('If it is not', 'automapost', 'resolve', d.id::text, 'not-sent');
    WHEN 'missed' THEN
        template := ' was missed: it was due {@due_at} and could not be sent in time: {error}. '
            || automapost.advice('missed-late');
        commands := retry;
    WHEN 'failed', 'timeout' THEN
        template := CASE state WHEN 'timeout' THEN ' took too long' ELSE ' failed for good' END
            || ' {@finished_at}' || CASE WHEN q.attempts > 0
                THEN ' after ' || automapost.counted(q.attempts, 'attempt') ELSE '' END
            || CASE WHEN COALESCE(d.detail, q.error_message) IS NULL THEN '' ELSE ': {error}' END
            || '. ' || automapost.advice(COALESCE(d.code, q.error_code));
        commands := retry;
    ELSE -- cancelled
        IF d.state = 'cancelled' AND d.cancelled_by IS NOT NULL THEN
            template := ' was cancelled by {by} {@finished_at}. '
                'Only an edit or a new time takes it up again.';
            commands := retry;
        ELSIF d.state = 'cancelled' THEN
            template := ' was cancelled {@finished_at}: {error}. It is taken up again'
                || CASE q.error_code WHEN 'post-deleted' THEN ' if the post comes back and is due.'
                    WHEN 'not-chosen' THEN ' if the member chooses the account again.'
                    WHEN 'no-comment' THEN ' never: comments follow their post.'
                    ELSE ' when the post is scheduled and due.' END;
        ELSE
            facts := facts || jsonb_build_object('error', q.error_message,
                                                 'finished_at', q.finished_at);
            template := ' was cancelled {@finished_at}: {error}.';
            commands := CASE WHEN q.error_code = 'cancelled' AND d.id IS NULL THEN retry
                        ELSE '[]' END;
        END IF;
    END CASE;
END
$$;

-- A post of which there is no delivery yet.
CREATE OR REPLACE FUNCTION automapost.explain_post(
    p_post_id text, OUT there boolean, OUT reason text, OUT template text, OUT facts jsonb,
    OUT commands jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e automapost.engine;
    i automapost.installation;
    s automapost.job_definitions;
    p record;
    t timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO p FROM automapost.app_posts_by_id(ARRAY[p_post_id]);
    there := p.post_id IS NOT NULL;
    IF NOT there THEN
        RETURN;
    END IF;
    SELECT * INTO e FROM automapost.engine;
    SELECT * INTO i FROM automapost.installation;
    SELECT * INTO s FROM automapost.job_definitions x
    WHERE x.name = 'social-media' AND x.kind = 'service';
    facts := jsonb_build_object('status', p.status, 'due_at', p.due_at, 'deleted_at', p.deleted_at,
        'publish_from', i.publish_from, 'by', s.paused_by, 'since', s.paused_at,
        'until', s.paused_until, 'why', s.paused_reason, 'late_at', p.due_at + e.late_limit,
        'seen_at', (SELECT max(w.last_beat) FROM automapost.workers w
                    WHERE w.service = 'social-media'));
    commands := '[]';
    IF p.deleted_at IS NOT NULL THEN
        reason := 'deleted';
        template := ' was deleted {@deleted_at}: nothing is published of it.';
    ELSIF p.status = 'SENT' THEN
        reason := 'sent-elsewhere';
        template := ' is SENT already, and nothing is known of how: it was published before, or '
            'that is forgotten.';
    ELSIF p.status <> 'SCHEDULED' THEN
        reason := 'not-scheduled';
        template := ' is {status}, not SCHEDULED: nothing is published of it until it is.';
    ELSIF p.due_at IS NULL THEN
        reason := 'no-time';
        template := ' is SCHEDULED without a time: nothing is published of it until it has one.';
    ELSIF p.due_at > t THEN
        reason := 'future';
        template := ' is due {@due_at}. Nothing to do.';
    ELSIF p.due_at <= i.publish_from THEN
        reason := 'before-publishing';
        template := ' was due {@due_at}, before publishing began here ({@publish_from}): it is '
            'not published. Give it a new time.';
    ELSIF p.due_at <= t - e.late_limit THEN
        reason := 'late';
        template := ' was due {@due_at} and is past its late limit: the next run of '
            'automapost-cleanup says that it is missed.';
    ELSIF NOT automapost.is_runnable(s) THEN
        reason := 'service-paused';
        template := ' is due since {@due_at} and waits: the service social-media is '
            || CASE WHEN s.paused_by IS NULL THEN 'not active.' ELSE 'paused by {by} since {@since}'
                || CASE WHEN s.paused_until IS NULL THEN '' ELSE ', until {@until}' END
                || ': {why}.' END || ' Past {@late_at} it is missed.';
        commands := automapost.command('To go on', 'automapost', 'resume', 'social-media');
    ELSIF p.due_at > t - e.pace_after THEN
        reason := 'due';
        template := ' is due since {@due_at}: the next tick of automapost-social-media takes it, '
            'within a minute. Nothing to do.';
    ELSE
        reason := 'no-worker';
        template := ' is due since {@due_at}, and nobody has looked: automapost-social-media does '
            'not run, or it fails. Past {@late_at} it is missed.';
        commands := automapost.start_command('To run it', 'social-media');
    END IF;
END
$$;

-- Explains one job or one delivery (either may be null).
CREATE OR REPLACE FUNCTION automapost.explain(p_job uuid, p_delivery uuid)
RETURNS TABLE (job_id text, delivery_id text, post_id text, state text, reason text, sentence text,
               template text, facts jsonb, commands jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    q automapost.job_queue;
    d automapost.post_deliveries;
    x record;
BEGIN
    SELECT * INTO q FROM automapost.job_queue j WHERE j.id = p_job;
    IF p_delivery IS NOT NULL THEN
        SELECT * INTO d FROM automapost.post_deliveries p WHERE p.id = p_delivery;
    ELSIF q.payload ->> 'authProviderId' IS NOT NULL AND q.job_type = 'social-media-post' THEN
        SELECT * INTO d FROM automapost.post_deliveries p
        WHERE p.post_id = q.payload ->> 'postId'
            AND p.auth_provider_id = q.payload ->> 'authProviderId'
            AND p.kind = COALESCE(q.payload ->> 'kind', 'post');
    END IF;

    IF q.status = 'pending' THEN
        SELECT * INTO x FROM automapost.explain_pending(q, d);
    ELSIF q.status = 'running' THEN
        SELECT * INTO x FROM automapost.explain_running(q, d);
    ELSIF d.state IN ('pending', 'sending', 'unconfirmed') AND q.id IS NULL THEN
        SELECT 'not-queued' AS reason, jsonb_build_object('due_at', d.due_at) AS facts,
            ' is due since {@due_at} and has no job: the next tick of automapost-social-media '
                'gives it one. Nothing to do.' AS template,
            '[]'::jsonb AS commands INTO x;
    ELSE
        SELECT * INTO x FROM automapost.explain_end(q, d);
    END IF;
    job_id := q.id;
    delivery_id := d.id;
    post_id := COALESCE(d.post_id, q.payload ->> 'postId');
    state := CASE WHEN q.status IN ('pending', 'running') THEN q.status
        WHEN x.reason = 'cancelled' THEN 'cancelled' ELSE COALESCE(d.state, q.status) END;
    reason := x.reason;
    template := '{subject}' || x.template;
    facts := jsonb_build_object('subject', automapost.subject(q, d)) || jsonb_strip_nulls(x.facts);
    sentence := automapost.fill(template, facts);
    commands := x.commands;
    RETURN NEXT;
END
$$;

-- Why a job, a delivery, or each delivery of a post is in its state: id is any of theirs, or the
-- first 4 digits and more of one. One row each; state is the job's while it lives, then the
-- delivery's; reason is one word for programs; sentence, template, facts and commands are as said
-- at the head of this file. P0002 where nothing has the id, 22023 where several have.
CREATE OR REPLACE FUNCTION automapost.why(id text)
RETURNS TABLE (job_id text, delivery_id text, post_id text, state text, reason text, sentence text,
               template text, facts jsonb, commands jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
#variable_conflict use_column
DECLARE
    typed text := lower(replace(why.id, '-', ''));
    low uuid;
    high uuid;
    jobs uuid[];
    deliveries uuid[];
    posts text[];
    post text := why.id;
    p record;
BEGIN
    IF COALESCE(btrim(why.id), '') = '' THEN
        RAISE EXCEPTION 'id is missing: a job''s, a delivery''s or a '
            'post''s' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO p FROM automapost.explain_post(why.id);
    IF NOT p.there
        AND NOT EXISTS (SELECT FROM automapost.post_deliveries d WHERE d.post_id = why.id) THEN
        post := NULL;
        IF typed ~ '^[0-9a-f]{4,32}$' THEN
            low := rpad(typed, 32, '0')::uuid;
            high := rpad(typed, 32, 'f')::uuid;
            jobs := ARRAY(SELECT q.id FROM automapost.job_queue q
                          WHERE q.id BETWEEN low AND high LIMIT 2);
            deliveries := ARRAY(SELECT d.id FROM automapost.post_deliveries d
                                WHERE d.id BETWEEN low AND high LIMIT 2);
        END IF;
        IF length(why.id) >= 4 AND COALESCE(cardinality(jobs || deliveries), 0) = 0 THEN
            posts := ARRAY(SELECT DISTINCT d.post_id FROM automapost.post_deliveries d
                           WHERE starts_with(d.post_id, why.id) LIMIT 2);
        END IF;
        IF COALESCE(cardinality(jobs), 0) + COALESCE(cardinality(deliveries), 0)
            + COALESCE(cardinality(posts), 0) > 1 THEN
            RAISE EXCEPTION 'several jobs, deliveries or posts begin with %: type more of the id',
                why.id USING ERRCODE = '22023';
        ELSIF cardinality(jobs) = 1 THEN
            RETURN QUERY SELECT * FROM automapost.explain(jobs[1], NULL);
            RETURN;
        ELSIF cardinality(deliveries) = 1 THEN
            RETURN QUERY SELECT x.* FROM automapost.post_deliveries d,
                automapost.explain(d.job_id, d.id) x WHERE d.id = deliveries[1];
            RETURN;
        END IF;
        post := posts[1];
        IF post IS NULL THEN
            RAISE EXCEPTION 'no job, delivery or post has the id %', why.id USING ERRCODE = 'P0002',
                HINT = 'Jobs are forgotten some days after their end. Of a post the whole id is '
                    'needed until it was due.';
        END IF;
    END IF;

    IF EXISTS (SELECT FROM automapost.post_deliveries d WHERE d.post_id = post) THEN
        RETURN QUERY SELECT x.*
            FROM automapost.post_deliveries d, automapost.explain(d.job_id, d.id) x
            WHERE d.post_id = post ORDER BY d.provider, d.auth_provider_id, d.kind DESC;
    ELSE
        facts := jsonb_build_object('subject', 'Post ' || automapost.short_id(post))
            || jsonb_strip_nulls(p.facts);
        RETURN QUERY SELECT NULL::text, NULL::text, post, lower(p.facts ->> 'status'), p.reason,
            automapost.fill('{subject}' || p.template, facts), '{subject}' || p.template, facts,
            p.commands;
    END IF;
END
$$;
