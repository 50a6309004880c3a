// SPDX-License-Identifier: MIT
// worker.ts: jobs done, failed, cancelled; a worker that stops, and one that is killed.
import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import pg from 'pg';
import { jobQueue, pgQuery } from './jobs';
import type { Query } from './jobs';
import { JobError, startWorker } from './worker';
import type { Handler } from './worker';

type JobTypes = { outside: { n: number } };
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL! });
const query = pgQuery(pool);
const jobs = jobQueue<JobTypes>(query);
after(() => pool.end());

const row = async (id: string) =>
    (await pool.query('SELECT * FROM automapost.job_queue WHERE id = $1', [id])).rows[0];

async function until(probe: () => Promise<unknown>): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!(await probe())) {
        assert.ok(Date.now() < deadline, `not within 20 s: ${probe}`);
        await new Promise((go) => setTimeout(go, 20));
    }
}

async function withWorker(handler: Handler, work: () => Promise<void>, options = {}): Promise<void> {
    const stop = startWorker(query, { outside: handler },
        { pollMs: 50, beatMs: 100, onError: (error) => { throw error; }, ...options });
    try {
        await work();
    } finally {
        await stop();
    }
}

test('done, with its result', async () => {
    const { id } = await jobs.enqueue('outside', { n: 41 });
    await withWorker(async (job) => ({ n: job.payload.n + 1, attempt: job.attempt }),
        () => until(async () => (await row(id)).status === 'completed'));
    assert.deepEqual((await row(id)).result, { n: 42, attempt: 1 });
});

for (const [error, expected] of [
    [new Error('no luck'), ['pending', 'transient', 1]],
    [new JobError('never', 'permanent'), ['failed', 'permanent', 1]],
    [new JobError('later', 'rate-limited', new Date(Date.now() + 600_000)), ['pending', 'rate-limited', 0]],
    [new JobError('a setting', 'config'), ['pending', 'config', 0]],
] as const)
    test(`failed: ${error.message}`, async () => {
        const { id } = await jobs.enqueue('outside', { n: 1 });
        await withWorker(async () => { throw error; },
            () => until(async () => (await row(id)).error_message === error.message));
        const { status, error_class, attempts } = await row(id);
        assert.deepEqual([status, error_class, attempts], expected);
        await pool.query('SELECT automapost.cancel($1) WHERE $2', [id, status === 'pending']);
    });

test('cancelled while it runs', async () => {
    const { id } = await jobs.enqueue('outside', { n: 1 });
    let heard = false;
    await withWorker((job) => new Promise((_, refuse) => job.signal.addEventListener('abort', () => {
        heard = true;
        refuse(new Error('stopped half-way'));
    })), async () => {
        await until(async () => (await row(id)).status === 'running');
        assert.equal(await jobs.cancel(id), 'requested');
        await until(async () => (await row(id)).status === 'cancelled');
    });
    assert.ok(heard);
});

// The database does what it is asked, and the answer to the first such statement is lost.
const losing = (part: string): Query => {
    let lost = false;
    return async <Row>(sql: string, parameters: unknown[]) => {
        if (lost || !sql.includes(part)) return query<Row>(sql, parameters);
        lost = true;
        if (part === 'automapost.claim') await query<Row>(sql, parameters);
        throw new Error('the connection is cut');
    };
};

for (const [part, attempts] of [['automapost.claim', 1], ['automapost.complete', 2]] as const)
    test(`cut off at ${part}, the job is done all the same`, async () => {
        const { id } = await jobs.enqueue('outside', { n: 1 });
        const seen: number[] = [];
        const stop = startWorker(losing(part), { outside: async (job) => { seen.push(job.attempt); } },
            { pollMs: 50, beatMs: 100, onError: (error) => assert.match(`${error}`, /cut/) });
        try {
            await until(async () => {
                await pool.query('SELECT automapost.wake($1)', [id]).catch(() => {});
                return (await row(id)).status === 'completed';
            });
        } finally {
            await stop();
        }
        assert.deepEqual(seen, attempts === 1 ? [1] : [1, 2]);
    });

test('stopped, it ends what it has and takes nothing more', async () => {
    const many = await jobs.enqueueMany(Array.from({ length: 6 }, (_, n) =>
        ({ type: 'outside' as const, payload: { n } })));
    const begun = new Set<string>();
    await withWorker(async (job) => {
        begun.add(job.id);
        await new Promise((go) => setTimeout(go, 300));
    }, () => until(async () => begun.size === 2), { concurrency: 2 });
    const states = await Promise.all(many.map(async ({ id }) => (await row(id)).status));
    assert.equal(begun.size, 2);
    assert.deepEqual(states.sort(), ['completed', 'completed', 'pending', 'pending', 'pending', 'pending']);
    for (const { id } of many) await jobs.cancel(id);
});

test('a limit holds over two workers', async () => {
    const many = await jobs.enqueueMany(Array.from({ length: 8 }, (_, n) =>
        ({ type: 'outside' as const, payload: { n }, limitKey: 'one' })));
    let now = 0, most = 0;
    const handler: Handler = async () => {
        most = Math.max(most, ++now);
        await new Promise((go) => setTimeout(go, 30));
        now--;
    };
    await withWorker(handler, () => withWorker(handler, () => until(async () =>
        (await Promise.all(many.map(async ({ id }) => (await row(id)).status)))
            .every((status) => status === 'completed'))));
    assert.equal(most, 2);      // key_limit of the definition
});

test('killed, its jobs are another worker\'s after the lapse', async () => {
    const { id } = await jobs.enqueue('outside', { n: 7 });
    const child = spawn(process.execPath, ['-e', `
        const pg = require('pg');
        const { pgQuery } = require('./out/jobs.js');
        const { startWorker } = require('./out/worker.js');
        startWorker(pgQuery(new pg.Pool({ connectionString: process.env.DATABASE_URL })),
            { outside: () => { console.log('begun'); return new Promise(() => {}); } }, { beatMs: 100 });`],
        { stdio: ['ignore', 'pipe', 'inherit'], cwd: process.env.FOLDER! });
    await once(child.stdout!, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal((await row(id)).status, 'running');
    let attempt = 0;
    await withWorker(async (job) => { attempt = job.attempt; },
        // Any service's tick gives up who has lapsed; this is what it calls.
        () => until(async () => {
            await fetch(`${process.env.TICK_URL}`);
            return (await row(id)).status === 'completed';
        }));
    assert.equal(attempt, 2);
});
