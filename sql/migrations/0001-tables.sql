-- The plan's four tables, and what publishing needs beside them.

-- What every host must agree on, in one row. The checks are the reasons why the numbers fit: a
-- worker fences itself before it lapses, and nobody reconciles while a send may be under way.
CREATE TABLE automapost.engine (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    beat interval NOT NULL DEFAULT '3 s',
    self_fence interval NOT NULL DEFAULT '8 s',
    lapse interval NOT NULL DEFAULT '15 s',
    statement_limit interval NOT NULL DEFAULT '4 s',
    send_deadline interval NOT NULL DEFAULT '30 s',
    reconcile_margin interval NOT NULL DEFAULT '15 s',
    reread_after interval NOT NULL DEFAULT '60 s',
    reconcile_limit interval NOT NULL DEFAULT '24 h',
    retry_base interval NOT NULL DEFAULT '15 s',
    retry_cap interval NOT NULL DEFAULT '30 min',
    rate_limited_max interval NOT NULL DEFAULT '7 days',
    token_wait interval NOT NULL DEFAULT '10 min',
    token_ahead interval NOT NULL DEFAULT '10 min',
    locked_wait interval NOT NULL DEFAULT '1 s',
    late_limit interval NOT NULL DEFAULT '2 h',
    pace interval NOT NULL DEFAULT '60 s',
    pace_after interval NOT NULL DEFAULT '2 min',
    collect_every interval NOT NULL DEFAULT '10 s',
    long_run interval NOT NULL DEFAULT '2 s',
    keep_completed interval NOT NULL DEFAULT '7 days',
    keep_failed interval NOT NULL DEFAULT '30 days',
    CHECK (beat > '0' AND 2 * beat < self_fence),
    CHECK (self_fence + statement_limit < lapse),
    CHECK (reconcile_margin >= lapse),
    CHECK (reread_after > '0' AND retry_base > '0' AND retry_cap >= retry_base),
    CHECK (late_limit > pace_after AND pace > '0'),
    CHECK (rate_limited_max <= '7 days')
);
INSERT INTO automapost.engine DEFAULT VALUES;

-- When this schema began to publish: what was due before is the business of whoever published then.
CREATE TABLE automapost.installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    publish_from timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    missed_until timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
INSERT INTO automapost.installation DEFAULT VALUES;

CREATE TABLE automapost.job_definitions (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    name varchar(255) UNIQUE NOT NULL,
    kind text NOT NULL DEFAULT 'type' CHECK (kind IN ('type', 'service')),
    description text,
    cron_schedule varchar(100),          -- null: on demand
    timezone text NOT NULL DEFAULT 'UTC',
    is_active boolean NOT NULL DEFAULT true,
    paused_reason text,
    paused_by text,
    paused_at timestamptz,
    paused_until timestamptz,            -- null: until resumed
    max_retries integer NOT NULL DEFAULT 3 CHECK (max_retries BETWEEN 0 AND 1000),
    timeout_ms integer NOT NULL DEFAULT 300000 CHECK (timeout_ms BETWEEN 100 AND 86400000),
    concurrency_limit integer DEFAULT 1 CHECK (concurrency_limit > 0), -- null: no limit
    key_limit integer NOT NULL DEFAULT 2 CHECK (key_limit > 0), -- running jobs per limit_key
    handler text NOT NULL DEFAULT 'builtin' CHECK (handler IN ('builtin', 'http', 'external')),
    touches_world boolean NOT NULL DEFAULT false, -- has prepare and begin
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);

INSERT INTO automapost.job_definitions
    (name, kind, description, cron_schedule, max_retries, timeout_ms, concurrency_limit, touches_world)
VALUES
    ('social-media', 'service', 'Publish due posts', '* * * * *', 0, 600000, NULL, false),
    ('queue', 'service', 'Do every due job of every other type', '* * * * *', 0, 600000, NULL, false),
    ('cleanup', 'service', 'Put back what dead workers held, mark missed posts, forget old history',
     '*/10 * * * *', 0, 600000, NULL, false),
    ('social-media-post', 'type', 'One post or first comment on one account', NULL, 999, 60000, NULL, true),
    ('refresh-token', 'type', 'A new access token for one account', NULL, 11, 60000, NULL, false);

