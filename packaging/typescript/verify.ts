// SPDX-License-Identifier: MIT
/**
 * Checks a call of automapost-jobs (handler = 'http', or an alert): Standard Webhooks 1.0,
 * https://github.com/standard-webhooks/standard-webhooks. A file to copy.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** What a job's call has in its body. */
export interface Call<Payload = unknown> {
    /** The job type. */
    type: string;
    timestamp: string;
    data: { jobId: string; executionId: string; attempt: number; deadline: string; payload: Payload };
}

/**
 * The call, where it is genuine and of the last `toleranceSec` seconds; else an Error that says why not.
 * `body` are the bytes as they came (`await request.text()`), `secrets` one or, while it is changed,
 * several: whsec_ and base64.
 */
export function verify<Payload = unknown>(
    body: string,
    headers: { get(name: string): string | null },
    secrets: string | string[],
    toleranceSec = 300,
): Call<Payload> {
    const id = headers.get('webhook-id');
    const timestamp = headers.get('webhook-timestamp');
    const signatures = headers.get('webhook-signature');
    if (!id || !timestamp || !signatures) throw new Error('it is not signed');
    if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > toleranceSec)
        throw new Error('it is too old, or from the future');

    const expected = [secrets].flat().map((secret) => {
        const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
        if (key.length < 24) throw new Error('the secret is none: it is whsec_ and base64');
        return createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest();
    });
    const genuine = signatures.split(' ').some((entry) => {
        const [version, signature = ''] = entry.split(',');
        const given = Buffer.from(signature, 'base64');
        return version === 'v1'
            && expected.some((e) => e.length === given.length && timingSafeEqual(e, given));
    });
    if (!genuine) throw new Error('its signature is of another secret');
    return JSON.parse(body) as Call<Payload>;
}
