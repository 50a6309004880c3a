-- SPDX-License-Identifier: MIT
-- A delivery that is not at its end has a job: whatever a worker did not hear, and whatever a person
-- asked meanwhile, none is left as sending or unconfirmed for nobody. And a person's cancel holds,
-- whatever was edited before it.
BEGIN;
SELECT plan(14);
SELECT t.worker('w1'), t.worker('w2');

-- Begun, with an answer that the worker does not hear.
CREATE FUNCTION pg_temp.begin_unheard(job text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    verdict text := t.begin(job, way => 'resend');
BEGIN
    UPDATE t.claims c SET begin_number = NULL WHERE c.id = job;
    RETURN verdict || ' ' || (SELECT d.state FROM automapost.post_deliveries d WHERE d.job_id = job::uuid);
END $$;

SELECT t.publishing(1) AS job \gset
SELECT t.claim('w1', '{social-media-post}');
SELECT is(pg_temp.begin_unheard(:'job'), 'go sending', 'begun, and the answer is lost');
SELECT t.settle(:'job', 'put-back');
SELECT is(t.state(1), 'pending 0 pending -', 'put back by a worker that was told to stop meanwhile: as if never begun');
SELECT is(t.claim('w2', '{social-media-post}'), ARRAY[:'job'], 'and another takes it');
SELECT t.later();

SELECT t.publishing(2) AS job \gset
SELECT t.claim('w1', '{social-media-post}');
SELECT pg_temp.begin_unheard(:'job');
SELECT t.settle(:'job', 'config', '{"class": "config", "code": "x", "message": "x"}');
SELECT is(t.state(2), 'pending 0 pending x', 'so too where begin, asked again, failed');
SELECT t.later();

SELECT t.unconfirmed(3, way => 'resend') AS job \gset
SELECT t.pass('1 min');
SELECT t.claim('w1', '{social-media-post}');
SELECT is(pg_temp.begin_unheard(:'job'), 'go sending', 'sent before with an unknown end, begun once more, unheard');
SELECT t.settle(:'job', 'put-back');
SELECT is((t.delivery(3)).state || ' ' || (t.job(:'job')).status, 'unconfirmed pending', 'the doubt stays, and somebody to end it');
SELECT t.later();

-- A person asks for the end of a job that looks for a post, and its worker dies.
SELECT t.unconfirmed(4) AS job \gset
SELECT t.pass('1 min');
SELECT t.claim('w2', '{social-media-post}');
SELECT is((SELECT was FROM automapost.cancel(:'job')), 'requested', 'cancelled while somebody looks for the post');
SELECT automapost.release_worker('w2', 'killed');
SELECT is((t.delivery(4)).state || ' ' || (t.job(:'job')).status, 'unconfirmed pending', 'the next one looks again');
SELECT t.later();

-- Edited, then cancelled: the cancel was the last word.
SELECT t.publishing(5) AS job \gset
UPDATE posts SET content = 'edited' WHERE id = t.id(5)::uuid;
SELECT automapost.cancel(:'job');
SELECT t.collect();
SELECT is((t.delivery(5)).state, 'cancelled', 'an edit before the cancel does not undo it');
UPDATE posts SET content = 'edited again' WHERE id = t.id(5)::uuid;
SELECT t.collect();
SELECT is((t.delivery(5)).state, 'pending', 'an edit after it does');
SELECT t.later();

SELECT t.worker('w3');
SELECT t.publishing(6) AS job \gset
SELECT t.claim('w3', '{social-media-post}');
UPDATE posts SET content = 'edited' WHERE id = t.id(6)::uuid;
SELECT automapost.cancel(:'job');
SELECT is(t.begin(:'job'), 'cancelled', 'edited and cancelled between claim and begin');
SELECT t.collect();
SELECT is((t.delivery(6)).state, 'cancelled', 'it stays so');
SELECT t.later();

-- The receipt of a worker that was given up came while another had the job, which then died too.
SELECT t.worker('w4');
SELECT t.unconfirmed(7) AS job \gset
SELECT t.item(c, 'done') AS receipt FROM t.claims c WHERE c.id = :'job' \gset
SELECT t.pass('1 min');
SELECT t.claim('w4', '{social-media-post}');
SELECT automapost.settle_jobs('w1', :'receipt'::jsonb);
SELECT automapost.release_worker('w4', 'killed');
SELECT is((t.delivery(7)).state || ' ' || (t.job(:'job')).status, 'sent pending', 'sent, and a job that does not know');
SELECT is((SELECT was FROM automapost.cancel(:'job')) || ' ' || (t.job(:'job')).status, 'completed completed',
    'nobody is told that it was cancelled');
SELECT * FROM finish();
ROLLBACK;
