-- SPDX-License-Identifier: MIT
-- A copy never publishes, a restore never repeats: meet_host(), adopt_installation(), join_host(),
-- and what begin and claim make of it.
BEGIN;
SELECT plan(111);

CREATE FUNCTION pg_temp.said(machine text, boot text DEFAULT 'boot') RETURNS text
LANGUAGE sql AS $$
    SELECT concat_ws(' | ', m.verdict, m.detail, m.hint)
    FROM automapost.meet_host(machine, 'name of ' || machine, boot, 0, NULL) m
$$;
CREATE FUNCTION pg_temp.id() RETURNS text LANGUAGE sql AS $$
    SELECT id::text FROM automapost.installation
$$;
CREATE FUNCTION pg_temp.problems() RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(p ->> 'id' ORDER BY p ->> 'id')
    FROM jsonb_array_elements(automapost.status() -> 'problems') p
    WHERE p ->> 'id' IN ('copy', 'comparing', 'restored', 'held', 'host-refused')
$$;
CREATE FUNCTION pg_temp.problem(id text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT p FROM jsonb_array_elements(automapost.status() -> 'problems') p
    WHERE p ->> 'id' = problem.id
$$;

-- The first host
SELECT is(state, 'new', 'a schema where nobody has come yet') FROM automapost.installation_now;
SELECT is(t.meet('a'), 'known', 'the first machine is a host by itself');
SELECT is((i.system_identifier, i.database_oid, i.table_oid, i.timeline, i.server_started_at)::text,
    (c.system_identifier, d.oid, 'automapost.installation'::regclass::oid, '00000001',
        pg_postmaster_start_time())::text, 'and says where the installation is')
FROM automapost.installation i, pg_control_system() c, pg_database d
WHERE d.datname = current_database();
SELECT is((state, pg_temp.problems())::text, '(known,)', 'which is where it stays')
FROM automapost.installation_now;
SELECT is((name, admitted, boot_id, begins)::text, '("name of a",t,boot,0)', 'the host''s row')
FROM automapost.hosts;
CREATE TEMP TABLE before AS SELECT ctid::text AS place FROM automapost.hosts;
SELECT is(automapost.tick('queue', '{}') -> 'hosts', '{"a": {"boot": "boot", "begins": 0}}',
    'a tick says who may go on at once');
SELECT is(t.meet('a'), 'known', 'it comes again');
SELECT is((SELECT ctid::text FROM automapost.hosts), (SELECT place FROM before),
    'a quiet minute writes nothing');
UPDATE automapost.hosts SET seen_at = seen_at - interval '31 min';
SELECT is(automapost.tick('queue', '{}') -> 'hosts', 'null', 'not who was not seen for long');
SELECT is(t.meet('a'), 'known', 'half an hour later');
SELECT ok(t.is_in(seen_at, '0 s'), 'it is noted that it was seen') FROM automapost.hosts;

-- A machine that is none of the hosts
SELECT is(pg_temp.said('b'), format('unknown-host | this machine is no host of installation %s | '
    'if it is to publish for it: sudo automapost setup --join %1$s', pg_temp.id()),
    'a second machine does not join by itself; how it may is said');
SELECT is((pg_temp.problem('host-refused') ->> 'what', pg_temp.problem('host-refused') -> 'command')
    ::text, format('("name of b wants to publish and is no host of this installation","%s")',
        replace(jsonb_build_array('automapost', 'setup', '--join', pg_temp.id())::text, '"', '""')),
    'status says so, and the command');
SELECT t.refuses('SELECT automapost.join_host(''0192f7c4'', ''b'', ''name'', ''boot'')', '22023',
    'this database is installation', 'it joins by the whole id, not by another');
SELECT t.refuses('SELECT automapost.join_host(NULL, ''b'', ''name'', ''boot'')', '22023',
    'not null', 'nor by none');
SELECT is((host, state)::text, '("name of b",joined)', 'with the id it joins')
FROM automapost.join_host(upper(pg_temp.id()), 'b', 'name of b', 'boot-b');
SELECT is(t.meet('b', boot => 'boot-b'), 'known', 'and is a host');
SELECT is(state, 'member', 'joined twice is joined once')
FROM automapost.join_host(pg_temp.id(), 'b', 'name of b', 'boot-b');
SELECT is(automapost.status() #> '{installation,hosts,1,name}', '"name of b"',
    'status lists the hosts');
SELECT is(automapost.status() #>> '{installation,id}', pg_temp.id(), 'and the installation''s id');
INSERT INTO automapost.workers (id, service, host, boot_id, pid, version, started_at)
VALUES ('old', 'social-media', 'c', 'boot-c', 1, '0.1.0', now() - interval '1 d');
SELECT is(t.meet('c', boot => 'boot-c'), 'known',
    'a host that worked here before hosts were listed goes on');
SELECT is(t.meet('d', boot => 'boot-d'), 'unknown-host', 'another does not');
SELECT automapost.forget_old(100);
SELECT is((SELECT count(*) FROM automapost.hosts WHERE machine = 'd'), 1::bigint,
    'who was refused is kept for a day');
UPDATE automapost.hosts SET refused_at = now() - interval '25 h' WHERE machine = 'd';
SELECT automapost.forget_old(100);
SELECT set_eq('SELECT machine FROM automapost.hosts', '{a,b,c}'::text[], 'and forgotten then');
DELETE FROM automapost.hosts WHERE machine IN ('b', 'c');

-- Reboots, and clones
SELECT is(t.meet('a', boot => 'second'), 'known', 'a host may reboot');
SELECT is(t.meet('a', boot => 'third'), 'known', 'twice');
SELECT is(t.meet('a', boot => 'second'), 'known',
    'a boot that was left comes back: the other was another machine');
SELECT matches(pg_temp.said('a', 'third'), '^clone \| another machine has the same machine-id and '
    'publishes already \(name of a\) \| .* empty /etc/machine-id',
    'that one is refused from then on');
SELECT matches(pg_temp.problem('host-refused') ->> 'what', 'has a clone', 'status says so');
SELECT is(pg_temp.problem('host-refused') -> 'command', NULL, 'and has no command for it');
SELECT t.refuses(format('SELECT automapost.join_host(%L, ''a'', ''n'', ''third'')', pg_temp.id()),
    '55000', 'the machine-id of', 'nor can it join under that machine-id');
SELECT is(t.meet('a', boot => 'fourth'), 'known', 'the original may reboot again');
UPDATE automapost.hosts SET boot_id = 'boot', refused_at = NULL;

-- Begin counts, for its machine, what is to be in the state folder
SELECT t.worker_of('w1', 'a');
SELECT t.publishing(1), t.publishing(2), t.publishing(3);
SELECT t.claim();
SELECT is((b.id, b.verdict, b.begin_number, b.detail IS NULL)::text, '(,mark,1,f)',
    'the mark is a row of its own')
FROM t.claims c, automapost.begin_jobs('w1', 'batch', jsonb_build_array(jsonb_build_object('id',
    c.id, 'lease', c.lease, 'version', c.input #>> '{post,version}', 'handle', 'h', 'way', 'read',
    'request', '{"body": "b"}'::jsonb))) b
WHERE c.id = t.job_of(1) AND b.id IS NULL;
SELECT is((begins, begun_at)::text, (1, (t.delivery(1)).begun_at)::text,
    'its number, and the time of the begin') FROM automapost.hosts;
SELECT is(t.settle(t.job_of(1), 'done', t.receipt('r1') || '{"begin_number": 1}'),
    'settled completed', 'out');
UPDATE automapost.hosts SET admitted = false;
SELECT is(t.begin(t.job_of(2)), 'stale', 'a machine that is no host any more begins nothing');
UPDATE automapost.hosts SET admitted = true, boot_id = 'another';
SELECT is(t.begin(t.job_of(2)), 'stale', 'nor does a clone');
UPDATE automapost.hosts SET boot_id = 'boot', compared_at = NULL;
SELECT is(t.begin(t.job_of(2)), 'stale', 'nor one that has not compared its mark');
SELECT is(t.meet('a', 1), 'known', 'it does');
SELECT is(t.state(2), 'running 0 pending -', 'nothing was changed');
SELECT is(t.begin(t.job_of(2)), 'go', 'and now it begins');
SELECT is(begins, 2::bigint, 'counted') FROM automapost.hosts;
SELECT is(t.begin(t.job_of(2), 'again'), 'lost', 'what does not begin');
SELECT is(begins, 2::bigint, 'does not count') FROM automapost.hosts;

-- A copy
CREATE FUNCTION pg_temp.copy(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE 'UPDATE automapost.installation SET ' || what;
    answer := (SELECT split_part(m.detail, '(', 1) FROM automapost.meet_host('a', 'a', 'boot', 0,
        NULL) m WHERE m.verdict = 'copy') || t.begin(t.job_of(3));
    RAISE EXCEPTION USING MESSAGE = COALESCE(answer, 'is no copy'), ERRCODE = 'RA001';
EXCEPTION WHEN SQLSTATE 'RA001' THEN
    RETURN SQLERRM;
END
$$;
SELECT is(pg_temp.copy('system_identifier = system_identifier + 1'),
    'this database is a copy: it is on another server stale', 'a dump restored elsewhere');
SELECT is(pg_temp.copy('database_oid = database_oid + 1'),
    'this database is a copy: it is in another database of the server stale',
    'in a database beside it, or a database made from a template');
SELECT is(pg_temp.copy('table_oid = table_oid + 1'),
    'this database is a copy: its tables were made anew stale', 'in the same database');
SELECT is(pg_temp.copy('only_row = only_row'), 'is no copy', 'and nothing of it');
UPDATE automapost.installation SET table_oid = table_oid + 1;
SELECT is(pg_temp.problems(), '{copy}', 'status says so');
SELECT is(automapost.tick('queue', '{}') -> 'hosts', 'null', 'nobody goes on at once in a copy');
SELECT is(pg_temp.problem('copy') -> 'command', '["automapost", "setup", "--adopt"]', 'and how on');
SELECT t.refuses('SELECT t.claim()', 'AM003', 'this database is a copy', 'nothing is claimed');
SELECT t.refuses('SELECT t.claim()', 'AM003', 'sudo automapost setup --adopt', 'and how on');
SELECT t.refuses(format('SELECT automapost.join_host(%L, ''x'', ''x'', ''x'')', pg_temp.id()),
    '55000', 'this database is a copy', 'nobody joins a copy');

-- Adopted: what was due until then is held, unless every host shows that it sent nothing more
SELECT is(t.state(3), 'running 0 pending -', 'a post that was claimed when the copy was made');
SELECT is((installation, state)::text, format('(%s,adopted)', pg_temp.id()), 'taken over')
FROM automapost.adopt_installation('z', 'name of z', 'boot-z');
SELECT is(state, 'unchanged', 'once')
FROM automapost.adopt_installation('z', 'name of z', 'boot-z');
SELECT is(state, 'comparing', 'nothing is begun yet') FROM automapost.installation_now;
SELECT is(pg_temp.problems(), '{comparing}', 'status says so');
SELECT is(pg_temp.problem('comparing') #>> '{facts,hosts}', '["name of a", "name of z"]',
    'and for whom it waits');
SELECT is(t.claim(), '{}', 'nothing is claimed');
SELECT is(t.begin(t.job_of(3)), 'stale', 'nothing is begun');
SELECT matches(pg_temp.said('z', 'boot-z'), '^comparing \| .*adopted.* nothing is sent before name '
    'of a has looked what they sent last, or 1 min 1[0-9] s have passed$',
    'the host that took it over is told for whom it waits');
SAVEPOINT comparing;
SELECT is(t.meet('a', 2), 'known', 'the other has sent nothing that is not known here');
SELECT is(t.state(3), 'running 0 pending -', 'then nothing is in doubt');
ROLLBACK TO comparing;
UPDATE automapost.engine SET compare_wait = '1 us';
SELECT is(t.meet('z', boot => 'boot-z'), 'known, held 1', 'it does not come');
SELECT is(t.state(3), 'failed 0 held unconfirmed', 'then what was due until then is held');
SELECT is(pg_temp.problems(), '{restored}', 'status says so');
SELECT is(t.begin(t.job_of(2)), 'stale', 'and until it comes that host begins nothing');
SELECT is(t.meet('a', 2), 'known', 'when the other comes later, its mark tells nothing new');
SELECT is((deliveries, posts)::text, '(0,0)', 'a person says: on LinkedIn nothing is there')
FROM automapost.resolve_restored('not-sent', NULL, 'linkedin');
SELECT is((deliveries, posts)::text, '(0,0)', 'nothing that was due so long ago')
FROM automapost.resolve_restored('not-sent', now() - interval '1 h');
SELECT is((deliveries, posts)::text, '(1,1)', 'on the others neither')
FROM automapost.resolve_restored('not-sent');
SELECT is(t.state(3), 'pending 0 pending -', 'then it is taken up again');
SELECT t.refuses('SELECT automapost.resolve_restored(''perhaps'')', '22023', 'sent or not-sent',
    'an outcome that is none');
DELETE FROM automapost.hosts WHERE machine = 'z';
UPDATE automapost.engine SET compare_wait = DEFAULT;

-- The mark alone: a disk that was rolled back
SELECT t.publishing(4, comment => 'first!'), t.publishing(5, late => '10 s');
SELECT t.unconfirmed(7);
SELECT t.member(6), t.account(6, 6, 'webhook'), t.post(6, 6, '{6}', now() - interval '50 s',
    comment => 'of a post that nobody has collected');
UPDATE automapost.workers SET ended_at = now();
SELECT is(begins, 3::bigint, 'so many begins are known here') FROM automapost.hosts;
SELECT is(t.meet('a', 9, '30 s'), 'known, held 5', 'its host knows of more, the last 30 s ago');
SELECT is(ARRAY[t.state(3), t.state(4), t.state(4, 'comment'), t.state(6), t.state(6, 'comment')],
    ARRAY['failed 0 held unconfirmed', 'failed 0 held unconfirmed', '  held unconfirmed',
        '  held unconfirmed', '  held unconfirmed'],
    'held: what was due until then, collected or not, and comments');
SELECT is(t.state(5), 'running 0 pending -', 'not what became due after it');
SELECT is(begins, 9::bigint, 'its mark is known here from now on') FROM automapost.hosts;
SELECT is(t.meet('a', 9, '30 s'), 'known', 'and held once');
SELECT ok(last_value > 1000000, 'no lease of then is drawn again') FROM automapost.leases;
SELECT matches(automapost.why((t.delivery(4)).id::text)::text,
    'the database was put back to what it knew', 'why says what happened');
SELECT ok(bool_or((d ->> 'restored')::boolean), 'held says which these are')
FROM automapost.held_deliveries() d;
-- What was begun is reconciled; but not found proves nothing
SELECT t.worker_of('w2', 'a');
SELECT t.pass('46 s');
SELECT t.claim('w2', '{social-media-post}');
SELECT is((SELECT mode FROM t.claims WHERE id = t.job_of(7)), 'reconcile', 'what was begun');
SELECT t.settle(t.job_of(7), 'absent');
SELECT t.pass('61 s');
SELECT t.claim('w2', '{social-media-post}');
SELECT t.settle(t.job_of(7), 'absent');
SELECT is(t.state(7), 'failed 1 held unconfirmed', 'is not sent anew because it is not there');
-- A receipt of a begin that this database does not know
SELECT t.claim('w2', '{social-media-post}');
SELECT t.settle(t.job_of(5), 'done', t.receipt('r5') || '{"begin_number": 3}');
SELECT is(((t.delivery(5)).state, (t.delivery(5)).begin_number)::text, '(sent,3)',
    'a receipt counts, whatever this database knew of its begin');
SELECT is((deliveries, posts)::text, '(6,4)', 'a person says: all of it is there')
FROM automapost.resolve_restored('sent');
SELECT is((t.delivery(4)).sent_at, (t.delivery(4)).due_at, 'sent when it was due');
SELECT is(status::text, 'SENT', 'the application hears of it') FROM posts WHERE id = t.id(4)::uuid;

-- Failover: every host that was seen in the last hour before
SELECT automapost.join_host(pg_temp.id(), m, 'name of ' || m, 'boot')
FROM unnest('{b,long-gone}'::text[]) m;
UPDATE automapost.hosts SET seen_at = seen_at - interval '2 h' WHERE machine = 'long-gone';
SELECT t.publishing(8);
SELECT set_config('test.highest', last_value::text, true) FROM automapost.leases;
CREATE FUNCTION pg_temp.highest() RETURNS bigint LANGUAGE sql AS $$
    SELECT current_setting('test.highest')::bigint
$$;
SELECT t.failover();
SELECT is(t.claim('w2'), '{}', 'nothing is claimed on another timeline');
SELECT is(automapost.tick('queue', '{}') -> 'hosts', 'null',
    'nor does anybody go on at once there');
SELECT matches(pg_temp.said('a'), '^comparing .*failover.* before name of b has looked',
    'the first waits for the second, not for one that was gone before');
SELECT is(t.meet('b'), 'known', 'which comes, and nothing is in doubt');
SELECT is(t.meet('a', 9), 'known', 'nor for the first');
SELECT is(t.state(8), 'pending 0 pending -', 'nothing is held');
SELECT ok((SELECT last_value FROM automapost.leases) >= pg_temp.highest() + 1000000,
    'and no lease of then is drawn again, whatever was lost');
SELECT t.failover();
SELECT is(t.meet('b'), 'comparing', 'once more');
SELECT is(t.meet('a', 10, '20 s'), 'known, held 1', 'one that has sent what is not known here');
SELECT is(t.state(8), 'failed 0 held unconfirmed', 'for all hosts');
-- One that has begun and went on meanwhile: in the time that is lost another may have done it
SELECT t.publishing(10, late => '40 s');
SELECT t.claim('w2', '{social-media-post}');
SELECT is(t.begin(t.job_of(10)), 'go', 'begun');
SELECT t.failover();
SELECT is(t.meet('b'), 'comparing', 'put back');
SELECT is(t.meet('a', 99, '20 s'), 'known', 'and begins were lost');
SELECT is(t.state(10), 'running 1 sending -', 'what is being sent goes on');
SELECT t.settle(t.job_of(10), 'retry', '{"class": "transient", "code": "http-503"}');
SELECT is(t.state(10), 'pending 1 unconfirmed http-503', 'refused, it is looked for all the same');
SELECT t.pass('46 s');
SELECT t.claim('w2', '{social-media-post}');
SELECT t.settle(t.job_of(10), 'absent');
SELECT t.pass('61 s');
SELECT t.claim('w2', '{social-media-post}');
SELECT t.settle(t.job_of(10), 'absent');
SELECT is(t.state(10), 'failed 1 held unconfirmed', 'and not sent anew where it is not there');
-- Started anew: compared, but silence alone puts nothing in doubt
SELECT t.publishing(9);
UPDATE automapost.installation SET server_started_at = server_started_at - interval '1 h';
SELECT matches(pg_temp.said('a'), '^comparing .*started anew', 'a restart is compared too');
UPDATE automapost.installation SET compare_since = compare_since - interval '76 s';
SELECT is(t.meet('a', 10), 'known', 'without those that do not come');
SELECT is(t.state(9), 'pending 0 pending -', 'nothing is held');
SELECT is((SELECT compared_at FROM automapost.hosts WHERE machine = 'b'), NULL,
    'who did not come begins nothing until it does');
SELECT is(t.meet('b'), 'known', 'and then does');

SELECT * FROM finish();
ROLLBACK;
