// SPDX-License-Identifier: MIT
//
// graphile-worker at rest in its default mode, which hears of a job by notification. Each job says
// when it was begun: milliseconds since the epoch, with their fractions.
import { require, say, url } from './contender.mjs';

const { run, Logger } = require('graphile-worker');

const runner = await run({
    connectionString: url, logger: new Logger(() => () => {}), noHandleSignals: true, crontab: '',
    concurrency: 10,
    taskList: {
        noop: async ({ n }) => {
            const at = performance.timeOrigin + performance.now();
            process.stdout.write(JSON.stringify({ n, at }) + '\n');
        },
    },
});
await say('ready');
await runner.stop();
process.exit(0);
