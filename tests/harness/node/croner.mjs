// SPDX-License-Identifier: MIT
// An evaluator of schedules that is not ours. Questions on stdin, one JSON object a line: {cron,
// zone, after (seconds), count, both (day of month and of week must both match)}; one array of
// seconds each.
import readline from "node:readline";
import { Cron } from "croner";

for await (const line of readline.createInterface({ input: process.stdin })) {
    const { cron, zone, after, count, both } = JSON.parse(line);
    const job = new Cron(cron, { timezone: zone, legacyMode: !both, paused: true });
    const runs = job.nextRuns(count, new Date(after * 1000));
    console.log(JSON.stringify(runs.map((run) => run.getTime() / 1000)));
}
