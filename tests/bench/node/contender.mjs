// SPDX-License-Identifier: MIT
//
// What the peers of the queue bench have in common: the harness says "go" once a contender has made
// its tables, put its jobs in and said "ready"; the contender says how long it took, in seconds of
// its own clock, without its start. Every job has a number and may be done once.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

export const require = createRequire(process.env.BENCH_NODE_FOLDER + '/');
export const url = process.env.DATABASE_URL;
export const jobs = Number(process.env.BENCH_JOBS);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Says something, as a line of JSON, and waits for the harness to answer.
export async function say(what) {
    process.stdout.write(JSON.stringify(what) + '\n');
    const { value, done } = await lines.next();
    if (done)
        process.exit(1);
    return value;
}

export class Tally {
    #seen = new Uint8Array(jobs);
    #count = 0;
    #done;
    finished = new Promise((resolve) => { this.#done = resolve; });

    count(n) {
        if (this.#seen[n]++)
            throw new Error(`job ${n} was done twice`);
        if (++this.#count === jobs)
            this.#done();
    }
}

// Calls insert() with the numbers of 1,000 jobs at a time.
export async function fill(insert) {
    for (let begin = 0; begin < jobs; begin += 1000)
        await insert(Array.from({ length: Math.min(1000, jobs - begin) }, (_, i) => begin + i));
}

// run() resolves when every job is done and stored; stop() is outside of the clock.
export async function measure(run, stop) {
    await say('ready');
    const begin = performance.now();
    await run();
    await say((performance.now() - begin) / 1000);
    await stop();
    process.exit(0);
}
