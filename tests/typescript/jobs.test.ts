// SPDX-License-Identifier: MIT
// jobs.ts over pg, Drizzle and Prisma, on the real schema, as the application's role.
import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import pg from 'pg';
import { drizzle } from 'drizzle-orm/node-postgres';
import { sql } from 'drizzle-orm';
import { createRequire } from 'node:module';
import { CODES, drizzleQuery, jobQueue, pgQuery, prismaQuery, sqlState } from './jobs';
import type { BuiltinTypes, Payload, Query } from './jobs';

const { PrismaClient } = createRequire(__filename)('../client');
const { PrismaPg } = createRequire(__filename)('@prisma/adapter-pg');

type JobTypes = BuiltinTypes & { report: { month: string; deep?: Payload } };

const connectionString = process.env.DATABASE_URL!;
const pool = new pg.Pool({ connectionString });
const orm = drizzle(pool);
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString }) });

after(async () => {
    await prisma.$disconnect();
    await pool.end();
});

// A transaction that writes a post and does something beside it, by each of the three.
type Within = (insert: () => Promise<string>, query: Query) => Promise<void>;
const text = `INSERT INTO posts ("userId", content, status) VALUES ('${process.env.USER_ID}', 'a draft', 'DRAFT')
    RETURNING id::text`;
const ways: Record<string, { query: Query; transaction: (work: Within) => Promise<void> }> = {
    pg: {
        query: pgQuery(pool),
        async transaction(work) {
            const client = await pool.connect();
            try {
                await client.query('BEGIN');
                await work(async () => (await client.query(text)).rows[0].id, pgQuery(client));
                await client.query('COMMIT');
            } catch (error) {
                await client.query('ROLLBACK');
                throw error;
            } finally {
                client.release();
            }
        },
    },
    drizzle: {
        query: drizzleQuery(orm, sql),
        async transaction(work) {
            await orm.transaction((tx) => work(
                async () => (await tx.execute(sql.raw(text))).rows[0]!.id as string,
                drizzleQuery(tx, sql)));
        },
    },
    prisma: {
        query: prismaQuery(prisma),
        async transaction(work) {
            await prisma.$transaction((tx: any) => work(async () => (await tx.post.create({
                data: { userId: process.env.USER_ID, content: 'a draft', status: 'DRAFT' },
            })).id, prismaQuery(tx)));
        },
    },
};

const count = async (table: string, id: string) =>
    Number((await pool.query(`SELECT count(*) FROM ${table} WHERE id = $1`, [id])).rows[0].count);
const payloadOf = async (id: string) =>
    (await pool.query('SELECT payload FROM automapost.job_queue WHERE id = $1', [id])).rows[0].payload;

