// SPDX-License-Identifier: MIT
// The README's route of a Next.js application, called by the real service (by test_typescript.py).
import { createServer } from 'node:http';
import { POST } from './readme-3';

createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const answer = await POST(new Request(`http://localhost${incoming.url}`, {
        method: 'POST', headers: incoming.headers as Record<string, string>, body: Buffer.concat(chunks),
    }));
    outgoing.writeHead(answer.status, { 'content-type': 'application/json' });
    outgoing.end(await answer.text());
}).listen(0, '127.0.0.1', function (this: any) {
    console.log(this.address().port);
});
