-- SPDX-License-Identifier: MIT
-- The book of alerts, which one host holds at a time.
BEGIN;
SELECT plan(14);

SELECT results_eq($$ SELECT * FROM automapost.take_alerts('host-1') $$, ARRAY['{}'],
    'an empty book, for whoever asks first');
SELECT results_eq($$ SELECT * FROM automapost.take_alerts('host-1') $$, ARRAY['{}'],
    'its holder may take it again');
SELECT is_empty($$ SELECT * FROM automapost.take_alerts('host-2') $$, 'nobody else');
SELECT ok(NOT automapost.put_alerts('host-2', '{"alerts": [1]}', false), 'nor write it');
SELECT ok(automapost.put_alerts('host-1', '{"b": 1,  "a": 2}', true), 'the holder may');
SELECT is_empty($$ SELECT * FROM automapost.take_alerts('host-2') $$, 'and keep it');
SELECT ok(automapost.put_alerts('host-1', '{"b": 1,  "a": 2}', false), 'or give it back');
SELECT ok(NOT automapost.put_alerts('host-1', '{}', false), 'and then it is not its own');
SELECT results_eq($$ SELECT * FROM automapost.take_alerts('host-2') $$, ARRAY['{"b": 1,  "a": 2}'],
    'the next has it to the letter');

SELECT throws_ok($$ SELECT automapost.put_alerts('host-2', '[]', true) $$, '23514', NULL,
    'only a book is a book');
SELECT throws_ok($$ SELECT automapost.put_alerts('host-2', 'no JSON', true) $$, '22P02');
SELECT t.change($$ UPDATE automapost.alert_book SET taken_until = now() - interval '1 s' $$);
SELECT ok(NOT automapost.put_alerts('host-2', '{}', false), 'a holder that is late has lost it');
SELECT isnt_empty($$ SELECT * FROM automapost.take_alerts('host-1') $$, 'to whoever comes');
SELECT cmp_ok(taken_until, '>', now() + interval '110 s', 'for longer than telling takes')
FROM automapost.alert_book;

SELECT * FROM finish();
ROLLBACK;
