// SPDX-License-Identifier: MIT
/**
 * A worker of the application's own, for job types whose definition says handler = 'external': the same
 * leases, beats, limits, retries and history as the services have. A file to copy beside jobs.ts.
 *
 *     const stop = startWorker(pgQuery(pool), { report: async (job) => ({ rows: await make(job.payload) }) });
 *     process.once('SIGTERM', () => stop());
 *
 * A job may be done twice, where its worker died after it and before it could say so: make it harmless, by
 * job.id.
 */
import { randomUUID } from 'node:crypto';
import { sqlState } from './jobs';
import type { Query } from './jobs';

export interface ExternalJob<Payload = any> {
    id: string;
    type: string;
    /** 1 for the first. */
    attempt: number;
    payload: Payload;
    /** Aborted when the job is cancelled, taken away, or past the definition's timeout_ms. */
    signal: AbortSignal;
}

/** Throw it for anything but "again after a backoff", which every other error means. */
export class JobError extends Error {
    constructor(
        message: string,
        /** permanent, auth, permission: failed for good. rate-limited: again at retryAt, no attempt used.
            config: again later, no attempt used. */
        readonly errorClass: 'transient' | 'rate-limited' | 'config' | 'auth' | 'permission' | 'permanent',
        readonly retryAt?: Date,
    ) {
        super(message);
    }
}

/** What it answers is kept with the job, as JSON. */
export type Handler = (job: ExternalJob) => Promise<unknown>;

export interface WorkerOptions {
    /** How many jobs at once; 4. */
    concurrency?: number;
    /** How often to look while there is nothing, in milliseconds; 1000. */
    pollMs?: number;
    /** How often to give a sign of life, in milliseconds, below 5000; 3000. */
    beatMs?: number;
    /** What could not be done for the worker's own sake: a database out of reach, for one. */
    onError?: (error: unknown) => void;
}

interface Row { id: string; lease: string; job_type: string; attempt: string; timeout_ms: string; payload: string }

/**
 * Claims and does jobs until the function that it returns is called: then it claims nothing more, and
 * that function's promise ends when what is at work has. Its errors never end it.
 */
export function startWorker(
    query: Query, handlers: Record<string, Handler>, options: WorkerOptions = {},
): () => Promise<void> {
    const { concurrency = 4, pollMs = 1000, beatMs = 3000, onError = console.error } = options;
    const name = `external-${randomUUID()}`;
    const types = Object.keys(handlers);
    const running = new Map<string, { abort: AbortController; done: Promise<void> }>();
    let stopping = false;
    let wake = () => {};
    // Asked again with the same one after an answer that was lost, claim() gives the same jobs.
    let batch = randomUUID();
    let known = false; // to the database, since the first claim

    async function claim(): Promise<boolean> {
        const rows = await query<Row>(
            `SELECT id, lease::text AS lease, job_type, attempt::text AS attempt,
                 timeout_ms::text AS timeout_ms, payload::text AS payload
             FROM automapost.claim($1::text[], $2::text, $3::text, $4::bigint)`,
            [types, name, batch, concurrency - running.size]);
        batch = randomUUID();
        known = true;
        for (const row of rows) {
            const abort = new AbortController();
            const done = work(row, abort).catch(onError).finally(() => {
                running.delete(row.lease);
                wake();
            });
            running.set(row.lease, { abort, done });
        }
        return rows.length > 0;
    }

    async function work(row: Row, abort: AbortController): Promise<void> {
        const timer = setTimeout(() => abort.abort(new Error('past its timeout')), Number(row.timeout_ms));
        let result: unknown;
        try {
            result = await handlers[row.job_type]!({
                id: row.id, type: row.job_type, attempt: Number(row.attempt),
                payload: JSON.parse(row.payload), signal: abort.signal,
            });
        } catch (error) {
            const known = error instanceof JobError;
            return settle(row, `SELECT FROM automapost.fail($1::text, $2::bigint, $3::text, $4::text,
                                    $5::timestamptz)`,
                [known ? error.errorClass : 'transient',
                    error instanceof Error ? error.message : String(error),
                    (known && error.retryAt?.toISOString()) || null]);
        } finally {
            clearTimeout(timer);
        }
        // Where this fails the job did not: beats name it no more, so it is put back, and done again.
        return settle(row, 'SELECT FROM automapost.complete($1::text, $2::bigint, $3::text::jsonb)',
            [result === undefined ? null : JSON.stringify(result)]);
    }

    async function settle(row: Row, sql: string, parameters: unknown[]): Promise<void> {
        try {
            await query(sql, [row.id, row.lease, ...parameters]);
        } catch (error) {
            // AM002: somebody else has the job by now, and what came of it here counts no more.
            if (sqlState(error) !== 'AM002') throw error;
        }
    }

    async function beat(): Promise<void> {
        const rows = await query<{ lease: string }>(
            'SELECT lease::text AS lease FROM automapost.beat($1::text, $2::bigint[])',
            [name, [...running.keys()]]);
        for (const { lease } of rows)
            running.get(lease)?.abort.abort(new Error('cancelled, or taken away'));
    }

    async function loop(): Promise<void> {
        while (!stopping) {
            let more = false;
            try {
                more = running.size < concurrency && (await claim());
            } catch (error) {
                onError(error);
            }
            if (!more && !stopping)
                await new Promise<void>((go) => {
                    const timer = setTimeout(go, pollMs);
                    wake = () => { clearTimeout(timer); go(); };
                });
        }
    }

    const beats = setInterval(() => known && beat().catch(onError), beatMs);
    const ended = loop();
    return async () => {
        stopping = true;
        wake();
        await ended;
        await Promise.all([...running.values()].map((job) => job.done));
        clearInterval(beats);
    };
}
