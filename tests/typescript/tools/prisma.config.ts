// SPDX-License-Identifier: MIT
// Prisma's schema engine without its native binary, which only its makers' server has: "js" runs the same
// engine as WebAssembly over a driver adapter. What is mended here is the adapter's part of it.
import { defineConfig } from 'prisma/config';
import { PrismaPg } from '@prisma/adapter-pg';
import { ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import Result from 'pg/lib/result';

const url = new URL(process.env.DATABASE_URL!);
const where = {
    host: url.hostname, port: Number(url.port), user: url.username, password: url.password,
    database: url.pathname.slice(1), allowExitOnIdle: true,
};

// The engine reads the catalogs; adapter-pg knows their types "char" and name not.
const CHAR = 18, NAME = 19, TEXT = 25;
const addFields = Result.prototype.addFields;
Result.prototype.addFields = function (fields: { dataTypeID: number; char?: boolean }[]) {
    for (const field of fields) {
        field.char = field.dataTypeID === CHAR;
        if (field.char || field.dataTypeID === NAME) field.dataTypeID = TEXT;
    }
    return addFields.call(this, fields);
};

// The engine leaves its time limits standing, and they the command for up to a minute.
const startTimer = globalThis.setTimeout as any;
globalThis.setTimeout = ((work: () => void, ms: number, ...more: unknown[]) => {
    const timer = startTimer(work, ms, ...more);
    return ms < 10_000 ? timer : timer.unref();
}) as typeof setTimeout;

class Factory extends PrismaPg {
    override async connect() {
        const adapter: any = await super.connect(), { queryRaw, performIO } = adapter;
        adapter.queryRaw = async (query: unknown) => {
            const answer = await performIO.call(adapter, query);
            const result = await queryRaw.call({ ...adapter, performIO: async () => answer }, query);
            answer.fields.forEach((field: { char: boolean }, i: number) => {
                if (field.char) result.columnTypes[i] = ColumnTypeEnum.Character;
            });
            return result;
        };
        return adapter;
    }
    // The adapter's own drops its database while it is connected to it.
    override async connectToShadowDb() {
        const name = `shadow_${Date.now()}`, main = await this.connect();
        await main.executeScript(`CREATE DATABASE ${name}`);
        const shadow = await new Factory({ ...where, database: name }).connect();
        const dispose = shadow.dispose;
        shadow.dispose = async () => {
            await dispose.call(shadow);
            await main.executeScript(`DROP DATABASE ${name}`);
            await main.dispose();
        };
        return shadow;
    }
}

export default defineConfig({
    schema: 'schema.prisma',
    experimental: { adapter: true },
    engine: 'js',
    adapter: async () => new Factory(where),
});
