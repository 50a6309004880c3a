// SPDX-License-Identifier: MIT
//
// An application's enqueue, from TypeScript over pg: CONTENDER WAY, where WAY is "single" (one job per
// call, one call after the other) or "bulk" (1,000 per call). "ours" is jobs.ts as it is copied.
import { fill, jobs as count, measure, require, url } from './contender.mjs';

const { Pool } = require('pg');

const [contender, way] = process.argv.slice(2);
const pool = new Pool({ connectionString: url, max: 1 });
pool.on('error', (error) => { throw error; });
let stop = () => pool.end();

// Each: how to add one, how to add many.
const contenders = {
    async ours() {
        const { jobQueue, pgQuery } = await import('../../../packaging/typescript/jobs.ts');
        const jobs = jobQueue(pgQuery(pool));
        return [
            (n) => jobs.enqueue('noop', { n }),
            (numbers) => jobs.enqueueMany(numbers.map((n) => ({ type: 'noop', payload: { n } }))),
        ];
    },
    async 'graphile-worker'() {
        const { makeWorkerUtils, Logger } = require('graphile-worker');
        const utils = await makeWorkerUtils({ pgPool: pool, logger: new Logger(() => () => {}) });
        await utils.migrate();
        return [
            (n) => utils.addJob('noop', { n }),
            (numbers) => utils.addJobs(
                numbers.map((n) => ({ identifier: 'noop', payload: { n } }))),
        ];
    },
    async 'pg-boss'() {
        const { PgBoss } = require('pg-boss');
        const boss = new PgBoss({ connectionString: url, max: 1, supervise: false, schedule: false });
        boss.on('error', (error) => { throw error; });
        await boss.start();
        await boss.createQueue('noop');
        stop = async () => {
            await boss.stop({ graceful: false });
            await pool.end();
        };
        return [
            (n) => boss.send('noop', { n }),
            (numbers) => boss.insert('noop', numbers.map((n) => ({ data: { n } }))),
        ];
    },
};

const [addOne, addMany] = await contenders[contender]();
await measure(async () => {
    if (way === 'bulk')
        return fill(addMany);
    for (let n = 0; n < count; n++)
        await addOne(n);
}, () => stop());
