// SPDX-License-Identifier: MIT
//
// 1,000 jobs per call, one call after the other on one connection, from the application's side:
// "ours" is SELECT enqueue_many with pg, with a key each; "graphile-worker" its addJobs.
import { fill, measure, require, url } from './contender.mjs';

const { Pool } = require('pg');

const pool = new Pool({ connectionString: url, max: 1 });
pool.on('error', (error) => { throw error; });

async function ours(numbers) {
    const jobs = numbers.map((n) => ({
        job_type: n % 2 ? 'noop' : 'sleep', payload: { ms: 0 }, job_key: `job-${n}`,
        limit_key: `limit-${n % 1000}`,
    }));
    const { rows } = await pool.query('SELECT id FROM automapost.enqueue_many($1)',
                                      [JSON.stringify(jobs)]);
    if (rows.length !== numbers.length)
        throw new Error(`enqueue_many of ${numbers.length} gave ${rows.length} ids`);
}

async function graphile() {
    const { makeWorkerUtils, Logger } = require('graphile-worker');
    const utils = await makeWorkerUtils({ pgPool: pool, logger: new Logger(() => () => {}) });
    await utils.migrate();
    return (numbers) => utils.addJobs(
        numbers.map((n) => ({ identifier: 'noop', payload: { n } })));
}

const add = process.argv[2] === 'ours' ? ours : await graphile();
await measure(() => fill(add), () => pool.end());
