import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { schema } from '../../src/admin/index.ts';
import { ERROR_CODES } from '../../src/errors.ts';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createOperator } from '../harness/operator.ts';
import type { Operator } from '../harness/operator.ts';

const ADMIN_TOKEN = 'operators-of-parley-only';

let app: TestGateway;
let operator: Operator;

beforeAll(async () => {
  app = await startTestApp({ env: { CORS_ORIGINS: 'https://app.example.com', INTROSPECTION: 'off' } });
  operator = createOperator(app.url);
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

const post = (body: string, headers: Record<string, string>) =>
  fetch(`${app.url}/admin/graphql`, { method: 'POST', headers, body });

test('introspection is on, whatever INTROSPECTION is', async () => {
  const { __schema: found } = await operator.run<{ __schema: { types: { name: string }[] } }>(
    '{ __schema { types { name } } }',
  );
  expect(found.types.map(({ name }) => name)).toContain('AuditEntry');
});

test('errors are counted', async () => {
  const count = async (): Promise<number> => {
    const text = await (await fetch(`${app.url}/metrics`)).text();
    return Number(/parley_errors_total\{transport="admin",code="INVALID_INPUT"\} (\d+)/.exec(text)?.[1]);
  };
  const before = await count();
  for (const query of ['{ unknown }', '{ account(id: "no id") { id } }']) await operator.send(query);
  expect(await count()).toBe(before + 2);
});

test('queries may be sent by GET, mutations only by POST', async () => {
  const query = await fetch(`${app.url}/admin/graphql?query={auditLog{nodes{id}}}`);
  expect([query.status, await query.json()]).toMatchObject([200, { data: { auditLog: { nodes: [] } } }]);
  expect(query.headers.get('cache-control')).toBe('no-store');
  const mutation = await fetch(
    `${app.url}/admin/graphql?query=mutation{revokeSessions(accountId:"User:1"){id}}`,
  );
  expect([mutation.status, await mutation.json()]).toMatchObject([
    405,
    { errors: [{ extensions: { code: 'INVALID_INPUT' } }] },
  ]);
});

describe('every error has a code', () => {
  test.each([
    ['a syntax error', '{', 400, 'INVALID_INPUT'],
    ['an unknown field', '{ nothing }', 400, 'INVALID_INPUT'],
    ['a field of clients', '{ me { __typename } }', 400, 'INVALID_INPUT'],
    ['too large a page', '{ auditLog(first: 101) { nodes { id } } }', 200, 'LIMIT_EXCEEDED'],
    ['a cursor of another list', '{ auditLog(after: "x") { nodes { id } } }', 200, 'INVALID_INPUT'],
    ['an unknown account', 'mutation { revokeSessions(accountId: "User:99") { id } }', 200, 'NOT_FOUND'],
    ['a malformed id', 'mutation { revokeSessions(accountId: "Circle:1") { id } }', 200, 'INVALID_INPUT'],
    ['too many tokens', `{ ${'auditLog { nodes { id } } '.repeat(3_000)} }`, 400, 'LIMIT_EXCEEDED'],
  ])('%s', async (_case, query, status, code) => {
    const response = await operator.send(query);
    expect([response.status, response.errors?.[0]?.extensions?.['code']]).toEqual([status, code]);
    expect(ERROR_CODES).toHaveProperty(code);
  });

  test.each([
    ['no JSON', '{', 400, 'INVALID_INPUT'],
    ['a body that is too large', `{"query":"#${'x'.repeat(1_100_000)}"}`, 413, 'LIMIT_EXCEEDED'],
  ])('%s', async (_case, body, status, code) => {
    const response = await post(body, { 'content-type': 'application/json' });
    expect([response.status, await response.json()]).toMatchObject([
      status,
      { errors: [{ extensions: { code } }] },
    ]);
  });
});

test('a page of a listed origin may not act for an operator', async () => {
  const origin = 'https://app.example.com';
  const form = new URLSearchParams({ query: '{ auditLog { nodes { id } } }' }).toString();
  const type = 'application/x-www-form-urlencoded';
  expect((await post(form, { origin, 'content-type': type })).status).toBe(403);
  expect((await post(form, { 'content-type': type })).status).toBe(403);
  expect((await post(form, { 'content-type': type, 'x-parley-preflight': '1' })).status).toBe(200);
  const preflight = await fetch(`${app.url}/admin/graphql`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST' },
  });
  expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
});

test('a browser receives GraphiQL where it is on', async () => {
  const headers = { accept: 'text/html' };
  const page = await fetch(`${app.url}/admin/graphql`, { headers });
  expect(page.headers.get('content-type')).toMatch(/^text\/html/);
  expect(await page.text()).toContain('&quot;endpoint&quot;:&quot;/admin/graphql&quot;');
});

test('a browser is sent to the page of operators where GraphiQL is off', async () => {
  await using without = await startTestApp({ env: { GRAPHIQL: 'off' } });
  const response = await fetch(`${without.url}/admin/graphql`, {
    headers: { accept: 'text/html' },
    redirect: 'manual',
  });
  expect([response.status, response.headers.get('location')]).toEqual([303, '/admin']);
});

test('a client that a proxy forwards needs the token of operators', async () => {
  await using behindProxy = await startTestApp({ env: { ADMIN_TOKEN } });
  const { token } = await behindProxy.createAccount();
  const send = (authorization?: string) =>
    fetch(`${behindProxy.url}/admin/graphql?query={__typename}`, {
      headers: { 'x-forwarded-for': '192.0.2.7', ...(authorization !== undefined && { authorization }) },
    });
  expect((await send()).status).toBe(401);
  expect((await send(`Bearer ${token}`)).status).toBe(401);
  expect((await send(`Bearer ${ADMIN_TOKEN}`)).status).toBe(200);
});

test('the schema has no subscriptions', () => {
  expect(schema.getSubscriptionType()).toBeUndefined();
});
