-- Rows: leases that are not settled by it.
SELECT s.lease
FROM automapost.settle_done($1::text, $2::uuid[], $3::bigint[], $4::uuid[], $5::timestamptz[],
    $6::bigint[], $7::text[], $8::uuid[], $9::uuid[], $10::text[], $11::text[], $12::timestamptz[]) s
