// SPDX-License-Identifier: MIT
//
// A Bluesky personal data server, with the directory of identities (PLC) that it registers its
// accounts in, in one process. The directory lives in memory, the server's data in options.folder;
// nothing outside of the machine is asked.

import plc from '@did-plc/server';
import pds from '@atproto/pds';
import { options, ready } from './peer.mjs';

const directory = plc.PlcServer.create({ db: plc.Database.mock(), port: 0 });
const listener = await directory.start();

Object.assign(process.env, {
    PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: options.rotationKey,
    PDS_JWT_SECRET: options.secret,
    PDS_ADMIN_PASSWORD: options.secret,
    PDS_HOSTNAME: 'localhost',
    PDS_PORT: String(options.port),
    PDS_DEV_MODE: 'true',
    PDS_DATA_DIRECTORY: options.folder,
    PDS_BLOBSTORE_DISK_LOCATION: `${options.folder}/blobs`,
    PDS_DID_PLC_URL: `http://127.0.0.1:${listener.address().port}`,
    PDS_SERVICE_HANDLE_DOMAINS: '.test',
    PDS_INVITE_REQUIRED: 'false',
    PDS_CRAWLERS: '',
    PDS_RATE_LIMITS_ENABLED: String(options.rateLimits),
});

const environment = pds.readEnv();
const server = await pds.PDS.create(pds.envToCfg(environment), pds.envToSecrets(environment));
await server.start();
ready();
