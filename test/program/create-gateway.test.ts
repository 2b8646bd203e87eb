import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { ConfigError, createGateway, readSettings } from '../../src/index.ts';
import type { GatewayOptions } from '../../src/index.ts';

const MEMORY = { DATA_DIR: 'memory', LOG_LEVEL: 'silent' } as const;

test.for<[name: string, options: GatewayOptions, problem: RegExp]>([
  [
    'a misspelt setting',
    { settings: { DATABSE_URL: 'x' } as object },
    /DATABSE_URL: is no setting; perhaps DATABASE_URL/,
  ],
  ['an unknown setting', { settings: { colour: 'x' } as object }, /colour: is no setting$/],
  [
    'a value of another type',
    { settings: { PORT: true } as object },
    /PORT: must be text, a number or a list of texts/,
  ],
  ['an invalid value', { settings: { PORT: -1 } }, /PORT: must be a whole number/],
  [
    'an unknown route',
    { routes: ['graphiql' as 'graphql'] },
    /routes: graphiql: must be of graphql, socket\.io/,
  ],
  ['invalid fields', { settings: MEMORY, schema: { typeDefs: 'type' } }, /schema: Syntax Error/],
])('options with %s are rejected', async ([, options, problem]) => {
  const failure = await createGateway(options).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ConfigError);
  expect((failure as ConfigError).problems.join('\n')).toMatch(problem);
});

test('on a server of its own, a gateway has all routes and no demo accounts', async () => {
  await using gateway = await createGateway({
    settings: {
      ...readSettings({ ...MEMORY, HOST: '127.0.0.1', PATH: '/bin' }),
      PORT: 0,
      CORS_ORIGINS: ['*'],
    },
  });
  for (const path of ['/', '/readyz', '/metrics']) expect((await fetch(gateway.url + path)).status).toBe(200);
  const login = new URLSearchParams({
    query: 'mutation { login(email: "ann@example.com", password: "parley") { token } }',
  });
  const response = await fetch(`${gateway.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-parley-preflight': '1' },
    body: login,
  });
  expect(await response.text()).toContain('UNAUTHENTICATED');
  const closing = gateway.close();
  expect(gateway.close()).toBe(closing);
  await closing;
});

test('on a server of the host, the routes of operators need ADMIN_TOKEN, and GraphiQL is off', async () => {
  const server = createServer();
  await using gateway = await createGateway({
    server,
    // Not the address of the server, which the gateway does not know.
    settings: { ...MEMORY, HOST: '127.0.0.1' },
    routes: ['graphql', 'health', 'operators'],
  });
  expect(gateway.url).toBeUndefined();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const statusOf = async (path: string) =>
    (await fetch(url + path, { headers: { accept: 'text/html' } })).status;
  expect([await statusOf('/readyz'), await statusOf('/metrics'), await statusOf('/admin/graphql')]).toEqual([
    200, 404, 404,
  ]);
  expect(await (await fetch(`${url}/graphql`, { headers: { accept: 'text/html' } })).text()).not.toContain(
    '<html',
  );
  await gateway.close();
  server.close();
  server.closeAllConnections();
});
