// SPDX-License-Identifier: MIT
//
// The worker that this project replaces, as the plan has it: take ten jobs, and one after the other
// for each an execution row and log lines, read the post, POST to its accounts, mark post, job and
// execution; until none is left. With fetch and pg, each statement a commit of its own.
import { createRequire } from 'node:module';
import { createHmac, randomUUID } from 'node:crypto';

const require = createRequire(process.env.BENCH_NODE_FOLDER + '/');
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
const worker = `worker-${process.pid}`;

async function dequeue(limit) {
    const { rows } = await pool.query(
        `UPDATE plan.job_queue
         SET status = 'running', locked_at = NOW(), locked_by = $1, attempts = attempts + 1
         WHERE id IN (
             SELECT id FROM plan.job_queue
             WHERE status = 'pending' AND job_type = ANY($2) AND scheduled_for <= NOW()
                 AND attempts < max_attempts
                 AND (locked_at IS NULL OR locked_at < NOW() - INTERVAL '5 minutes')
             ORDER BY priority DESC, created_at ASC
             LIMIT $3
             FOR UPDATE SKIP LOCKED)
         RETURNING *`, [worker, ['social-media-post'], limit]);
    return rows;
}

function log(execution, message) {
    return pool.query(
        `INSERT INTO plan.job_logs (job_execution_id, level, message) VALUES ($1, 'info', $2)`,
        [execution, message]);
}

async function publish(account, post) {
    const id = randomUUID();
    const timestamp = Math.floor(Date.now() / 1000).toString();
    const body = JSON.stringify({ type: 'post.published', timestamp: new Date().toISOString(),
                                  data: { postId: post.id, text: post.content } });
    const key = Buffer.from(account.accessToken.slice('whsec_'.length), 'base64');
    const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
    const answer = await fetch(account.providerAccountId, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'webhook-id': id,
                   'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` },
        body,
    });
    await answer.text();
    if (!answer.ok)
        throw new Error(`answered ${answer.status}`);
}

async function run(job) {
    const started = Date.now();
    const { rows: [execution] } = await pool.query(
        `INSERT INTO plan.job_executions (job_queue_id, status, started_at, metadata)
         VALUES ($1, 'running', NOW(), $2) RETURNING id`, [job.id, job.payload]);
    await log(execution.id, `Starting job: ${job.job_type}`);
    const { rows: [post] } = await pool.query('SELECT * FROM posts WHERE id = $1',
                                              [job.payload.postId]);
    const { rows: accounts } = await pool.query(
        'SELECT * FROM auth_providers WHERE id::text = ANY($1)', [post.authProviderIds]);
    for (const account of accounts)
        await publish(account, post);
    await pool.query(`UPDATE posts SET status = 'SENT' WHERE id = $1`, [post.id]);
    await pool.query(
        `UPDATE plan.job_queue
         SET status = 'completed', locked_at = NULL, locked_by = NULL, updated_at = NOW()
         WHERE id = $1`, [job.id]);
    await pool.query(
        `UPDATE plan.job_executions SET status = 'completed', finished_at = NOW(), duration_ms = $2
         WHERE id = $1`, [execution.id, Date.now() - started]);
    await log(execution.id, 'Job completed successfully');
}

for (;;) {
    const jobs = await dequeue(10);
    if (jobs.length === 0)
        break;
    for (const job of jobs)
        await run(job);
}
await pool.end();
