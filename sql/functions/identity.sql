-- A copy never publishes, a restore never repeats.
--
-- A copy: the server's system identifier, the database or our own table are others than those that
-- the hosts agreed on, because a dump was restored, here or elsewhere, or the database was made
-- from a template. Nothing is claimed and nothing begun until a person says that this is the
-- installation now (adopt_installation).
--
-- A restore: each host keeps a mark in its state folder, written after begin is on record and
-- before the first byte leaves: how often it has begun, and when. Where the mark is above what this
-- database knows of the host, the database has lost what it knew, and what was due up to then may
-- be out: it is held, for all hosts, and a person looks. (The sequence of leases cannot be asked: a
-- standby that is promoted may be as much as 32 ahead of what was drawn.) Where the server has
-- changed its timeline (failover, point-in-time recovery) or was started anew (a disk that was
-- rolled back), nothing is begun until every host that was seen in the last hour before has
-- compared its mark, or compare_wait has passed. A host that does not come has told nothing: where
-- the past may be lost (another timeline, adopted), what was due until the comparison began is held
-- then.
--
-- Hosts are those that joined. A machine that is not among them publishes nothing.

-- The server's own number, null where it keeps that from us (some hosted ones do).
DO $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW automapost.server_id AS SELECT '
        || CASE WHEN has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
            THEN 'c.system_identifier FROM pg_catalog.pg_control_system() c'
            ELSE 'NULL::bigint AS system_identifier' END;
END
$$;

-- Where this schema is, and whether that is where its hosts left it. state: new (no host has come
-- yet), copy, moved (another timeline, or another start of the server), comparing, known.
CREATE OR REPLACE VIEW automapost.installation_now AS
SELECT i.id, i.compare_since, i.compare_reason, i.compare_from, n.*,
    CASE WHEN i.table_oid IS NULL THEN 'new'
        WHEN (i.system_identifier, i.database_oid, i.table_oid)
            IS DISTINCT FROM (n.system_identifier, n.database_oid, n.table_oid) THEN 'copy'
        WHEN (i.timeline, i.server_started_at) IS DISTINCT FROM (n.timeline, n.server_started_at)
            THEN 'moved'
        WHEN i.compare_since IS NOT NULL THEN 'comparing'
        ELSE 'known' END AS state,
    CASE WHEN i.timeline IS DISTINCT FROM n.timeline THEN 'timeline' ELSE 'restart' END AS moved_by,
    CASE WHEN i.system_identifier IS DISTINCT FROM n.system_identifier
            THEN 'it is on another server (' || COALESCE(n.system_identifier::text, 'unknown')
                || ', not ' || COALESCE(i.system_identifier::text, 'unknown') || ')'
        WHEN i.database_oid <> n.database_oid
            THEN 'it is in another database of the server (OID ' || n.database_oid || ', not '
                || i.database_oid || ')'
        WHEN i.table_oid <> n.table_oid
            THEN 'its tables were made anew (OID ' || n.table_oid || ', not ' || i.table_oid || ')'
    END AS differs
FROM automapost.installation i
CROSS JOIN LATERAL (
    SELECT c.system_identifier, d.oid::bigint AS database_oid, i.tableoid::bigint AS table_oid,
        CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END
            AS timeline,
        pg_postmaster_start_time() AS server_started_at
    FROM automapost.server_id c, pg_database d WHERE d.datname = current_database()) n;

-- Every service asks this before it does anything, each time: may this host work for this
-- installation, at this moment? p_begins and p_begun_at are the mark of its state folder, 0 where
-- there is none. verdict:
--     known      go on
--     comparing  nothing may be begun yet; detail says who is waited for
--     copy, unknown-host, clone    never, until an operator acts; hint says how
-- held: how many deliveries this answer has put on hold. Writes only where something has changed,
-- so that a quiet minute costs no commit.
CREATE OR REPLACE FUNCTION automapost.meet_host(
    p_machine text, p_name text, p_boot_id text, p_begins bigint, p_begun_at timestamptz)
