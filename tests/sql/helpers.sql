-- SPDX-License-Identifier: MIT
-- What the tests of this folder and of tests/isolation say often: members, accounts and posts with
-- small numbers for ids, and a worker's steps. In the schema t of the template database. t.claims
-- is what a worker keeps in memory: the answers to its claims and begins.

CREATE SCHEMA t;
GRANT USAGE ON SCHEMA t TO PUBLIC;

-- Posts of the tests are due in the past.
UPDATE automapost.installation
SET publish_from = now() - interval '60 days', missed_until = now() - interval '60 days';

-- A type that touches only our database, one without a limit; and one job of each may be had.
INSERT INTO automapost.job_definitions
    (name, kind, description, max_retries, timeout_ms, concurrency_limit, handler)
VALUES ('plain', 'type', 'for tests', 2, 60000, NULL, 'builtin');

CREATE FUNCTION automapost.load_plain(p_jobs uuid[])
RETURNS TABLE (id uuid, mode text, input jsonb)
LANGUAGE sql STABLE AS $$
    SELECT q.id, 'run', q.payload FROM automapost.job_queue q WHERE q.id = ANY (p_jobs)
$$;
ALTER FUNCTION automapost.load_plain(uuid[]) OWNER TO automapost_jobs_owner;
REVOKE EXECUTE ON FUNCTION automapost.load_plain(uuid[]) FROM PUBLIC;

