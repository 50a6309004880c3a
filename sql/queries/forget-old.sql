-- One row: how many rows were forgotten.
SELECT automapost.forget_old($1::bigint)
