// SPDX-License-Identifier: MIT
// The statements of the queue class in the plan that this project grew from, one by one, on a schema that
// the search_path finds: each works, or is refused with the names of the functions to call.
import { after, beforeEach, test } from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const { PrismaClient } = createRequire(__filename)('../automapost/client');
const { PrismaPg } = createRequire(__filename)('@prisma/adapter-pg');

const db = new PrismaClient({ adapter: new PrismaPg({
    connectionString: process.env.DATABASE_URL!, options: '-c search_path=public,automapost' }) });
after(() => db.$disconnect());

const worker = 'worker-1-1700000000000';
let id: string;
beforeEach(async () => {
    id = (await db.jobQueue.create({ data: {
        jobType: 'report', payload: { month: '2026-11' }, priority: 5, scheduledFor: new Date(),
        maxAttempts: 3, status: 'pending',
    } })).id;
});

async function isRefused(change: Promise<unknown>): Promise<void> {
    await assert.rejects(change, /is not for application: call .* or as a worker claim, complete and fail/);
    const job = await db.jobQueue.findUnique({ where: { id } });
    assert.deepEqual([job.status, job.attempts, job.lockedBy, job.errorMessage], ['pending', 0, null, null]);
}

test('enqueue works, and what it does not say has the defaults', async () => {
    const job = await db.jobQueue.findUnique({ where: { id } });
    assert.deepEqual([job.jobType, job.payload, job.priority, job.maxAttempts, job.status, job.attempts],
                     ['report', { month: '2026-11' }, 5, 3, 'pending', 0]);
    assert.equal((await db.jobQueue.create({ data: { jobType: 'report' } })).maxAttempts, 3);
});

test('dequeue is refused: jobs are claimed', () => isRefused(db.$transaction((tx: any) => tx.$queryRaw`
    UPDATE job_queue
    SET status = 'running', locked_at = NOW(), locked_by = ${worker}, attempts = attempts + 1
    WHERE id IN (
        SELECT id FROM job_queue
        WHERE status = 'pending' AND job_type = ANY(${['report']}) AND scheduled_for <= NOW()
            AND attempts < max_attempts
            AND (locked_at IS NULL OR locked_at < NOW() - INTERVAL '5 minutes')
        ORDER BY priority DESC, created_at ASC
        LIMIT ${10}
        FOR UPDATE SKIP LOCKED)
    RETURNING *`)));

test('complete is refused', () => isRefused(db.jobQueue.update({
    where: { id },
    data: { status: 'completed', lockedAt: null, lockedBy: null, updatedAt: new Date() },
})));

test('fail is refused, for the last time and for a further one', async () => {
    const job = await db.jobQueue.findUnique({ where: { id } });
    assert.ok(job.attempts < job.maxAttempts);
    const released = { errorMessage: 'no', lockedAt: null, lockedBy: null };
    await isRefused(db.jobQueue.update({ where: { id }, data: { ...released, status: 'failed' } }));
    await isRefused(db.jobQueue.update({
        where: { id },
        data: { ...released, status: 'pending', scheduledFor: new Date(Date.now() + 60_000) },
    }));
});

test('cleanupStuckJobs is refused: a lapse is seen by itself', () => isRefused(db.$executeRaw`
    UPDATE job_queue SET status = 'pending', locked_at = NULL, locked_by = NULL
    WHERE status = 'running' AND locked_at < NOW() - INTERVAL '10 minutes'`));
