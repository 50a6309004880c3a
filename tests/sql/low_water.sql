-- SPDX-License-Identifier: MIT
-- How claims remember how far they have come, and that they take the same jobs as if they did not.
BEGIN;
SELECT plan(46);
SELECT t.worker('w1');

-- Plain job n of that priority, due so many minutes ago, or later than all before it by a second.
CREATE FUNCTION pg_temp.job(n bigint, priority bigint DEFAULT 5, minutes double precision DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT id FROM automapost.enqueue('plain', jsonb_build_object('n', n), priority,
        COALESCE(now() - minutes * interval '1 min', now() - interval '1 h' + n * interval '1 s'))
$$;
CREATE FUNCTION pg_temp.claimed(n bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(q.payload ->> 'n', ' ' ORDER BY q.priority DESC, q.scheduled_for)
    FROM unnest(t.claim('w1', '{plain}', n)) c (id) JOIN automapost.job_queue q ON q.id::text = c.id
$$;
CREATE FUNCTION pg_temp.low() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(l.priority || ' from ' || (q.payload ->> 'n'), ', ' ORDER BY l.priority)
    FROM automapost.low_water l
    LEFT JOIN automapost.job_queue q ON q.scheduled_for = l.scheduled_for AND q.priority = l.priority
$$;
CREATE FUNCTION pg_temp.later() RETURNS void LANGUAGE sql AS $$
    SELECT t.change('UPDATE automapost.low_water SET looked_at = looked_at - interval ''30 s''')
$$;
CREATE FUNCTION pg_temp.lowest() RETURNS bigint LANGUAGE sql AS $$
    SELECT min(q.lease) FROM automapost.job_queue q WHERE q.status = 'running'
$$;

-- When
SELECT pg_temp.job(n) FROM generate_series(1, 20) n;
SELECT is(pg_temp.claimed(2), '1 2', 'the first of a queue');
SELECT is(pg_temp.low(), NULL, 'of few jobs nothing is remembered');
SELECT is((low_lease, noted)::text, '(0,0)', 'nor which run') FROM automapost.claim_turns
WHERE handler = 'builtin';
SELECT t.change('UPDATE automapost.claim_turns SET note_after = 4');
SELECT is(pg_temp.claimed(2), '3 4', 'after many');
SELECT is(pg_temp.low(), '5 from 5', 'it is remembered which is the first that waits');
SELECT is(c.low_lease, pg_temp.lowest(), 'and the lowest lease') FROM automapost.claim_turns c
WHERE handler = 'builtin';
SELECT is(pg_temp.claimed(2), '5 6', 'the next claim goes on there');

-- What comes in
SELECT pg_temp.job(101, 5, 90);
SELECT is(pg_temp.claimed(1), '7', 'below it nothing is seen');
SELECT pg_temp.job(102, 9), pg_temp.job(103, 7), pg_temp.job(104, 2);
SELECT is(pg_temp.claimed(3), '102 103 8', 'of other priorities all is');
SELECT pg_temp.later();
SELECT is(pg_temp.claimed(1), '101', 'a while later all is looked at');
SELECT is(pg_temp.low() LIKE '%5 from 9%', true, 'and remembered anew');
SELECT is(pg_temp.claimed(100), '9 10 11 12 13 14 15 16 17 18 19 20 104', 'to the last, and the lesser ones');
SELECT ok(bool_and(l.scheduled_for < clock_timestamp()), 'what is due from now on is never below it')
FROM automapost.low_water l;
SELECT pg_temp.job(105, 5, 0);
SELECT is(pg_temp.claimed(1), '105', 'so it is seen at once');

-- When the many are over
SELECT pg_temp.job(106);
SELECT t.change('UPDATE automapost.claim_turns SET noted = (SELECT last_value FROM automapost.leases),
    noted_at = noted_at - interval ''1 min''');
SELECT is(pg_temp.claimed(1), NULL, 'below it nothing is seen');
SELECT pg_temp.later();
SELECT is(pg_temp.claimed(1), '106', 'a while later it is');
SELECT is(pg_temp.low(), NULL, 'and of that type nothing is remembered');

-- What runs. By lease there is one way to it, whatever the statistics say.
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query;
END
$$;
SELECT matches(string_agg(p, ' '), '(on|using) job_queue_running', 'a look by lease goes along the leases')
FROM pg_temp.plan('SELECT job_type FROM automapost.job_queue WHERE lease >= 1 AND lease > 0') p WHERE p LIKE '%Scan%';
SELECT t.settle(c.id, 'done') FROM t.claims c JOIN automapost.job_queue q ON q.id::text = c.id
WHERE q.status = 'running' AND q.lease <> pg_temp.lowest();
SELECT pg_temp.job(n) FROM generate_series(201, 212) n;
SELECT pg_temp.later();
SELECT pg_temp.claimed(6), pg_temp.claimed(2);
SELECT is(c.low_lease, pg_temp.lowest(), 'one that runs for long is not forgotten')
FROM automapost.claim_turns c WHERE handler = 'builtin';
SELECT t.change('UPDATE automapost.job_definitions SET concurrency_limit = 10 WHERE name = ''plain''');
SELECT is(pg_temp.claimed(10), '209', 'and counts: 9 run, and 10 may');
SELECT t.change('UPDATE automapost.job_definitions SET concurrency_limit = NULL WHERE name = ''plain''');
SELECT t.settle(c.id, 'done') FROM t.claims c JOIN automapost.job_queue q ON q.id::text = c.id
WHERE q.status = 'running';
SELECT pg_temp.claimed(100);
SELECT pg_temp.job(n) FROM generate_series(301, 310) n;
SELECT pg_temp.later();
SELECT pg_temp.claimed(5), pg_temp.claimed(1);
SELECT ok(c.low_lease >= pg_temp.lowest() - 1 AND c.low_lease <= pg_temp.lowest(),
    'when it ends, the lowest is another') FROM automapost.claim_turns c WHERE handler = 'builtin';
SELECT is(t.claim('w1', '{plain}', 3, 'the batch'), t.claim('w1', '{plain}', 3, 'the batch'),
    'a claim asked for again is still found');

-- The same as without: anything due above the low water, of any priority, at every step.
CREATE FUNCTION pg_temp.choice(fresh boolean) RETURNS tid[] LANGUAGE plpgsql AS $$
DECLARE
    e automapost.engine;
    chosen tid[];
BEGIN
    SELECT * INTO e FROM automapost.engine;
    UPDATE automapost.low_water SET looked_at = looked_at - CASE WHEN fresh THEN interval '0' ELSE '1 h' END;
    chosen := automapost.choose_jobs('{plain,limited}', 7, 'builtin', CASE WHEN fresh THEN (
        SELECT c.low_lease FROM automapost.claim_turns c WHERE c.handler = 'builtin') ELSE 0 END, e);
    UPDATE automapost.low_water SET looked_at = looked_at + CASE WHEN fresh THEN interval '0' ELSE '1 h' END;
    RETURN chosen;
END
$$;
CREATE FUNCTION pg_temp.differences(steps bigint) RETURNS TABLE (compared bigint, known bigint, odd bigint)
LANGUAGE plpgsql AS $$
DECLARE
    step bigint;
BEGIN
    compared := 0;
    known := 0;
    odd := 0;
    FOR step IN 1 .. steps LOOP
        PERFORM automapost.enqueue(CASE WHEN random() < 0.5 THEN 'plain' ELSE 'limited' END, '{}',
            (random() * 3)::bigint, GREATEST((SELECT max(l.scheduled_for) FROM automapost.low_water l),
                now() - interval '1 h') + step * interval '10 ms' * random(),
            job_key => CASE WHEN random() < 0.3 THEN 'key ' || (random() * 5)::bigint END,
            on_conflict => 'keep', limit_key => CASE WHEN random() < 0.5 THEN 'limit ' || (random() * 3)::bigint END)
        FROM generate_series(1, (random() * 5)::bigint);
        UPDATE automapost.low_water SET looked_at = clock_timestamp();    -- however slow this is
        IF pg_temp.choice(true) <> pg_temp.choice(false) THEN
            odd := odd + 1;
        END IF;
        compared := compared + cardinality(pg_temp.choice(true));
        known := known + (SELECT count(*) FROM automapost.low_water);
        PERFORM t.claim('w1', '{plain,limited}', (random() * 6)::bigint + 1);
        PERFORM t.settle(c.id, 'done')
        FROM (SELECT q.id::text FROM automapost.job_queue q WHERE q.status = 'running'
              ORDER BY random() LIMIT (random() * 6)::bigint) c;
    END LOOP;
    RETURN NEXT;
END
$$;
SELECT t.change('INSERT INTO automapost.job_definitions (name, kind, description, key_limit, concurrency_limit)
    VALUES (''limited'', ''type'', ''-'', 2, 4)');
SELECT t.change('UPDATE automapost.claim_turns SET note_after = 3');
SELECT t.change('DELETE FROM automapost.low_water');
SELECT pg_temp.claimed(100);
CREATE TEMP TABLE d AS SELECT * FROM pg_temp.differences(200);
SELECT is(odd, 0::bigint, 'the same jobs in the same order') FROM d;
SELECT ok(compared > 200 AND known > 200, 'of some hundreds: ' || compared || ', ' || known) FROM d;

-- A look at all counts twenty times as long as it took.
CREATE FUNCTION pg_temp.good_for(took interval) RETURNS interval LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.later(), t.change('UPDATE automapost.low_water SET swept = NULL');
    PERFORM automapost.note_low_water(c, ARRAY(SELECT q FROM automapost.job_queue q WHERE q.lease > 0
        AND q.job_type = 'plain' AND q.priority = 5 LIMIT 1),
        c.noted + c.note_after, took)
    FROM automapost.claim_turns c WHERE c.handler = 'builtin';
    RETURN (SELECT max(l.good_for) FROM automapost.low_water l
            WHERE l.looked_at > clock_timestamp() - interval '10 s');
END
$$;
SELECT pg_temp.job(901), pg_temp.later();
SELECT t.claim('w1', '{plain}', 1000) IS NOT NULL;     -- whatever was left, and that one: something runs
SELECT ok(pg_temp.good_for('0') < '20 s', 'one that took nothing, a second');
SELECT ok(pg_temp.good_for('1 s') BETWEEN '20 s' AND '30 s', 'one of a second, twenty');
SELECT is(pg_temp.good_for('1 min'), '30 s', 'and none more than 30');

-- One that takes long is no longer made in one go: from the low water down, a part at a time.
CREATE FUNCTION pg_temp.sweep() RETURNS text LANGUAGE sql AS $$
    SELECT extract(epoch FROM l.scheduled_for - l.swept)::bigint || ' s down, next '
        || extract(epoch FROM l.step)::bigint || ' s'
    FROM automapost.low_water l WHERE l.job_type = 'plain' AND l.priority = 5
$$;
-- Job n, due so many seconds before the low water.
CREATE FUNCTION pg_temp.below(n bigint, seconds double precision) RETURNS text LANGUAGE sql AS $$
    SELECT e.id FROM automapost.low_water l, automapost.enqueue('plain', jsonb_build_object('n', n), 5,
        l.scheduled_for - seconds * interval '1 s') e WHERE l.job_type = 'plain' AND l.priority = 5
$$;
-- A claim of one for which it is time to look further, as if it had taken so long.
CREATE FUNCTION pg_temp.swept(took interval) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.later();
    PERFORM automapost.note_sweep('{plain}', '{}', took);
    RETURN pg_temp.sweep();
END
$$;
SELECT t.change('UPDATE automapost.claim_turns SET note_after = 1000000');
SELECT pg_temp.good_for('0.1 s');
SELECT is(pg_temp.sweep(), NULL, 'one of a tenth of a second is made in one go');
SELECT pg_temp.good_for('1 s');
SELECT is(pg_temp.sweep(), '0 s down, next 10 s', 'one of a second is not');
SELECT pg_temp.below(911, 3), pg_temp.below(912, 4), pg_temp.below(913, 15), pg_temp.job(914, 9),
    pg_temp.below(915, -0.05);
SELECT is(pg_temp.claimed(2), '914 915', 'the low water counts');
SELECT pg_temp.later();
SELECT is(automapost.look('realtime', '{plain}') -> 'sweep', 'true', 'a while later a look asks for a claim');
SELECT is(automapost.look('realtime', '{plain}') -> 'due', '0', 'though nothing seems to wait');
SELECT is(pg_temp.claimed(1), '912', 'that sees what lies just below');
SELECT is(pg_temp.sweep(), '0 s down, next 10 s', 'where there was something there may be more');
SELECT is(pg_temp.claimed(10), '911', 'there is');
SELECT is(pg_temp.claimed(10), NULL, 'until there is not');
SELECT is(pg_temp.sweep(), '10 s down, next 40 s', 'then the next part comes, a larger one where that took little');
SELECT is(automapost.look('realtime', '{plain}') -> 'sweep', 'false', 'but not at once');
SELECT is(pg_temp.claimed(10), NULL, 'nor does a claim look further');
SELECT pg_temp.later();
SELECT is(pg_temp.claimed(10), '913', 'a while later it does');
SELECT is(pg_temp.swept('0.1 s'), '50 s down, next 40 s', 'as much at a time as takes a tenth of a second');
SELECT is(pg_temp.swept('0.2 s'), '90 s down, next 20 s', 'less if it took more');
SELECT is(pg_temp.swept('0.02 s'), '110 s down, next 40 s', 'twice as much at most if it took less');
SELECT pg_temp.swept('0') FROM generate_series(1, 7);
SELECT is(pg_temp.swept('0.01 s'), '0 s down, next 10 s', 'after the last, from anew');
SELECT pg_temp.swept('0') FROM generate_series(1, 7);
SELECT ok(pg_temp.swept('0') LIKE '218450 s down%', 'all the way');
SELECT is(pg_temp.swept('0'), NULL, 'and when all of it takes little, in one go');

SELECT * FROM finish();
ROLLBACK;
