// SPDX-License-Identifier: MIT
//
// An empty tick with pg: connect, ask for due posts, find none, end.
import { createRequire } from 'node:module';

const require = createRequire(process.env.BENCH_NODE_FOLDER + '/');
const { Client } = require('pg');

const client = new Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
const { rows } = await client.query(
    `SELECT id, "userId", content, "scheduledTo" FROM posts
     WHERE status = 'SCHEDULED' AND "scheduledTo" <= now() AND "deletedAt" IS NULL`);
await client.end();
if (rows.length !== 0)
    throw new Error(`the tick is not empty: ${rows.length} posts are due`);