for (const [name, way] of Object.entries(ways)) {
    const jobs = jobQueue<JobTypes>(way.query);

    test(`${name}: a post and its job are there together`, async () => {
        let post = '', job = '';
        await way.transaction(async (insert, query) => {
            post = await insert();
            job = (await jobQueue<JobTypes>(query).enqueue('report', { month: post })).id;
        });
        assert.deepEqual([await count('posts', post), await count('automapost.job_queue', job)], [1, 1]);
    });

    test(`${name}: or neither is`, async () => {
        let post = '', job = '';
        await assert.rejects(way.transaction(async (insert, query) => {
            post = await insert();
            job = (await jobQueue<JobTypes>(query).enqueue('report', { month: post })).id;
            throw new Error('the application thinks better of it');
        }), /thinks better/);
        assert.notEqual(job, '');
        assert.deepEqual([await count('posts', post), await count('automapost.job_queue', job)], [0, 0]);
    });

    test(`${name}: what goes in is what is there`, async () => {
        const deep = { at: new Date('2026-03-29T01:30:00.123Z'), none: null, list: [1, [2], { three: '3' }],
                       large: Number.MAX_SAFE_INTEGER, small: 1e-9, text: 'é 👩‍🚀 \\ " \n $1', yes: true };
        const { id } = await jobs.enqueue('report', { month: '2026-11', deep });
        assert.deepEqual(await payloadOf(id), JSON.parse(JSON.stringify({ month: '2026-11', deep })));
    });

    test(`${name}: options`, async () => {
        const scheduledFor = new Date(Date.now() + 3_600_000);
        const { id, was } = await jobs.enqueue('report', { month: 'x' }, {
            priority: 9, scheduledFor, maxAttempts: 2, jobKey: `${name}-key`, limitKey: 'one' });
        const row = (await pool.query('SELECT * FROM automapost.job_queue WHERE id = $1', [id])).rows[0];
        assert.equal(was, 'inserted');
        assert.deepEqual([row.priority, row.scheduled_for, row.max_attempts, row.job_key, row.limit_key],
                         [9, scheduledFor, 2, `${name}-key`, 'one']);
        const again = { jobKey: `${name}-key`, onConflict: 'keep' } as const;
        assert.deepEqual(await jobs.enqueue('report', { month: 'y' }, again), { id, was: 'kept' });
        assert.deepEqual(await jobs.enqueue('report', { month: 'z' }, { ...again, onConflict: 'replace' }),
                         { id, was: 'replaced' });
        assert.deepEqual(await payloadOf(id), { month: 'z' });
        await assert.rejects(jobs.enqueue('report', { month: 'w' }, { jobKey: `${name}-key` }),
                             new RegExp(id));
    });

    test(`${name}: many, or none of them`, async () => {
        const many = await jobs.enqueueMany(Array.from({ length: 500 }, (_, n) =>
            ({ type: 'report' as const, payload: { month: `${n}` }, priority: 1 })));
        assert.equal(new Set(many.map((job) => job.id)).size, 500);
        assert.deepEqual(await payloadOf(many[499]!.id), { month: '499' });
        const before = (await pool.query('SELECT count(*) FROM automapost.job_queue')).rows[0].count;
        await assert.rejects(jobs.enqueueMany([
            { type: 'report', payload: { month: '1' } },
            { type: 'report', payload: { month: '2' }, priority: -1 }]), /priority/);
        assert.equal((await pool.query('SELECT count(*) FROM automapost.job_queue')).rows[0].count, before);
    });

    test(`${name}: what is refused says why`, async () => {
        await assert.rejects(jobs.enqueue('reprot' as 'report', { month: 'x' }), (error: Error) => {
            assert.match(error.message, /job_type "reprot" is not defined/);
            assert.equal(sqlState(error), '22023');
            return true;
        });
        // On the table itself, by whatever means: the name of the function to call.
        const { id } = await jobs.enqueue('report', { month: 'x' });
        for (const statement of ['UPDATE automapost.job_queue SET priority = 1 WHERE id::text = $1',
                                 'DELETE FROM automapost.job_queue WHERE id::text = $1'])
            await assert.rejects(way.query(statement, [id]),
                (error) => sqlState(error) === '42501' && /is not for application: call automapost\.cancel, retry or enqueue/.test(String(error)));
    });

    test(`${name}: cancel, why, retry`, async () => {
        const { id } = await jobs.enqueue('report', { month: 'x' });
        assert.equal((await jobs.why(id))[0]!.state, 'pending');
        assert.equal(await jobs.cancel(id), 'cancelled');
        const [why] = await jobs.why(id);
        assert.deepEqual([why!.jobId, why!.state], [id, 'cancelled']);
        assert.match(why!.sentence, /cancelled/);
        assert.equal(await jobs.retry(id), 'cancelled');
        assert.equal((await jobs.why(id))[0]!.state, 'pending');
    });

    test(`${name}: what becomes of a post`, async () => {
        assert.equal(await jobs.publication('00000000-0000-4000-8000-000000000000'), null);
        const found = await jobs.publication(process.env.FAILED_POST_ID!);
        assert.equal(found!.state, 'failed');
        assert.ok(found!.dueAt instanceof Date && found!.finishedAt instanceof Date);
        const [account] = found!.accounts;
        assert.deepEqual([account!.state, account!.code, account!.url],
                         ['failed', 'unsupported-platform', null]);
    });
}

test('the types refuse what the queue would', () => {
    const jobs = jobQueue<JobTypes>(ways.pg!.query);
    // Only compiled: each line is an error of the compiler, and one that is none is one as well.
    const never = () => {
        // @ts-expect-error no such type
        void jobs.enqueue('reprot', { month: 'x' });
        // @ts-expect-error a payload without its month
        void jobs.enqueue('report', {});
        // @ts-expect-error no such way
        void jobs.enqueue('report', { month: 'x' }, { onConflict: 'ignore' });
        // @ts-expect-error one of another type
        void jobs.enqueueMany([{ type: 'sleep', payload: { month: 'x' } }]);
    };
    assert.equal(typeof never, 'function');
});

test('the codes are those of the services', () => {
    assert.deepEqual([...CODES].sort(), process.env.CODES!.split(' ').sort());
});
