// SPDX-License-Identifier: MIT
/**
 * The queue of automapost-jobs from TypeScript: a file to copy, without a dependency.
 *
 *     const jobs = jobQueue<JobTypes>(pgQuery(pool));
 *     await jobs.enqueue('report', { month: '2026-11' }, { jobKey: 'report:2026-11', onConflict: 'replace' });
 *
 * Publishing needs no call: a due row of `posts` is enough.
 */

/** A statement with $1, $2, … and its parameters; the rows by column name. */
export type Query = <Row>(sql: string, parameters: unknown[]) => Promise<Row[]>;

// Adapters. Within a transaction pass its client: the job is there exactly when the transaction is.

/** For a Pool, Client or PoolClient of `pg`. */
export function pgQuery(client: {
    query(sql: string, parameters: unknown[]): Promise<{ rows: unknown[] }>;
}): Query {
    return async <Row>(sql: string, parameters: unknown[]) =>
        (await client.query(sql, parameters)).rows as Row[];
}

/** For Prisma's client, or the `tx` of an interactive transaction. */
export function prismaQuery(client: {
    $queryRawUnsafe(sql: string, ...parameters: unknown[]): Promise<unknown>;
}): Query {
    return async <Row>(sql: string, parameters: unknown[]) =>
        (await client.$queryRawUnsafe(sql, ...parameters)) as Row[];
}

/** For Drizzle over `pg` (`db`, or the `tx` of a transaction); `sql` is the one of drizzle-orm. */
export function drizzleQuery<Statement>(
    db: { execute(statement: Statement): Promise<unknown> },
    sql: {
        raw(text: string): Statement;
        join(parts: Statement[]): Statement;
        param(value: unknown): unknown;
    } & ((strings: TemplateStringsArray, ...values: unknown[]) => Statement),
): Query {
    return async <Row>(text: string, parameters: unknown[]) => {
        const parts = text.split(/\$(\d+)/).map((part, i) =>
            i % 2 === 0 ? sql.raw(part) : sql`${sql.param(parameters[Number(part) - 1])}`);
        const answer = await db.execute(sql.join(parts)).catch((error) => {
            throw error.cause ?? error; // Drizzle's own says only which statement it was
        });
        return (Array.isArray(answer) ? answer : (answer as { rows: unknown[] }).rows) as Row[];
    };
}

/** The SQLSTATE of what the server refused ('22023': an argument), whoever has wrapped it. */
export function sqlState(error: any): string | undefined {
    const of = (e: any) => e?.meta?.driverAdapterError?.cause?.originalCode ?? e?.meta?.code ?? e?.code;
    return of(error) ?? of(error?.cause);
}

// Words

/** What a job is given: anything that JSON has. A Date becomes its ISO 8601 text. */
export type Payload = { [name: string]: Json | Date | undefined };
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json | undefined };

/** Extend it by your own: `type JobTypes = BuiltinTypes & { report: { month: string } }`. */
export type BuiltinTypes = {
    'social-media-post': { postId: string; authProviderId?: string; kind?: 'post' | 'comment' };
    'refresh-token': { authProviderId: string };
    noop: Payload;
    'noop-send': Payload;
    sleep: { ms: number };
};

/** Why a post, or a job, is not done: the closed list. Translate these, never the detail. */
export const CODES = [
    'reconnect-account', 'permission-missing', 'account-invalid', 'not-your-account', 'no-account',
    'forbidden-host', 'endpoint-gone', 'text-too-long', 'text-empty', 'media-required', 'duplicate',
    'parent-missing', 'rejected', 'unsupported-platform', 'rate-limited', 'platform-down', 'tls',
    'cancelled', 'missed-late', 'unconfirmed', 'operator-action',
] as const;
export type Code = (typeof CODES)[number];

export type JobStatus = 'pending' | 'running' | 'completed' | 'failed' | 'timeout' | 'cancelled';

export interface EnqueueOptions {
    /** 0 to 1000, higher first; 5. */
    priority?: number;
    /** At most 7 days past; now. */
    scheduledFor?: Date;
    /** Tries in all, 1 to 1000; what the type's definition says. */
    maxAttempts?: number;
    /** At most one job of this type and key waits. 1 to 500 characters. */
    jobKey?: string;
    /** Where one lives: an error that names it, nothing, or it takes what is new. 'reject'. */
    onConflict?: 'reject' | 'keep' | 'replace' | 'reschedule';
    /** At most `key_limit` jobs of the type run at once with the same. */
    limitKey?: string;
}

export interface Enqueued {
    id: string;
    was: 'inserted' | 'kept' | 'replaced' | 'rescheduled' | 'successor';
}

