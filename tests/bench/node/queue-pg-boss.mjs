// SPDX-License-Identifier: MIT
//
// pg-boss at its limit: fetch() and complete() of 1,000, twice side by side (work() waits half a
// second between two looks).
import { Tally, fill, measure, require, url } from './contender.mjs';

const { PgBoss } = require('pg-boss');

const tally = new Tally();
const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
boss.on('error', (error) => { throw error; });
await boss.start();
await boss.createQueue('noop');
await fill((numbers) => boss.insert('noop', numbers.map((n) => ({ data: { n } }))));

async function work() {
    for (;;) {
        const batch = await boss.fetch('noop', { batchSize: 1000 });
        if (batch.length === 0)
            return;
        for (const job of batch)
            tally.count(job.data.n);
        await boss.complete('noop', batch.map((job) => job.id));
    }
}

await measure(async () => {
    await Promise.all([work(), work()]);
    await tally.finished;
}, () => boss.stop({ graceful: false }));
