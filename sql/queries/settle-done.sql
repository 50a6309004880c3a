-- Rows: leases that are not settled by it.
SELECT s.lease
FROM automapost.settle_done($1::text, $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[],
    $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bigint[]) s