export interface Publication {
    postId: string;
    state: 'publishing' | 'sent' | 'partly_sent' | 'failed' | 'held' | 'missed' | 'cancelled';
    dueAt: Date | null;
    finishedAt: Date | null;
    accounts: {
        authProviderId: string | null;
        provider: string | null;
        state: 'pending' | 'sending' | 'unconfirmed' | 'sent' | 'failed' | 'held' | 'missed' | 'cancelled';
        url: string | null;
        code: Code | null;
        detail: string | null;
        retryAt: Date | null;
        firstComment: { state: string; url: string | null; code: Code | null; detail: string | null } | null;
    }[];
}

export interface Why {
    jobId: string | null;
    deliveryId: string | null;
    postId: string | null;
    state: string;
    /** One word, for programs. */
    reason: string;
    /** For a person, in English. */
    sentence: string;
}

type NewJob<Types> = { [Type in keyof Types]: { type: Type; payload: Types[Type] } & EnqueueOptions }[keyof Types];

export interface JobQueue<Types> {
    enqueue<Type extends keyof Types & string>(
        type: Type, payload: Types[Type], options?: EnqueueOptions): Promise<Enqueued>;
    /** All or nothing, in the order of the list; a refusal says at which place. */
    enqueueMany(jobs: NewJob<Types>[]): Promise<Enqueued[]>;
    /** 'cancelled', 'requested' (it runs, and may end before it hears), or the end that it had. */
    cancel(id: string): Promise<string>;
    /** Once more, now. Past the late limit of a post only with `late`. */
    retry(id: string, late?: boolean): Promise<string>;
    /** Of a job, a delivery or a post, or the first digits of its id. */
    why(id: string): Promise<Why[]>;
    /** null: it is scheduled, and nothing has happened yet. */
    publication(postId: string): Promise<Publication | null>;
}

export function jobQueue<Types extends object = BuiltinTypes>(query: Query): JobQueue<Types> {
    const one = async <Row>(sql: string, parameters: unknown[]): Promise<Row> =>
        (await query<Row>(sql, parameters))[0] as Row;

    return {
        async enqueue(type, payload, options = {}) {
            return one<Enqueued>(
                `SELECT id, was FROM automapost.enqueue($1::text, $2::text::jsonb,
                     priority => $3::bigint, scheduled_for => COALESCE($4::timestamptz, now()),
                     max_attempts => $5::bigint, job_key => $6::text, on_conflict => $7::text,
                     limit_key => $8::text)`,
                [type, JSON.stringify(payload), options.priority ?? 5,
                    options.scheduledFor?.toISOString() ?? null, options.maxAttempts ?? null,
                    options.jobKey ?? null, options.onConflict ?? 'reject', options.limitKey ?? null]);
        },

        async enqueueMany(jobs) {
            const rows = jobs.map((job) => ({
                job_type: job.type, payload: job.payload, priority: job.priority,
                scheduled_for: job.scheduledFor, max_attempts: job.maxAttempts,
                job_key: job.jobKey, on_conflict: job.onConflict, limit_key: job.limitKey,
            }));
            return query<Enqueued>(
                'SELECT id, was FROM automapost.enqueue_many($1::text::jsonb) ORDER BY n',
                [JSON.stringify(rows)]);
        },

        async cancel(id) {
            return (await one<{ was: string }>('SELECT was FROM automapost.cancel($1::text)', [id])).was;
        },

        async retry(id, late = false) {
            return (await one<{ was: string }>(
                'SELECT was FROM automapost.retry($1::text, $2::boolean)', [id, late])).was;
        },

        async why(id) {
            return query<Why>(
                `SELECT job_id AS "jobId", delivery_id AS "deliveryId", post_id AS "postId", state,
                     reason, sentence
                 FROM automapost.why($1::text)`, [id]);
        },

        async publication(postId) {
            const row = await one<{ publication: string } | undefined>(
                `SELECT to_jsonb(p)::text AS publication
                 FROM automapost.publication(ARRAY[$1::text]) p`, [postId]);
            return row ? readPublication(JSON.parse(row.publication)) : null;
        },
    };
}

const time = (text: string | null): Date | null => (text === null ? null : new Date(text));

// What to_jsonb() makes of a row; names and times become TypeScript's.
function readPublication(row: any): Publication {
    return {
        postId: row.post_id, state: row.state, dueAt: time(row.due_at),
        finishedAt: time(row.finished_at),
        accounts: row.accounts.map((a: any) => ({
            authProviderId: a.auth_provider_id, provider: a.provider, state: a.state, url: a.url,
            code: a.code, detail: a.detail, retryAt: time(a.retry_at), firstComment: a.first_comment,
        })),
    };
}