CREATE FUNCTION t.id(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '00000000-0000-4000-8000-' || lpad(n::text, 12, '0')
$$;

CREATE FUNCTION t.member(n bigint) RETURNS text LANGUAGE sql AS $$
    INSERT INTO public.users (id, email, "emailVerified")
    VALUES (t.id(n)::uuid, 'member-' || n || '@example.test', true)
    RETURNING id::text
$$;

CREATE FUNCTION t.account(n bigint, member bigint, provider text, access text DEFAULT 'access-1',
                          refresh text DEFAULT NULL, expires timestamptz DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    INSERT INTO public.auth_providers
        (id, "userId", provider, "providerAccountId", "accessToken", "refreshToken", "expiresAt")
    VALUES (t.id(n)::uuid, t.id(member)::uuid, provider, 'remote-' || n, access, refresh, expires)
    RETURNING id::text
$$;

CREATE FUNCTION t.post(n bigint, member bigint, accounts bigint[] DEFAULT '{}',
                       due timestamptz DEFAULT now() - interval '1 min',
                       providers text[] DEFAULT '{}', comment text DEFAULT NULL,
                       status text DEFAULT 'SCHEDULED')
RETURNS text LANGUAGE sql AS $$
    INSERT INTO public.posts (id, "userId", content, "firstComment", "scheduledTo", status,
        providers,
                              "authProviderIds")
    VALUES (t.id(n)::uuid, t.id(member)::uuid, 'text of ' || n, comment, due, status::"PostStatus",
            providers, ARRAY(SELECT t.id(a) FROM unnest(accounts) a))
    RETURNING id::text
$$;

CREATE FUNCTION t.collect() RETURNS bigint LANGUAGE sql AS $$
    SELECT jobs FROM automapost.collect_social_media_post(NULL, 100)
$$;

-- Member n, account n of a provider, post n due so long ago, collected. The job's id.
CREATE FUNCTION t.publishing(n bigint, provider text DEFAULT 'webhook',
                             late interval DEFAULT '1 min', comment text DEFAULT NULL,
                             refresh text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.member(n);
    PERFORM t.account(n, n, provider, refresh => refresh);
    PERFORM t.post(n, n, ARRAY[n], now() - late, comment => comment);
    PERFORM t.collect();
    RETURN t.job_of(n);
END
$$;

CREATE FUNCTION t.delivery(post bigint, kind text DEFAULT 'post', account bigint DEFAULT NULL)
RETURNS automapost.post_deliveries LANGUAGE sql AS $$
    SELECT d FROM automapost.post_deliveries d
    WHERE d.post_id = t.id(post) AND d.auth_provider_id = t.id(COALESCE(account, post))
        AND d.kind = delivery.kind
$$;

CREATE FUNCTION t.job_of(post bigint, kind text DEFAULT 'post', account bigint DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT (t.delivery(post, kind, account)).job_id::text
$$;

CREATE FUNCTION t.job(id text) RETURNS automapost.job_queue LANGUAGE sql AS $$
    SELECT q FROM automapost.job_queue q WHERE q.id = job.id::uuid
$$;

CREATE FUNCTION t.worker(id text) RETURNS text LANGUAGE sql AS $$
    SELECT automapost.register_worker(id, 'test', 'host', 'boot', 1, '0.1.0', clock_timestamp())
$$;

-- A worker that says on which machine it runs.
CREATE FUNCTION t.worker_of(id text, machine text, boot text DEFAULT 'boot') RETURNS text
LANGUAGE sql AS $$
    SELECT automapost.enter_worker(id, 'test', 'name of ' || machine, boot, 1, '0.1.0',
                                   clock_timestamp(), machine)
$$;

-- What a host is told when it comes, in one line.
CREATE FUNCTION t.meet(machine text, begins bigint DEFAULT 0, sent interval DEFAULT '0',
                       boot text DEFAULT 'boot') RETURNS text LANGUAGE sql AS $$
    SELECT m.verdict || CASE WHEN m.held > 0 THEN ', held ' || m.held ELSE '' END
    FROM automapost.meet_host(machine, 'name of ' || machine, boot, begins,
        CASE WHEN begins > 0 THEN clock_timestamp() - sent END) m
$$;

-- As after a failover: the timeline on which the hosts agreed was another.
CREATE FUNCTION t.failover() RETURNS void LANGUAGE sql AS $$
    UPDATE automapost.installation SET timeline = '000000AA'
$$;

CREATE TABLE t.claims (
    id text PRIMARY KEY,
    worker text,
    lease bigint,
    execution_id uuid,
    attempt bigint,
    mode text,
    input jsonb,
    begin_number bigint
);

-- Claims; the ids of what was given, in the order of their leases.
CREATE FUNCTION t.claim(worker text DEFAULT 'w1', types text[] DEFAULT NULL, n bigint DEFAULT 10,
                        batch text DEFAULT gen_random_uuid()::text)
RETURNS text[] LANGUAGE sql AS $$
    WITH given AS (
        INSERT INTO t.claims (id, worker, lease, execution_id, attempt, mode, input)
        SELECT c.id, claim.worker, c.lease, c.execution_id::uuid, c.attempt, c.mode, c.input
        FROM automapost.claim_jobs(claim.worker, batch,
            COALESCE(types, ARRAY['social-media-post', 'refresh-token', 'plain']), n) c
        ON CONFLICT (id) DO UPDATE
            SET worker = excluded.worker, lease = excluded.lease, mode = excluded.mode,
                execution_id = excluded.execution_id, attempt = excluded.attempt,
                input = excluded.input, begin_number = NULL
        RETURNING id, lease)
    SELECT COALESCE(array_agg(g.id ORDER BY g.lease), '{}') FROM given g
$$;

-- Begins a claimed job with what its load gave, by a worker that beats, however slow the machine: its
-- last beat is so old. The verdict.
CREATE FUNCTION t.begin(job text, batch text DEFAULT gen_random_uuid()::text,
                        way text DEFAULT 'read', body text DEFAULT 'the body',
                        beat_age interval DEFAULT '0')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c t.claims;
    b record;
BEGIN
    SELECT * INTO c FROM t.claims x WHERE x.id = job;
    PERFORM t.change(format('UPDATE automapost.workers SET last_beat = clock_timestamp() - interval %L
        WHERE id = %L AND ended_at IS NULL', beat_age, c.worker));
    SELECT * INTO b FROM automapost.begin_jobs(c.worker, batch, jsonb_build_array(
        jsonb_build_object('id', c.id, 'lease', c.lease,
            'version', c.input #>> '{post,version}', 'handle', 'handle-' || c.lease, 'way', way,
            'request', jsonb_build_object('target', 'the target', 'body', body)))) x
    WHERE x.id IS NOT NULL;
    UPDATE t.claims x SET begin_number = b.begin_number WHERE x.id = job;
    RETURN b.verdict;
END
$$;

-- Settles a claimed job; what: further members of the item. The verdict and the job's status now.
CREATE FUNCTION t.settle(job text, outcome text, what jsonb DEFAULT '{}')
RETURNS text LANGUAGE sql AS $$
    SELECT s.verdict || ' ' || COALESCE(s.status, 'gone')
    FROM t.claims c, LATERAL automapost.settle_jobs(c.worker, jsonb_build_array(
        jsonb_build_object('id', c.id, 'lease', c.lease, 'execution_id', c.execution_id,
            'started_at', clock_timestamp(), 'duration_ms', 12, 'outcome', outcome,
            'token_version', c.input #>> '{account,tokenVersion}',
            'delivery_id', c.input #>> '{delivery,id}', 'begin_number', c.begin_number) || what)) s
    WHERE c.id = job AND s.verdict <> 'apply'
$$;

CREATE FUNCTION t.receipt(remote text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('receipt', jsonb_build_object('remoteId', remote,
        'url', 'https://example.test/' || remote, 'extra', jsonb_build_object('cid', remote)))
$$;

-- As if so long had passed, except for when members want their posts.
-- As the owner: the table refuses everybody else.
CREATE FUNCTION t.pass(elapsed interval) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE automapost.job_queue SET scheduled_for = scheduled_for - elapsed,
        locked_at = locked_at - elapsed,
        first_limited_at = first_limited_at - elapsed, finished_at = finished_at - elapsed,
        created_at = created_at - elapsed;
    UPDATE automapost.post_deliveries SET begun_at = begun_at - elapsed,
        first_sent_at = first_sent_at - elapsed, absent_at = absent_at - elapsed,
        retry_at = retry_at - elapsed, finished_at = finished_at - elapsed;
    UPDATE automapost.rate_limits SET until = until - elapsed, created_at = created_at - elapsed;
    UPDATE automapost.limit_keys SET last_begun = last_begun - elapsed;
$$;

-- Whether a time is so far from now, to a few seconds: what a slow machine may take.
CREATE FUNCTION t.is_in(at timestamptz, distance interval) RETURNS boolean LANGUAGE sql AS $$
    SELECT COALESCE(at BETWEEN clock_timestamp() + distance - interval '5 s'
                    AND clock_timestamp() + distance + interval '5 s', false)
$$;

-- "ok", or the SQLSTATE and the message of the refusal, of a statement run as another role.
CREATE FUNCTION t.attempt(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := 'ok';
BEGIN
    PERFORM set_config('role', role, true);
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        answer := SQLSTATE || ': ' || SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    RETURN answer;
END
$$;

-- A refusal: the SQLSTATE, and that the message or its hint says what a caller needs to know.
CREATE FUNCTION t.refuses(statement text, code text, says text, description text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    got text;
    said text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN tap.fail(description) || E'\n' || tap.diag('was not refused: ' || statement);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS got = RETURNED_SQLSTATE, said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN tap.is(got || CASE WHEN strpos(said || E'\n' || hint, says) > 0 THEN ', says: ' || says
                         ELSE ', but says: ' || said || E'\n' || hint END,
                  code || ', says: ' || says, description);
END
$$;

-- One statement as the owner of our tables, who alone may change job_queue.
CREATE FUNCTION t.change(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE statement;
END
$$;

-- Nothing that is pending now is due for an hour: the next claim gives what comes after this.
CREATE FUNCTION t.later() RETURNS void LANGUAGE sql AS $$
    SELECT t.change('UPDATE automapost.job_queue SET scheduled_for = now() + interval ''1 h''
                     WHERE status = ''pending''')
$$;

-- As collect calls it: as the owner, whose inserts the queue's trigger leaves alone.
CREATE FUNCTION t.ensure(posts text[]) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    SELECT automapost.ensure_deliveries(posts)
$$;

ALTER FUNCTION t.ensure(text[]) OWNER TO automapost_jobs_owner;
ALTER FUNCTION t.pass(interval) OWNER TO automapost_jobs_owner;
ALTER FUNCTION t.change(text) OWNER TO automapost_jobs_owner;

-- "job status, attempts used, delivery state, its code (or the job's)" of a post's delivery.
CREATE FUNCTION t.state(post bigint, kind text DEFAULT 'post') RETURNS text LANGUAGE sql AS $$
    SELECT format('%s %s %s %s', q.status, q.attempts, d.state, COALESCE(d.code, q.error_code, '-'))
    FROM automapost.post_deliveries d LEFT JOIN automapost.job_queue q ON q.id = d.job_id
    WHERE d.post_id = t.id(post) AND d.kind = state.kind
$$;

-- Post n of t.publishing, claimed and begun, its first send with an end that nobody saw.
CREATE FUNCTION t.unconfirmed(n bigint, way text DEFAULT 'read', comment text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job text := t.publishing(n, comment => comment);
BEGIN
    PERFORM t.claim('w1', '{social-media-post}');
    PERFORM t.begin(job, way => way);
    PERFORM t.settle(job, 'unknown', '{"class": "unknown-outcome", "message": "no answer"}');
    RETURN job;
END
$$;

-- For specs, which set up anew for each order of steps: nothing is left but definitions and
-- numbers.
CREATE FUNCTION t.reset() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.change('TRUNCATE automapost.job_queue, automapost.job_executions, automapost.job_logs,
        automapost.workers, automapost.hosts, automapost.post_deliveries, automapost.limit_keys,
        automapost.rate_limits, automapost.account_state');
    TRUNCATE users, auth_providers, posts, sessions, sisu_activities, blog_posts,
        blog_post_translations,
        post_chat_messages, t.claims;
    ALTER SEQUENCE automapost.leases RESTART;
    UPDATE automapost.installation SET table_oid = NULL, compare_since = NULL,
        compare_reason = NULL, compare_from = NULL;
END
$$;

-- Claims, and says in words what was given.
CREATE FUNCTION t.claimed(worker text, n bigint DEFAULT 10) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    ids text[] := t.claim(worker, n => n);
BEGIN
    RETURN (
        SELECT COALESCE(string_agg(COALESCE('post ' || right(q.payload ->> 'postId', 2), q.job_type)
            || ' ' || c.mode || COALESCE(' "' || (c.input #>> '{post,text}') || '"', ''), ', '
            ORDER BY q.payload ->> 'postId'), 'nothing')
        FROM t.claims c JOIN automapost.job_queue q ON q.id::text = c.id WHERE c.id = ANY (ids));
END
$$;

-- The settle item of a claim kept from before, with an outcome: isolationtester's files cannot
-- hold a brace.
CREATE FUNCTION t.item(c t.claims, outcome text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_array(jsonb_build_object('id', c.id, 'lease', c.lease,
        'execution_id', c.execution_id, 'outcome', outcome, 'code', CASE outcome
            WHEN 'failed' THEN 'rejected' END,
        'delivery_id', c.input #>> '{delivery,id}', 'begin_number', c.begin_number)
        || CASE outcome WHEN 'done' THEN t.receipt('r') ELSE '{}' END)
$$;
