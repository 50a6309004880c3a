-- May this service run, and is there anything to do? One row: JSON.
SELECT automapost.tick($1::text, $2::text[])
