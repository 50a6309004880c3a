// SPDX-License-Identifier: MIT
//
// BullMQ, which keeps its jobs in Redis.
import { Tally, fill, jobs, measure, require } from './contender.mjs';

const { Queue, Worker } = require('bullmq');

const connection = { path: process.env.BENCH_REDIS, maxRetriesPerRequest: null };
const tally = new Tally();
const queue = new Queue('noop', { connection });
await queue.obliterate({ force: true });    // of the round before
await fill((numbers) => queue.addBulk(numbers.map((n) => ({ name: 'noop', data: { n } }))));
const worker = new Worker('noop', async (job) => tally.count(job.data.n),
                          { connection, concurrency: 50, autorun: false });
let completed = 0;
const stored = new Promise((resolve) => {
    worker.on('completed', () => ++completed === jobs && resolve());
});
worker.on('failed', (job, error) => { throw error; });
worker.on('error', (error) => { throw error; });

await measure(async () => {
    worker.run();
    await stored;
}, async () => {
    const kept = await queue.getCompletedCount();
    if (kept !== jobs)
        throw new Error(`Redis has ${kept} completed jobs of ${jobs}`);
    await worker.close();
    await queue.close();
});
