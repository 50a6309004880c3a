// SPDX-License-Identifier: MIT
//
// The worker of the plan with jobs that do nothing, four side by side, each on a connection of its
// own. The harness looks at what they left in the plan's tables.
import { Tally, fill, measure, require, url } from './contender.mjs';
import { PlanWorker } from './plan.mjs';

const { Pool } = require('pg');
const WORKERS = 4;

const tally = new Tally();
const pool = new Pool({ connectionString: url, max: WORKERS });
await fill((numbers) => pool.query(
    `INSERT INTO plan.job_queue (job_type, payload)
     SELECT 'noop', jsonb_build_object('n', n) FROM unnest($1::int[]) n`, [numbers]));

const workers = Array.from({ length: WORKERS }, (_, i) =>
    new PlanWorker(pool, `worker-${process.pid}-${i}`, { noop: async ({ n }) => tally.count(n) }));

await measure(async () => {
    await Promise.all(workers.map((worker) => worker.runAll()));
    await tally.finished;
}, () => pool.end());
