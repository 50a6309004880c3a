// SPDX-License-Identifier: MIT
//
// Prism between a client and a server: each request and each answer is compared with an OpenAPI
// document. A request that does not fit is not passed on (401, 404 or 422), an answer that does not
// fit becomes a 500. What did not fit is told on stdout, a line each, before that is answered.

import http from 'node:http';
import { getHttpOperationsFromSpec } from '@stoplight/prism-http';
import router from '@stoplight/prism-http/dist/router/index.js';
import validator from '@stoplight/prism-http/dist/validator/index.js';
import { createServer } from '@stoplight/prism-http-server';
import { options, ready } from './peer.mjs';

// A step of Prism's own, whose result is an Either: on the left what does not fit.
const telling = (what, step) => (given) => {
    const result = step(given);
    for (const { path, message } of [result.left ?? []].flat()) {
        console.log('violation:', what, (path ?? []).join('.'), message);
    }
    return result;
};

const silent = () => {};
const logger = {
    trace: silent, debug: silent, info: silent, success: silent, warn: silent, error: silent,
    fatal: silent,
};
logger.child = () => logger;

// A connection that waits for its next use may be closed by the server at that very moment.
http.globalAgent = new http.Agent({ keepAlive: false });

const operations = await getHttpOperationsFromSpec(options.document);
const server = createServer(operations, {
    cors: false,
    components: {
        logger,
        route: telling('route', router.default),
        validateInput: telling('request', validator.validateInput),
        validateSecurity: telling('security', validator.validateSecurity),
        validateOutput: telling('answer', validator.validateOutput),
    },
    config: {
        isProxy: true,
        upstream: new URL(options.upstream),
        checkSecurity: true,
        validateRequest: true,
        validateResponse: true,
        errors: true,
        mock: { dynamic: false },
    },
});
await server.listen(options.port, '127.0.0.1');
ready();
