-- One row: how many running jobs were taken from workers that do not end them.
SELECT automapost.expire_overdue($1::bigint)
