-- When services and job types run: the slots of their schedules.

-- Nobody took a service's slot for so long: the queue's tick does what it collects.
ALTER TABLE automapost.engine
    ADD COLUMN slot_grace interval NOT NULL DEFAULT '2 min' CHECK (slot_grace > '0');

-- What the unit is shipped with; null: on demand.
ALTER TABLE automapost.job_definitions ADD COLUMN default_schedule varchar(100);
UPDATE automapost.job_definitions
SET default_schedule = CASE name WHEN 'cleanup' THEN '*/10 * * * *' ELSE '* * * * *' END
WHERE name IN ('social-media', 'queue', 'cleanup') AND kind = 'service';

INSERT INTO automapost.job_definitions
    (name, kind, description, cron_schedule, default_schedule, max_retries, timeout_ms, concurrency_limit)
VALUES
    ('schedule', 'service', 'Give timers the times of their schedules', '*/10 * * * *',
     '*/10 * * * *', 0, 60000, NULL);

-- A slot is an instant at which a definition is due by its schedule; one row per definition holds
-- the latest that anybody took. It is open again where its taker ended without having done it. A
-- missing row is as good as one that is new.
CREATE TABLE automapost.slots (
    definition_id uuid PRIMARY KEY REFERENCES automapost.job_definitions (id) ON DELETE CASCADE,
    slot timestamptz,
    taken_by text,
    taken_at timestamptz,
    done_at timestamptz,
    -- What was due until then is not missed: the definition or its schedule is younger.
    due_after timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    -- Nor what was due in the last pause. idle_until null: it lasts.
    idle_from timestamptz,
    idle_until timestamptz,
    -- The last schedule that could be used, which stays in use while the row's cannot be.
    good_schedule text,
    good_timezone text,
    problem text,
    problem_since timestamptz,
    CHECK ((slot IS NULL) = (taken_by IS NULL AND taken_at IS NULL)),
    CHECK ((problem IS NULL) = (problem_since IS NULL))
);
