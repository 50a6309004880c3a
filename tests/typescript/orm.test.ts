// SPDX-License-Identifier: MIT
// Our tables through the application's ORM: what may be done with them, and what is refused.
import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import pg from 'pg';
import { eq } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import * as schema from './drizzle';
import { sqlState } from './jobs';

const { PrismaClient } = createRequire(__filename)('../automapost/client');
const { PrismaPg } = createRequire(__filename)('@prisma/adapter-pg');

const connectionString = process.env.DATABASE_URL!;
const done = process.env.DONE_JOB_ID!, post = process.env.FAILED_POST_ID!;
const pool = new pg.Pool({ connectionString });
const orm = drizzle(pool, { schema });
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString }) });
after(async () => {
    await prisma.$disconnect();
    await pool.end();
});

const scheduledFor = new Date(Date.now() + 3_600_000);
const payload = { month: '2026-11', list: [1, null, { deep: 'é' }] };
const refusedWith = (sentence: string) => (error: unknown) =>
    sqlState(error) === '42501'
    && `${error} ${(error as { cause?: unknown }).cause}`.includes(`is not for application: ${sentence}`);
const refused = refusedWith('call automapost.cancel, retry or enqueue');
// The tables of which the application may change nothing, and what it is told to call.
const closed = {
    jobDefinitions: refusedWith('call automapost.pause or resume'),
    jobExecutions: refusedWith('it is the history; call automapost.retry or cancel, or as a worker complete or fail'),
    jobLogs: refusedWith('it is the history; as a worker call automapost.complete or fail'),
};
const id = '01a21d98-0000-7000-8000-000000000000';
const line = { jobExecutionId: id, id }; // the key of what an execution said
const columns = { jobDefinitions: { name: 'mine' }, jobExecutions: { status: 'completed' },
                  jobLogs: { jobExecutionId: id, level: 'info', message: 'm' } };

test('Prisma: a job is created', async () => {
    const made = await prisma.jobQueue.create({ data: { jobType: 'report', payload, scheduledFor } });
    const found = await prisma.jobQueue.findUnique({ where: { id: made.id } });
    assert.deepEqual([found.payload, found.scheduledFor, found.status, found.maxAttempts],
                     [payload, scheduledFor, 'pending', 3]); // the column's own default
    for (const change of [
        () => prisma.jobQueue.update({ where: { id: made.id }, data: { status: 'completed' } }),
        () => prisma.jobQueue.upsert({ where: { id: made.id }, create: { jobType: 'report' },
                                       update: { priority: 9 } }),
        () => prisma.jobQueue.delete({ where: { id: made.id } })])
        await assert.rejects(change(), refused);
    await assert.rejects(prisma.jobQueue.create({ data: { jobType: 'reprot' } }), /is not defined/);
});

test('Prisma: its executions and their lines', async () => {
    const job = await prisma.jobQueue.findUnique({
        where: { id: done }, include: { executions: { include: { logs: true } } } });
    assert.deepEqual([job.status, job.executions.length], ['completed', 1]);
    assert.ok(job.executions[0].logs.some((line: any) => /Sleeping for 1 ms/.test(line.message)));
    const publication = await prisma.postPublication.findFirst({ where: { postId: post } });
    assert.deepEqual([publication.state, publication.accounts[0].code],
                     ['failed', 'unsupported-platform']);
});

for (const [name, refusal] of Object.entries(closed))
    test(`Prisma: nothing of ${name} is changed`, async () => {
        const model = prisma[name], data = columns[name as keyof typeof columns];
        for (const change of [
            () => model.create({ data }),
            () => model.updateMany({ data }),
            () => model.upsert({ where: name === 'jobLogs' ? { jobExecutionId_id: line } : { id }, create: data, update: data }),
            () => model.deleteMany({})])
            await assert.rejects(change(), refusal);
    });

test('Drizzle: a job is inserted', async () => {
    const [made] = await orm.insert(schema.jobQueue)
        .values({ jobType: 'report', payload, scheduledFor }).returning();
    const found = await orm.query.jobQueue.findFirst({ where: eq(schema.jobQueue.id, made!.id) });
    assert.deepEqual([found!.payload, found!.scheduledFor, found!.status, found!.maxAttempts],
                     [payload, scheduledFor, 'pending', 3]); // the column's own default
    const one = eq(schema.jobQueue.id, made!.id);
    for (const change of [
        () => orm.update(schema.jobQueue).set({ status: 'completed' }).where(one),
        () => orm.insert(schema.jobQueue).values({ id: made!.id, jobType: 'report' })
            .onConflictDoUpdate({ target: schema.jobQueue.id, set: { priority: 9 } }),
        () => orm.delete(schema.jobQueue).where(one)])
        await assert.rejects(async () => { await change(); }, refused);
});

test('Drizzle: its executions and their lines', async () => {
    const job = await orm.query.jobQueue.findFirst({
        where: eq(schema.jobQueue.id, done), with: { executions: { with: { logs: true } } } });
    assert.deepEqual([job!.status, job!.executions.length], ['completed', 1]);
    assert.ok(job!.executions[0]!.logs.some((line) => /Sleeping for 1 ms/.test(line.message)));
    const [publication] = await orm.select().from(schema.postPublication)
        .where(eq(schema.postPublication.postId, post));
    assert.equal(publication!.state, 'failed');
});

for (const [name, refusal] of Object.entries(closed))
    test(`Drizzle: nothing of ${name} is changed`, async () => {
        const table = schema[name as keyof typeof closed] as any, data = columns[name as keyof typeof columns];
        for (const change of [
            () => orm.insert(table).values(data),
            () => orm.update(table).set(data),
            () => orm.insert(table).values({ id, ...data }).onConflictDoUpdate({
                target: name === 'jobLogs' ? [table.jobExecutionId, table.id] : table.id, set: data }),
            () => orm.delete(table)])
            await assert.rejects(async () => { await change(); }, refusal);
    });