RETURNS TABLE (verdict text, installation text, detail text, hint text, held bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    n automapost.installation_now;
    h automapost.hosts;
    e automapost.engine;
    t timestamptz;
    last_known timestamptz;
BEGIN
    held := 0;
    SELECT * INTO n FROM automapost.installation_now;
    SELECT * INTO h FROM automapost.hosts WHERE machine = p_machine;
    installation := n.id;
    verdict := 'known';
    IF n.state = 'known' AND h.admitted AND h.boot_id = p_boot_id AND h.compared_at IS NOT NULL
        AND h.begins >= p_begins
        AND h.seen_at > clock_timestamp() - (SELECT x.seen_every FROM automapost.engine x) THEN
        RETURN NEXT;
        RETURN;
    END IF;

    -- One host at a time from here, each seeing what the one before has decided.
    PERFORM FROM automapost.installation FOR NO KEY UPDATE;
    SELECT * INTO n FROM automapost.installation_now;
    SELECT * INTO h FROM automapost.hosts WHERE machine = p_machine;
    SELECT * INTO e FROM automapost.engine;
    t := clock_timestamp();
    last_known := automapost.last_known();
    IF n.state = 'copy' THEN
        verdict := 'copy';
        detail := 'this database is a copy: ' || n.differs;
        hint := 'if it is the installation now, and nothing else publishes for it: sudo automapost '
            'setup --adopt';
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT * INTO h FROM automapost.recognise_host(p_machine, p_name, p_boot_id);
    IF NOT h.admitted THEN
        UPDATE automapost.hosts SET refused_at = t WHERE machine = p_machine;
        verdict := 'unknown-host';
        detail := 'this machine is no host of installation ' || n.id;
        hint := 'if it is to publish for it: sudo automapost setup --join ' || n.id;
        RETURN NEXT;
        RETURN;
    ELSIF h.boot_id <> p_boot_id THEN
        UPDATE automapost.hosts SET refused_at = t WHERE machine = p_machine;
        verdict := 'clone';
        detail := 'another machine has the same machine-id and publishes already ('
            || h.name || ')';
        hint := 'this one is its clone: empty /etc/machine-id, reboot, then sudo automapost setup '
            '--join ' || n.id;
        RETURN NEXT;
        RETURN;
    END IF;

    IF n.state = 'new' THEN
        PERFORM automapost.settle_here();
        n.state := 'known';
    END IF;
    IF n.state = 'moved' THEN
        PERFORM automapost.open_comparison(n.moved_by, last_known);
        PERFORM automapost.settle_here();
    ELSIF n.state = 'known' AND p_begins > h.begins THEN
        PERFORM automapost.open_comparison('mark', last_known);
    END IF;
    UPDATE automapost.hosts
    SET seen_at = t, compared_at = COALESCE(compared_at, t), begins = GREATEST(begins, p_begins),
        mark_at = CASE WHEN p_begins > begins THEN p_begun_at ELSE mark_at END
    WHERE machine = p_machine;
    held := automapost.close_comparison();

    SELECT 'comparing', 'the database is another than before ('
        || CASE i.compare_reason WHEN 'timeline' THEN 'failover or point-in-time recovery'
            WHEN 'restart' THEN 'its server was started anew' WHEN 'mark' THEN 'it was put back'
            ELSE 'adopted' END
        || '), and nothing is sent before ' || string_agg(w.name, ', ' ORDER BY w.name) || ' '
        || CASE count(*) WHEN 1 THEN 'has' ELSE 'have' END || ' looked what they sent last, or '
        || automapost.span(i.compare_since + e.compare_wait - t) || ' have passed'
    INTO verdict, detail
    FROM automapost.installation i, automapost.awaited_hosts() w
    WHERE i.compare_since IS NOT NULL GROUP BY i.compare_since, i.compare_reason;
    verdict := COALESCE(verdict, 'known');
    RETURN NEXT;
END
$$;

-- What is agreed on from now on: where this schema is at this moment.
CREATE OR REPLACE FUNCTION automapost.settle_here()
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    UPDATE automapost.installation i
    SET system_identifier = n.system_identifier, database_oid = n.database_oid,
        table_oid = n.table_oid, timeline = n.timeline, server_started_at = n.server_started_at
    FROM automapost.installation_now n
$$;

-- The host's row, made where there is none. The first is admitted by itself; so is one that worked
-- here in this very boot before hosts were listed. Two boots that come by turns are two machines
-- with one machine-id: a boot that was left for another and comes back shows that the other is the
-- clone, which is refused from then on.
CREATE OR REPLACE FUNCTION automapost.recognise_host(p_machine text, p_name text, p_boot_id text)
RETURNS automapost.hosts
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    h automapost.hosts;
BEGIN
    INSERT INTO automapost.hosts AS x (machine, name, boot_id, admitted, compared_at)
    VALUES (p_machine, p_name, p_boot_id,
            NOT EXISTS (SELECT FROM automapost.hosts o WHERE o.admitted)
                OR EXISTS (SELECT FROM automapost.workers w
                           WHERE w.machine IS NULL AND w.service <> 'external'
                               AND w.boot_id = p_boot_id AND p_boot_id <> ''
                               AND w.started_at < (SELECT min(o.since) FROM automapost.hosts o)),
            (SELECT clock_timestamp() FROM automapost.installation i WHERE i.compare_since IS NULL))
    ON CONFLICT (machine) DO UPDATE SET seen_at = clock_timestamp(), name = excluded.name
    RETURNING * INTO h;
    IF h.boot_id <> p_boot_id AND p_boot_id <> ALL (h.refused_boots) THEN
        UPDATE automapost.hosts x
        SET boot_id = p_boot_id,
            refused_boots = CASE WHEN p_boot_id = ANY (x.former_boots)
                THEN x.refused_boots || x.boot_id ELSE x.refused_boots END,
            former_boots = CASE WHEN p_boot_id = ANY (x.former_boots)
                THEN array_remove(x.former_boots, p_boot_id)
                ELSE (x.boot_id || x.former_boots)[1:20] END
        WHERE x.machine = p_machine RETURNING * INTO h;
    END IF;
    RETURN h;
END
$$;

-- From now on nothing is begun until the hosts have compared. One that is open already goes on, and
-- all come again; it never becomes milder. No lease of a past that is lost is drawn again.
CREATE OR REPLACE FUNCTION automapost.open_comparison(p_reason text, p_from timestamptz)
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    UPDATE automapost.installation i
    SET compare_since = clock_timestamp(),
        compare_reason = CASE WHEN i.compare_reason IN ('timeline', 'adopted')
            THEN i.compare_reason ELSE p_reason END,
        compare_from = COALESCE(i.compare_from, p_from);
    UPDATE automapost.hosts SET compared_at = NULL;
    UPDATE automapost.claim_turns SET noted = noted + 1000000;  -- what is skipped was not given
    SELECT setval('automapost.leases', s.last_value + 1000000) FROM automapost.leases s
$$;

-- Until when at least this database knows what its hosts did.
CREATE OR REPLACE FUNCTION automapost.last_known()
RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT GREATEST(i.created_at, (SELECT max(GREATEST(h.seen_at, h.begun_at))
                                   FROM automapost.hosts h WHERE h.admitted))
    FROM automapost.installation i
$$;

-- Whose mark is still to come: hosts that were seen in the last hour that this database knows of.
CREATE OR REPLACE FUNCTION automapost.awaited_hosts()
RETURNS SETOF automapost.hosts
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT h FROM automapost.hosts h, automapost.installation i
    WHERE i.compare_since IS NOT NULL AND h.admitted AND h.compared_at IS NULL
        AND h.seen_at > i.compare_from - interval '1 hour'
$$;

-- Ends the comparison if everybody has come or has had the time to; how many deliveries are held.
CREATE OR REPLACE FUNCTION automapost.close_comparison()
RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i automapost.installation;
    silent boolean := EXISTS (SELECT FROM automapost.awaited_hosts());
    until timestamptz;
    held bigint := 0;
BEGIN
    SELECT * INTO i FROM automapost.installation;
    IF i.compare_since IS NULL OR silent AND clock_timestamp()
        < i.compare_since + (SELECT e.compare_wait FROM automapost.engine e) THEN
        RETURN 0;
    END IF;
    SELECT GREATEST(max(h.mark_at), CASE WHEN silent AND i.compare_reason IN ('timeline', 'adopted')
        THEN i.compare_since END) INTO until
    FROM automapost.hosts h;
    IF until IS NOT NULL THEN
        held := automapost.hold_doubtful(i.compare_from, until);
    END IF;
    UPDATE automapost.installation
    SET compare_since = NULL, compare_reason = NULL, compare_from = NULL;
    UPDATE automapost.hosts SET mark_at = NULL WHERE mark_at IS NOT NULL;
    RETURN held;
END
$$;

-- This database knows what happened until p_from, and what was due until p_until may be out: held,
-- collected or not, with its comment. What was begun is reconciled as ever, but for one thing: not
-- found does not prove that it was not sent, for it may have been sent anew with other bytes.
CREATE OR REPLACE FUNCTION automapost.hold_doubtful(p_from timestamptz, p_until timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    posts text[];
    doubtful uuid[];
    reason text := 'the database was put back to what it knew about ' || automapost.utc(p_from)
        || ', and what was due until ' || automapost.utc(p_until) || ' may be published';
BEGIN
    posts := ARRAY(
        SELECT p.post_id FROM automapost.app_due_posts(GREATEST(
            p_from - (SELECT e.late_limit + interval '1 hour' FROM automapost.engine e),
            (SELECT i.publish_from FROM automapost.installation i)), p_until) p);
    INSERT INTO automapost.post_deliveries
        (post_id, auth_provider_id, kind, user_id, provider, due_at, version)
    SELECT t.post_id, t.auth_provider_id, 'post', t.user_id, t.provider, t.due_at, t.version
    FROM automapost.post_targets(posts) t WHERE t.code IS NULL
    ORDER BY t.post_id, t.auth_provider_id
    ON CONFLICT (post_id, auth_provider_id, kind) DO NOTHING;
    -- A comment that was not made yet may have followed its post in the time that is lost.
    INSERT INTO automapost.post_deliveries
        (post_id, auth_provider_id, kind, user_id, provider, due_at, version)
    SELECT d.post_id, d.auth_provider_id, 'comment', d.user_id, d.provider, d.due_at,
        md5(p.first_comment)
    FROM automapost.post_deliveries d
    JOIN automapost.app_posts_by_id(ARRAY(
        SELECT DISTINCT o.post_id FROM automapost.post_deliveries o
        WHERE o.kind = 'post' AND o.due_at <= p_until AND o.applied_at IS NULL
            AND o.state IN ('pending', 'sending', 'unconfirmed', 'held', 'sent'))) p
        ON p.post_id = d.post_id
    WHERE d.kind = 'post' AND d.due_at <= p_until AND d.applied_at IS NULL
        AND d.state IN ('pending', 'sending', 'unconfirmed', 'held', 'sent')
        AND p.deleted_at IS NULL AND btrim(p.first_comment) <> ''
    ORDER BY d.post_id, d.auth_provider_id
    ON CONFLICT (post_id, auth_provider_id, kind) DO NOTHING;

    PERFORM FROM automapost.job_queue q
    WHERE q.id IN (SELECT d.job_id FROM automapost.post_deliveries d
                   WHERE d.state = 'pending' AND d.due_at <= p_until)
    ORDER BY q.id FOR NO KEY UPDATE;
    UPDATE automapost.post_deliveries d SET in_doubt = true
    WHERE d.due_at <= p_until AND d.state IN ('pending', 'sending', 'unconfirmed');
    doubtful := ARRAY(
        SELECT d.id FROM automapost.post_deliveries d
        WHERE d.state = 'pending' AND d.in_doubt);
    PERFORM automapost.end_job(q.id, 'failed', 'held', reason, NULL, 'unknown-outcome')
    FROM automapost.post_deliveries d
    JOIN automapost.job_queue q ON q.id = d.job_id AND q.status IN ('pending', 'running')
    WHERE d.id = ANY (doubtful);
    PERFORM automapost.finish_delivery(d.id, 'held', 'unconfirmed', reason, NULL)
    FROM unnest(doubtful) d (id);
    RETURN cardinality(doubtful);
END
$$;

CREATE OR REPLACE FUNCTION automapost.utc(t timestamptz)
RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT to_char(t AT TIME ZONE 'UTC', 'FMDD Mon YYYY HH24:MI:SS "UTC"')
$$;

-- Whether p_worker may begin to send at this moment: where the hosts left this schema, by one of
-- them that has compared. A release that names no machine is a host by its login alone. In PL/pgSQL, as
-- whatever each batch calls: it keeps its plan, where SQL makes one for each call.
CREATE OR REPLACE FUNCTION automapost.may_begin(w automapost.workers)
RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT n.state IN ('known', 'new') AND (w.machine IS NULL OR EXISTS (
            SELECT FROM automapost.hosts h
            WHERE h.machine = w.machine AND h.admitted AND h.boot_id = w.boot_id
                AND h.compared_at IS NOT NULL))
        FROM automapost.installation_now n);
END
$$;

-- A person says that this database, a copy until now, is the installation, and that nothing else
-- publishes for it; this host is one of its hosts. What the others sent after the copy was made is
-- found out as after any restore.
CREATE OR REPLACE FUNCTION automapost.adopt_installation(machine text, name text, boot_id text)
RETURNS TABLE (installation text, state text, detail text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    n automapost.installation_now;
BEGIN
    PERFORM FROM automapost.installation FOR NO KEY UPDATE;
    SELECT * INTO n FROM automapost.installation_now;
    installation := n.id;
    state := 'unchanged';
    detail := 'this database is no copy';
    IF n.state = 'copy' THEN
        state := 'adopted';
        detail := 'what was due until now, and may be out, is held unless every host shows that it '
            'sent nothing since ' || automapost.utc(automapost.last_known());
        PERFORM automapost.open_comparison('adopted', automapost.last_known());
        PERFORM automapost.settle_here();
    END IF;
    PERFORM automapost.admit_host(adopt_installation.machine, adopt_installation.name,
                                  adopt_installation.boot_id);
    RETURN NEXT;
END
$$;

-- A person says that this machine is a further host of the installation. state: joined, member.
CREATE OR REPLACE FUNCTION automapost.join_host(installation text, machine text, name text,
                                                boot_id text)
RETURNS TABLE (host text, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    n automapost.installation_now;
    h automapost.hosts;
BEGIN
    PERFORM FROM automapost.installation FOR NO KEY UPDATE;
    SELECT * INTO n FROM automapost.installation_now;
    IF n.id::text IS DISTINCT FROM lower(join_host.installation) THEN
        RAISE EXCEPTION 'this database is installation %, not %', n.id,
            COALESCE(join_host.installation, 'null') USING ERRCODE = '22023',
            HINT = 'Look at AUTOMAPOST_DATABASE_URL, then join with the id of the right one.';
    ELSIF n.state = 'copy' THEN
        RAISE EXCEPTION 'this database is a copy: %', n.differs USING ERRCODE = '55000',
            HINT = 'If it is the installation now: sudo automapost setup --adopt';
    END IF;
    SELECT * INTO h FROM automapost.hosts x WHERE x.machine = join_host.machine;
    IF h.admitted AND join_host.boot_id = ANY (h.refused_boots) THEN
        RAISE EXCEPTION 'this machine has the machine-id of %, which publishes already', h.name
            USING ERRCODE = '55000', HINT = 'Empty /etc/machine-id, reboot, then join.';
    END IF;
    host := join_host.name;
    state := CASE WHEN h.admitted THEN 'member' ELSE 'joined' END;
    PERFORM automapost.admit_host(join_host.machine, join_host.name, join_host.boot_id);
    RETURN NEXT;
END
$$;

CREATE OR REPLACE FUNCTION automapost.admit_host(p_machine text, p_name text, p_boot_id text)
RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO automapost.hosts AS h (machine, name, boot_id, admitted, compared_at)
    VALUES (p_machine, p_name, p_boot_id, true,
            (SELECT clock_timestamp() FROM automapost.installation i WHERE i.compare_since IS NULL))
    ON CONFLICT (machine) DO UPDATE
        SET admitted = true, name = excluded.name, seen_at = clock_timestamp(),
            since = CASE WHEN h.admitted THEN h.since ELSE clock_timestamp() END,
            by = CASE WHEN h.admitted THEN h.by ELSE session_user END,
            -- why it was turned away is no reason any more; a member's clone is one still
            refused_at = CASE WHEN h.admitted THEN h.refused_at END,
            compared_at = CASE WHEN h.admitted THEN h.compared_at ELSE excluded.compared_at END
$$;
