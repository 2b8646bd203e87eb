import { readdir } from 'node:fs/promises';
import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema as operatorSchema } from '../../src/admin/index.ts';
import { DEFAULT_QUERY, OPERATOR_QUERY } from '../../src/gateway/http/graphiql-default-query.ts';
import { schema } from '../../src/schema/index.ts';
import { startTestApp } from '../harness/app.ts';

const ROOT = new URL('../../', import.meta.url);
const LOG_IN = 'mutation { login(email: "ann@example.com", password: "parley") { token } }';

test('every operation that GraphiQL shows first is valid', () => {
  const document = parse(DEFAULT_QUERY);
  expect(validate(schema, document)).toEqual([]);
  // GraphiQL sends an operation with every fragment: an unused one is an error.
  expect(document.definitions.every(({ kind }) => kind === 'OperationDefinition')).toBe(true);
  expect(validate(operatorSchema, parse(OPERATOR_QUERY))).toEqual([]);
});

test(
  'every query and mutation that GraphiQL shows first succeeds for a demo account',
  { timeout: 60_000 },
  async () => {
    await using gateway = await startTestApp({ demo: true });
    const { login } = await gateway.graphql.run<{ login: { token: string } }>(LOG_IN);
    for (const definition of parse(DEFAULT_QUERY).definitions) {
      if (definition.kind !== 'OperationDefinition' || definition.operation === 'subscription') continue;
      const operationName = definition.name?.value;
      const response = await fetch(`${gateway.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${login.token}` },
        body: JSON.stringify({ query: DEFAULT_QUERY, operationName }),
      });
      expect({ operationName, ...((await response.json()) as object) }).toMatchObject({
        operationName,
        data: {},
      });
    }
  },
);

test('all files of the page are served, and no others', { timeout: 60_000 }, async () => {
  await using gateway = await startTestApp();
  const folder = new URL('src/page/', ROOT);
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = files
    .filter((file) => file.isFile() && !/\.(LICENSE|md)$/.test(file.name))
    .map((file) => `${file.parentPath}/${file.name}`.slice(folder.pathname.length - 1).replace(/^\/+/, ''));
  expect(names).toContain('demo/main.js');
  // Served at `/admin` only, to those who may know of it.
  const operatorsPage = 'admin/index.html';
  expect(names).toContain(operatorsPage);
  for (const name of names.filter((file) => file !== operatorsPage)) {
    const response = await fetch(`${gateway.url}/page/${name}`);
    expect({ name, status: response.status }).toEqual({ name, status: 200 });
    expect(await response.text()).not.toBe('');
  }
  for (const name of [
    operatorsPage,
    '',
    'constructor',
    'vendor/README.md',
    '..%2fconfig.ts',
    'demo/main.js/x',
    'vendor/',
    '..%2f..%2fpackage.json',
    '%2e%2e/config.ts',
  ]) {
    const response = await fetch(`${gateway.url}/page/${name}`);
    expect({ name, status: response.status }).toEqual({ name, status: 404 });
  }
});

test('the pages and the AsyncAPI document have their media types and a Content-Security-Policy that forbids foreign resources', async () => {
  await using gateway = await startTestApp();
  const types = {
    '/': 'text/html; charset=utf-8',
    '/channels': 'text/html; charset=utf-8',
    '/admin': 'text/html; charset=utf-8',
    '/asyncapi.yaml': 'application/yaml; charset=utf-8',
  };
  for (const [path, type] of Object.entries(types)) {
    const { status, headers } = await fetch(gateway.url + path, { method: 'HEAD' });
    expect({ path, status, type: headers.get('content-type') }).toEqual({ path, status: 200, type });
    expect(headers.get('cache-control')).toBe('no-cache');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    expect((await fetch(gateway.url + path, { method: 'POST' })).status).toBe(405);
  }
});
