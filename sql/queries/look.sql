-- Is there anything to do for a worker that stays? One row: JSON.
SELECT automapost.look($1::text, $2::text[])
