-- The plan's tables, as far as its worker uses them.
CREATE SCHEMA plan;

CREATE TABLE plan.job_queue (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_type varchar(100) NOT NULL,
    priority integer DEFAULT 5,
    payload jsonb,
    scheduled_for timestamp NOT NULL DEFAULT now(),
    status varchar(50) DEFAULT 'pending',
    locked_at timestamp,
    locked_by varchar(255),
    attempts integer DEFAULT 0,
    max_attempts integer DEFAULT 3,
    error_message text,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now()
);
CREATE INDEX ON plan.job_queue (status, scheduled_for);
CREATE INDEX ON plan.job_queue (locked_by, locked_at);

CREATE TABLE plan.job_executions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_queue_id uuid REFERENCES plan.job_queue (id),
    status varchar(50) NOT NULL,
    started_at timestamp,
    finished_at timestamp,
    duration_ms integer,
    retry_count integer DEFAULT 0,
    error_message text,
    metadata jsonb,
    created_at timestamp DEFAULT now()
);
CREATE INDEX ON plan.job_executions (status);

CREATE TABLE plan.job_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_execution_id uuid REFERENCES plan.job_executions (id),
    level varchar(20) NOT NULL,
    message text NOT NULL,
    data jsonb,
    "timestamp" timestamp DEFAULT now()
);
CREATE INDEX ON plan.job_logs (job_execution_id);
