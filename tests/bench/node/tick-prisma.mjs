// SPDX-License-Identifier: MIT
//
// An empty tick with Prisma's client engine over pg: connect, ask for due posts, find none, end.
import { createRequire } from 'node:module';

const require = createRequire(process.env.BENCH_NODE_FOLDER + '/');
const { PrismaClient } = require('./client');
const { PrismaPg } = require('@prisma/adapter-pg');

const prisma = new PrismaClient({
    adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }),
});
const posts = await prisma.post.findMany({
    where: { status: 'SCHEDULED', scheduledTo: { lte: new Date() }, deletedAt: null },
    select: { id: true, userId: true, content: true, scheduledTo: true },
});
await prisma.$disconnect();
if (posts.length !== 0)
    throw new Error(`the tick is not empty: ${posts.length} posts are due`);
