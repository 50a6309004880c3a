// SPDX-License-Identifier: MIT
//
// graphile-worker as it comes ("default"), and in its best mode ("best"): jobs taken 500 at a time,
// completed together. It deletes a job when it is done; that must have happened within the clock.
import { Tally, fill, measure, require, url } from './contender.mjs';

const { run, makeWorkerUtils, Logger } = require('graphile-worker');

const logger = new Logger(() => () => {});
const tally = new Tally();
const utils = await makeWorkerUtils({ connectionString: url, logger });
await utils.migrate();
await fill((numbers) => utils.addJobs(numbers.map((n) => ({ identifier: 'noop', payload: { n } }))));
await utils.release();

const best = { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } };
let runner;
await measure(async () => {
    runner = await run({
        connectionString: url, logger, noHandleSignals: true, crontab: '', concurrency: 24,
        taskList: { noop: async ({ n }) => tally.count(n) },
        preset: process.argv[2] === 'best' ? best : {},
    });
    await tally.finished;
    await runner.stop();
}, () => {});
