// SPDX-License-Identifier: MIT
//
// What the peers share: telling the harness that they are ready, over the descriptor it named, and
// ending without ceremony when it says so.

import fs from 'node:fs';

export const options = JSON.parse(process.env.PEER_OPTIONS);

export function ready() {
    fs.writeSync(Number(process.env.PEER_READY_FD), 'ready\n');
}

process.on('SIGTERM', () => process.exit(0));
