-- Which server this schema lives on and which hosts work for it: how a copy is told from the
-- original, and a restored past from the present. The rules are in sql/functions/identity.sql.

ALTER TABLE automapost.engine
    ADD COLUMN compare_wait interval NOT NULL DEFAULT '75 s', -- longer than from tick to tick
    ADD COLUMN seen_every interval NOT NULL DEFAULT '30 min',
    ADD CHECK (compare_wait > '0' AND seen_every > '0' AND seen_every < '1 h');

-- Where it was when its hosts last agreed. table_oid is null until the first of them has come.
ALTER TABLE automapost.installation
    ADD COLUMN system_identifier bigint, -- null too where the server does not tell it
    ADD COLUMN database_oid bigint,
    ADD COLUMN table_oid bigint,
    ADD COLUMN timeline text,
    ADD COLUMN server_started_at timestamptz,
    -- A comparison of the hosts' marks under way: since when, why, and the last that this database
    -- knows of.
    ADD COLUMN compare_since timestamptz,
    ADD COLUMN compare_reason text
        CHECK (compare_reason IN ('timeline', 'restart', 'mark', 'adopted')),
    ADD COLUMN compare_from timestamptz,
    ADD CHECK ((compare_since IS NULL) = (compare_reason IS NULL)),
    ADD CHECK ((compare_since IS NULL) = (compare_from IS NULL));

CREATE TABLE automapost.hosts (
    machine text PRIMARY KEY,            -- a hash of /etc/machine-id
    name text NOT NULL,                  -- for people
    admitted boolean NOT NULL,           -- false: it came, and nobody has let it join
    boot_id text NOT NULL,
    former_boots text[] NOT NULL DEFAULT '{}',
    refused_boots text[] NOT NULL DEFAULT '{}', -- another machine with the same machine-id
    refused_at timestamptz,              -- when it, or that one, was last turned away
    -- How often it has begun to send: the same number, with its time, is in its state folder.
    begins bigint NOT NULL DEFAULT 0,
    begun_at timestamptz,
    since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    by text NOT NULL DEFAULT session_user,
    seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    compared_at timestamptz,             -- null: not since the last comparison was opened
    mark_at timestamptz                  -- in it: its mark was above, and of this time
);

ALTER TABLE automapost.workers ADD COLUMN machine text; -- null: of a release that names none

-- Held, or to be held if it is not found, because this database was put back in time.
ALTER TABLE automapost.post_deliveries ADD COLUMN in_doubt boolean NOT NULL DEFAULT false;
CREATE INDEX post_deliveries_in_doubt ON automapost.post_deliveries (due_at) WHERE in_doubt;
