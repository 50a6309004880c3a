// SPDX-License-Identifier: MIT
//
// An OAuth 2 server whose refresh tokens rotate: a refresh answers with a new one, and using the
// old one again revokes the whole family, which is what two workers refreshing at once run into.
// POST /seed?account=NAME stands in for the member's visit with a browser: it answers with the
// first pair of tokens.

import { webcrypto } from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';
import { options, ready } from './peer.mjs';

// What the provider takes for granted and Debian 12's node does not have yet.
globalThis.crypto ??= webcrypto;
URL.parse ??= (...parts) => {
    try {
        return new URL(...parts);
    } catch {
        return null;
    }
};

const scope = options.scope;
let provider;
let handle;

async function seed(account) {
    const client = await provider.Client.find(options.clientId);
    const grant = new provider.Grant({ clientId: options.clientId, accountId: account });
    grant.addOIDCScope(scope);
    const common = {
        client,
        accountId: account,
        grantId: await grant.save(),
        gty: 'authorization_code',
        scope,
        claims: {},
    };
    const refresh = new provider.RefreshToken({
        ...common,
        rotations: 0,
        iiat: Math.floor(Date.now() / 1000),
    });
    const access = new provider.AccessToken(common);
    return {
        access_token: await access.save(),
        refresh_token: await refresh.save(),
        expires_in: access.expiration,
        token_type: 'Bearer',
        scope,
    };
}

const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    if (request.method === 'POST' && url.pathname === '/seed') {
        const tokens = await seed(url.searchParams.get('account'));
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(tokens));
        return;
    }
    handle(request, response);
});

server.listen(options.port, '127.0.0.1', () => {
    provider = new Provider(`http://127.0.0.1:${options.port}`, {
        clients: [{
            client_id: options.clientId,
            client_secret: options.clientSecret,
            token_endpoint_auth_method: options.authMethod,
            grant_types: ['authorization_code', 'refresh_token'],
            response_types: ['code'],
            redirect_uris: ['http://127.0.0.1/callback'],
        }],
        scopes: scope.split(' '),
        features: {
            devInteractions: { enabled: false },
            introspection: { enabled: true },
            revocation: { enabled: true },
        },
        ttl: { AccessToken: options.ttl, RefreshToken: 3600, Grant: 3600 },
        cookies: { keys: [options.clientSecret] },
        issueRefreshToken: async () => true,
        rotateRefreshToken: true,
        findAccount: async (context, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    });
    handle = provider.callback();
    ready();
});
