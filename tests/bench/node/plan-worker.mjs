// SPDX-License-Identifier: MIT
//
// The plan's worker with its publishing: the post is read, POSTed to its accounts with fetch, and
// marked.
import { createRequire } from 'node:module';
import { createHmac, randomUUID } from 'node:crypto';
import { PlanWorker } from './plan.mjs';

const require = createRequire(process.env.BENCH_NODE_FOLDER + '/');
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 1 });

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

async function publishPost({ postId }) {
    const { rows: [post] } = await pool.query('SELECT * FROM posts WHERE id = $1', [postId]);
    const { rows: accounts } = await pool.query(
        'SELECT * FROM auth_providers WHERE id::text = ANY($1)', [post.authProviderIds]);
    for (const account of accounts)
        await publish(account, post);
    await pool.query(`UPDATE posts SET status = 'SENT' WHERE id = $1`, [post.id]);
}

await new PlanWorker(pool, `worker-${process.pid}`, { 'social-media-post': publishPost }).runAll();
await pool.end();
