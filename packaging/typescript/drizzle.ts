// SPDX-License-Identifier: MIT
// Made by packaging/typescript/generate. For queries alone: leave this file out of "schema" in
// drizzle.config.ts, and what is in there must not export it, or drizzle-kit would make these tables.
// Jobs may be inserted and read; what changes one is a function of jobs.ts.
import { relations, sql } from 'drizzle-orm';
import { bigint, boolean, integer, jsonb, pgSchema, primaryKey, text, timestamp, uuid, varchar } from 'drizzle-orm/pg-core';

export const automapost = pgSchema('automapost');

export const jobDefinitions = automapost.table('job_definitions', {
    id: uuid('id').primaryKey().default(sql`gen_random_uuid()`),
    name: varchar('name', { length: 255 }).notNull(),
    kind: text('kind').notNull().default(sql`'type'::text`),
    description: text('description'),
    cronSchedule: varchar('cron_schedule', { length: 100 }),
    timezone: text('timezone').notNull().default(sql`'UTC'::text`),
    isActive: boolean('is_active').notNull().default(sql`true`),
    pausedReason: text('paused_reason'),
    pausedBy: text('paused_by'),
    pausedAt: timestamp('paused_at', { withTimezone: true }),
    pausedUntil: timestamp('paused_until', { withTimezone: true }),
    maxRetries: integer('max_retries').notNull().default(sql`3`),
    timeoutMs: integer('timeout_ms').notNull().default(sql`300000`),
    concurrencyLimit: integer('concurrency_limit').default(sql`1`),
    keyLimit: integer('key_limit').notNull().default(sql`2`),
    handler: text('handler').notNull().default(sql`'builtin'::text`),
    touchesWorld: boolean('touches_world').notNull().default(sql`false`),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().default(sql`now()`),
    updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().default(sql`now()`),
    defaultSchedule: varchar('default_schedule', { length: 100 }),
    httpUrl: text('http_url'),
    httpCredential: text('http_credential'),
    httpHeaders: jsonb('http_headers'),
});

export const jobQueue = automapost.table('job_queue', {
    id: uuid('id').primaryKey().default(sql`gen_random_uuid()`),
    jobType: varchar('job_type', { length: 100 }).notNull(),
    priority: integer('priority').notNull().default(sql`5`),
    payload: jsonb('payload'),
    scheduledFor: timestamp('scheduled_for', { withTimezone: true }).notNull().default(sql`now()`),
    status: varchar('status', { length: 50 }).notNull().default(sql`'pending'::character varying`),
    lockedAt: timestamp('locked_at', { withTimezone: true }),
    lockedBy: varchar('locked_by', { length: 255 }),
    attempts: integer('attempts').notNull().default(sql`0`),
    maxAttempts: integer('max_attempts').default(sql`3`),
    errorMessage: text('error_message'),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().default(sql`now()`),
    updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().default(sql`now()`),
    jobKey: text('job_key'),
    limitKey: text('limit_key'),
    dueAt: timestamp('due_at', { withTimezone: true }),
    lease: bigint('lease', { mode: 'bigint' }),
    claimBatch: text('claim_batch'),
    executionId: uuid('execution_id'),
    begun: boolean('begun').notNull().default(sql`false`),
    cancelRequestedAt: timestamp('cancel_requested_at', { withTimezone: true }),
    cancelRequestedBy: text('cancel_requested_by'),
    firstLimitedAt: timestamp('first_limited_at', { withTimezone: true }),
    waitsFor: text('waits_for'),
    errorClass: text('error_class'),
    errorCode: text('error_code'),
    result: jsonb('result'),
    createdBy: text('created_by').notNull().default(sql`SESSION_USER`),
    finishedAt: timestamp('finished_at', { withTimezone: true }),
    cancelVersion: text('cancel_version'),
    beginBatch: text('begin_batch'),
});

export const jobExecutions = automapost.table('job_executions', {
    id: uuid('id').primaryKey().default(sql`gen_random_uuid()`),
    jobDefinitionId: uuid('job_definition_id'),
    jobQueueId: uuid('job_queue_id'),
    status: varchar('status', { length: 50 }).notNull(),
    startedAt: timestamp('started_at', { withTimezone: true }),
    finishedAt: timestamp('finished_at', { withTimezone: true }),
    durationMs: integer('duration_ms'),
    retryCount: integer('retry_count').notNull().default(sql`0`),
    errorMessage: text('error_message'),
    metadata: jsonb('metadata'),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().default(sql`now()`),
    workerId: text('worker_id'),
    errorClass: text('error_class'),
    errorCode: text('error_code'),
});

export const jobLogs = automapost.table('job_logs', {
    id: uuid('id').notNull().default(sql`gen_random_uuid()`),
    jobExecutionId: uuid('job_execution_id').notNull(),
    level: varchar('level', { length: 20 }).notNull(),
    message: text('message').notNull(),
    data: jsonb('data'),
    timestamp: timestamp('timestamp', { withTimezone: true }).notNull().default(sql`clock_timestamp()`),
}, (table) => [primaryKey({ columns: [table.jobExecutionId, table.id] })]);

export const postPublication = automapost.view('post_publication', {
    postId: text('post_id'),
    state: text('state'),
    dueAt: timestamp('due_at', { withTimezone: true }),
    finishedAt: timestamp('finished_at', { withTimezone: true }),
    accounts: jsonb('accounts'),
}).existing();

export const accountStatus = automapost.view('account_status', {
    authProviderId: text('auth_provider_id'),
    userId: text('user_id'),
    provider: text('provider'),
    state: text('state'),
    since: timestamp('since', { withTimezone: true }),
    expiresAt: timestamp('expires_at', { withTimezone: true }),
    code: text('code'),
    detail: text('detail'),
    postsAtRisk: bigint('posts_at_risk', { mode: 'bigint' }),
}).existing();

export const jobQueueRelations = relations(jobQueue, ({ many }) => ({
    executions: many(jobExecutions),
}));
export const jobExecutionsRelations = relations(jobExecutions, ({ one, many }) => ({
    job: one(jobQueue, { fields: [jobExecutions.jobQueueId], references: [jobQueue.id] }),
    logs: many(jobLogs),
}));
export const jobLogsRelations = relations(jobLogs, ({ one }) => ({
    execution: one(jobExecutions, {
        fields: [jobLogs.jobExecutionId], references: [jobExecutions.id],
    }),
}));