CREATE TABLE automapost.workers (
    id text PRIMARY KEY,
    service text NOT NULL,
    host text NOT NULL,
    boot_id text NOT NULL,
    pid bigint NOT NULL,
    version text NOT NULL,
    login text NOT NULL DEFAULT session_user,
    clock_offset interval NOT NULL DEFAULT '0',
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    last_beat timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    previous_beat timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ended_at timestamptz,
    end_reason text
);
CREATE INDEX workers_live ON automapost.workers (last_beat) WHERE ended_at IS NULL;
CREATE INDEX workers_ended ON automapost.workers (ended_at) WHERE ended_at IS NOT NULL;

CREATE SEQUENCE automapost.leases;

CREATE TABLE automapost.job_queue (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    job_type varchar(100) NOT NULL,
    priority integer NOT NULL DEFAULT 5 CHECK (priority >= 0),
    payload jsonb,
    scheduled_for timestamptz NOT NULL DEFAULT pg_catalog.now(),
    status varchar(50) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'timeout', 'cancelled')),
    locked_at timestamptz,
    locked_by varchar(255),
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer DEFAULT 3 CHECK (max_attempts > 0),
    error_message text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- beyond the plan:
    job_key text,
    limit_key text,            -- at most key_limit of these run at once; rate_limits speaks of them
    due_at timestamptz,        -- when a member wanted it: retries move scheduled_for, never this
    lease bigint,
    claim_batch text,
    execution_id uuid,
    begun boolean NOT NULL DEFAULT false, -- the world may have been touched under this lease
    cancel_requested_at timestamptz,
    cancel_requested_by text,
    first_limited_at timestamptz,
    waits_for text,            -- 'token': due again when the account's token changes
    error_class text,
    error_code text,
    result jsonb,
    created_by text NOT NULL DEFAULT session_user,
    finished_at timestamptz,
    CHECK ((status = 'running') = (lease IS NOT NULL)),
    CHECK ((status IN ('completed', 'failed', 'timeout', 'cancelled')) = (finished_at IS NOT NULL))
);
CREATE INDEX job_queue_due ON automapost.job_queue (job_type, priority DESC, scheduled_for, created_at)
    WHERE status = 'pending';
CREATE INDEX job_queue_running ON automapost.job_queue (locked_by) WHERE status = 'running';
CREATE INDEX job_queue_running_limit ON automapost.job_queue (limit_key) WHERE status = 'running';
CREATE INDEX job_queue_waiting ON automapost.job_queue (limit_key)
    WHERE status = 'pending' AND waits_for IS NOT NULL;
CREATE INDEX job_queue_finished ON automapost.job_queue (status, finished_at)
    WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX job_queue_key_pending ON automapost.job_queue (job_type, job_key)
    WHERE status = 'pending';
CREATE UNIQUE INDEX job_queue_key_running ON automapost.job_queue (job_type, job_key)
    WHERE status = 'running';

CREATE TABLE automapost.job_executions (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    job_definition_id uuid REFERENCES automapost.job_definitions (id),
    job_queue_id uuid REFERENCES automapost.job_queue (id) ON DELETE CASCADE,
    status varchar(50) NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    duration_ms integer,
    retry_count integer NOT NULL DEFAULT 0,
    error_message text,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- beyond the plan:
    worker_id text,
    error_class text,
    error_code text
);
CREATE INDEX job_executions_job ON automapost.job_executions (job_queue_id, created_at);
CREATE INDEX job_executions_definition ON automapost.job_executions (job_definition_id, finished_at)
    WHERE job_definition_id IS NOT NULL;
CREATE INDEX job_executions_running ON automapost.job_executions (worker_id)
    WHERE status = 'running';

