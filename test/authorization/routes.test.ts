import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { ROOT } from '../harness/program.ts';
import { REQUEST_NAMES, ROUTES } from './routes.ts';
import type { RequestName } from './routes.ts';
import { SECTIONS } from './rows.ts';

const ADMIN_TOKEN = 'token-of-the-operators';
/** As a proxy on the same machine adds it: the client is elsewhere. */
const FORWARDED = { 'x-forwarded-for': '192.0.2.7' };

let app: TestGateway;
let appWithToken: TestGateway;
let accountToken: string;

beforeAll(async () => {
  app = await startTestApp();
  appWithToken = await startTestApp({ env: { ADMIN_TOKEN } });
  accountToken = (await appWithToken.createAccount()).token;
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await appWithToken[Symbol.asyncDispose]();
});

function send(name: RequestName, path: string): Promise<Response> {
  const { url } = name === 'local' || name === 'remoteWithoutSetting' ? app : appWithToken;
  const token = name === 'remoteOperator' ? ADMIN_TOKEN : accountToken;
  const headers = {
    ...(name === 'local' ? {} : FORWARDED),
    ...(name === 'remoteAccount' || name === 'remoteOperator' ? { authorization: `Bearer ${token}` } : {}),
  };
  return fetch(`${url}${path}`, { headers });
}

test.for(ROUTES.map((row) => [row.path, row] as const))('%s', async ([path, { statuses }]) => {
  const hidden = await (await send('remoteWithoutSetting', '/unknown')).text();
  for (const name of REQUEST_NAMES) {
    const response = await send(name, path);
    const text = await response.text();
    expect([name, response.status]).toEqual([name, statuses[name]]);
    if (statuses[name] === 404) expect(text).toBe(hidden);
    if (statuses[name] !== 200) expect(text).not.toContain('parley_');
  }
});

test('every route of the server has rows', () => {
  const sources = [
    'app/transports.ts',
    'app/operator-routes.ts',
    'gateway/http/static-files.ts',
    'gateway/http/demo-phone.ts',
    'gateway/http/demo-restart.ts',
    'gateway/http/documents.ts',
    'gateway/http/graphiql-files.ts',
    'gateway/http/media.ts',
    'gateway/http/tus.ts',
    'gateway/http/health.ts',
  ];
  const text = sources.map((name) => readFileSync(join(ROOT, 'src', name), 'utf8')).join('\n');
  const paths = new Set(Array.from(text.matchAll(/'(\/[A-Za-z./-]*)'/g), ([, path]) => path));
  const mediaPaths = SECTIONS.media.rows.map(({ name }) => name.split(' ')[1]);
  const covered = new Set([
    ...ROUTES.map(({ path }) => path.replace(/(style\.css|main\.js|errors\.md)$/, '').split('?')[0]),
    ...mediaPaths,
    // These two serve the operations and channels of the other sections.
    '/graphql',
    '/socket.io/',
  ]);
  expect(paths).toEqual(covered);
});