CREATE TABLE automapost.job_logs (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    job_execution_id uuid REFERENCES automapost.job_executions (id) ON DELETE CASCADE,
    level varchar(20) NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
    message text NOT NULL,
    data jsonb,
    "timestamp" timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX job_logs_execution ON automapost.job_logs (job_execution_id, "timestamp");
-- "What was said in the last hour", of any job: lines come nearly in the order of their time.
CREATE INDEX job_logs_time ON automapost.job_logs USING brin ("timestamp") WITH (autosummarize = on);

-- What may not run until when. Keys: a provider ('linkedin'), or an account of it
-- ('linkedin:<auth_provider_id>'). A pause of a provider is such a row too.
CREATE TABLE automapost.rate_limits (
    key text PRIMARY KEY,
    until timestamptz NOT NULL,
    reason text NOT NULL,
    by text NOT NULL,
    is_pause boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- One row per limit_key ever claimed: what claims lock, so that limits are exact. last_begun paces
-- accounts that are behind.
CREATE TABLE automapost.limit_keys (
    key text PRIMARY KEY,
    last_begun timestamptz
);

CREATE TABLE automapost.account_state (
    auth_provider_id text PRIMARY KEY,
    provider text NOT NULL,
    user_id text NOT NULL,
    expires_at timestamptz,
    refreshable boolean NOT NULL DEFAULT false,
    token_version text,            -- the version to which refresh_failed_at refers
    refresh_failed_at timestamptz,
    code text,
    detail text,
    refreshed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE TABLE automapost.post_deliveries (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    post_id text NOT NULL,
    auth_provider_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('post', 'comment')),
    user_id text NOT NULL,
    provider text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN
        ('pending', 'sending', 'unconfirmed', 'sent', 'failed', 'missed', 'held', 'cancelled')),
    due_at timestamptz NOT NULL,
    job_id uuid,                   -- the one job that may begin it
    -- write-ahead: what is on record before the first byte leaves
    begin_number integer NOT NULL DEFAULT 0,
    begin_batch text,
    begun_at timestamptz,
    lease bigint,
    handle text,
    request jsonb,                 -- gone when settled; its digest stays
    request_sha256 text,
    way text CHECK (way IN ('read', 'resend', 'none')),
    first_sent_at timestamptz,     -- the first begin of the stored request: how old its key is
    absent_at timestamptz,         -- first read that did not find it
    -- receipt
    remote_id text,
    url text,
    receipt jsonb,
    sent_at timestamptz,
    applied_at timestamptz,        -- the application has been told
    -- end
    version text,                  -- of the post, at the last begin or at the end
    code text,
    detail text,
    retry_at timestamptz,
    late_allowed boolean NOT NULL DEFAULT false, -- a person wants it however late
    cancelled_by text,             -- a person's login; null: the system
    finished_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    UNIQUE (post_id, auth_provider_id, kind),
    CHECK ((state IN ('sending', 'unconfirmed')) <= (request IS NOT NULL)),
    CHECK ((state = 'sent') <= (sent_at IS NOT NULL))
);
CREATE INDEX post_deliveries_pending ON automapost.post_deliveries (due_at)
    WHERE state = 'pending';
CREATE INDEX post_deliveries_open ON automapost.post_deliveries (state, updated_at)
    WHERE state IN ('sending', 'unconfirmed', 'held');
CREATE INDEX post_deliveries_unapplied ON automapost.post_deliveries (post_id)
    WHERE state = 'sent' AND kind = 'post' AND applied_at IS NULL;
CREATE INDEX post_deliveries_finished ON automapost.post_deliveries (finished_at)
    WHERE finished_at IS NOT NULL;
CREATE INDEX post_deliveries_account ON automapost.post_deliveries (auth_provider_id);
CREATE INDEX post_deliveries_job ON automapost.post_deliveries (job_id) WHERE job_id IS NOT NULL;

-- What a worker says of each job at begin and at settle.
CREATE TYPE automapost.begin_item AS (
    id uuid,
    lease bigint,
    version text,
    handle text,
    way text,
    request jsonb
);
CREATE TYPE automapost.settle_item AS (
    id uuid,
    lease bigint,
    execution_id uuid,
    started_at timestamptz,
    duration_ms bigint,
    outcome text,
    class text,
    code text,
    message text,
    retry_at timestamptz,
    limit_scope text,      -- 'provider' or 'account'
    token_version text,
    result jsonb,
    delivery_id uuid,
    begin_number bigint,
    receipt jsonb,
    tokens jsonb,          -- for the application's table alone: never stored in ours
    logs jsonb
);
