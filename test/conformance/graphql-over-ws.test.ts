import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { waitQuietPeriod } from '../harness/waiting.ts';

// Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md

test('a connection without token is acknowledged, and can run public operations', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  socket.send({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } });
  expect(await socket.next()).toEqual({ id: '1', type: 'next', payload: { data: { __typename: 'Query' } } });
  expect(await socket.next()).toEqual({ id: '1', type: 'complete' });
});

test('a bad token closes with 4403', async () => {
  await using app = await startTestApp();
  for (const payload of [{ token: 'nonsense' }, { authorization: 'Bearer a.b.c' }]) {
    await using socket = await openGraphqlSocket(app.url);
    socket.send({ type: 'connection_init', payload });
    expect((await socket.waitForClose()).code).toBe(4403);
  }
});

test('a token that cannot be checked because of an outage closes with 1013, after which clients retry', async () => {
  const env = {
    AUTH_JWKS_URL: 'http://127.0.0.1:1/keys',
    AUTH_ISSUER: 'https://id.example',
    AUTH_AUDIENCE: 'any',
  };
  await using app = await startTestApp({ env });
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  await using socket = await openGraphqlSocket(app.url);
  const token = `${encode({ alg: 'RS256' })}.${encode({})}.AAAA`;
  socket.send({ type: 'connection_init', payload: { token } });
  expect(await socket.waitForClose()).toEqual({ code: 1013, reason: 'UNAVAILABLE' });
});

test('a token is accepted in either field of the payload', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  for (const payload of [
    { token: ann.token },
    { authorization: `Bearer ${ann.token}` },
    { authorization: ann.token },
  ]) {
    await using socket = await openGraphqlSocket(app.url, payload);
    socket.send({ id: 'a', type: 'subscribe', payload: { query: '{ me { ... on User { id } } }' } });
    expect(await socket.next()).toEqual({ id: 'a', type: 'next', payload: { data: { me: { id: ann.id } } } });
  }
});

test('the wrong subprotocol closes with 4406, or is not negotiated', async () => {
  await using app = await startTestApp();
  const { WebSocket } = await import('ws');
  const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-ws');
  const outcome = await new Promise((resolve) => {
    socket.once('close', (code) => resolve(code)).once('error', (error) => resolve(error.message));
  });
  expect([4406, 'Server sent no subprotocol']).toContain(outcome);
});

test.each([
  ['no JSON', 'not json', 4400],
  ['an unknown message', '{"type":"nothing"}', 4400],
  [
    'subscribe before the acknowledgement',
    '{"id":"1","type":"subscribe","payload":{"query":"{ __typename }"}}',
    4401,
  ],
])('%s closes the connection', async (_title, frame, code) => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url);
  socket.send(frame);
  expect((await socket.waitForClose()).code).toBe(code);
});

test('a second connection_init closes with 4429', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  socket.send({ type: 'connection_init' });
  expect((await socket.waitForClose()).code).toBe(4429);
});

test('a second operation with a running id closes with 4409', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const subscribe = {
    id: '1',
    type: 'subscribe',
    payload: { query: 'subscription { inboxEvents { __typename } }' },
  };
  socket.send(subscribe);
  await socket.nextOf('next');
  socket.send(subscribe);
  expect((await socket.waitForClose()).code).toBe(4409);
});

test('the pong has the payload of the ping', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  socket.send({ type: 'ping', payload: { at: 1 } });
  expect(await socket.next()).toEqual({ type: 'pong', payload: { at: 1 } });
});

test('the server stops reading from a client that does not read, and resumes when the client does', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  const padding = 'x'.repeat(500_000);
  socket.socket.pause();
  for (let index = 0; index < 60; index += 1) socket.send({ type: 'ping', payload: { index, padding } });
  await waitQuietPeriod(500);
  // Of 30 MB, all but the kernel buffers and the server's limit are still unsent.
  expect(socket.socket.bufferedAmount).toBeGreaterThan(5_000_000);
  socket.socket.resume();
  for (let index = 0; index < 60; index += 1)
    expect(await socket.next()).toMatchObject({ type: 'pong', payload: { index } });
});

test('document errors are INVALID_INPUT and end only their operation', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  for (const query of ['{', '{ nothing }', 'query A { __typename } query B { __typename }']) {
    socket.send({ id: '1', type: 'subscribe', payload: { query } });
    expect(await socket.next()).toMatchObject({
      id: '1',
      type: 'error',
      payload: [{ extensions: { code: 'INVALID_INPUT' } }],
    });
  }
  socket.send({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } });
  expect(await socket.next()).toMatchObject({ type: 'next' });
});

test('subscribing without an account is UNAUTHENTICATED and leaves the connection open', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  socket.send({
    id: '1',
    type: 'subscribe',
    payload: { query: 'subscription { inboxEvents { __typename } }' },
  });
  expect(JSON.stringify(await socket.next())).toContain('"code":"UNAUTHENTICATED"');
  socket.send({ type: 'ping' });
  expect(await socket.nextOf('pong')).toEqual({ type: 'pong' });
});

test('no frame follows a client’s `complete`', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  socket.send({
    id: '1',
    type: 'subscribe',
    payload: { query: 'subscription { inboxEvents { __typename } }' },
  });
  await socket.nextOf('next');
  socket.send({ id: '1', type: 'complete' });
  socket.send({ type: 'ping' });
  expect(await socket.next()).toEqual({ type: 'pong' });
  socket.send({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } });
  expect(await socket.next()).toMatchObject({ id: '1', type: 'next' });
});

test('an operation on an anonymous connection may have its own token, as GraphiQL sends it', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, {});
  const subscribe = (id: string, token: string) => {
    const extensions = { headers: { Authorization: `Bearer ${token}` } };
    const query = 'subscription { inboxEvents { __typename } }';
    socket.send({ id, type: 'subscribe', payload: { query, extensions } });
  };
  subscribe('1', ann.token);
  expect(await socket.next()).toMatchObject({
    id: '1',
    type: 'next',
    payload: { data: { inboxEvents: {} } },
  });
  subscribe('2', 'nonsense');
  expect(await socket.next()).toMatchObject({
    id: '2',
    type: 'error',
    payload: [{ extensions: { code: 'UNAUTHENTICATED' } }],
  });
  await ann.graphql.run('mutation { logout }');
  expect(await socket.next()).toMatchObject({
    id: '1',
    type: 'error',
    payload: [{ extensions: { reason: 'LOGGED_OUT' } }],
  });
  socket.send({ type: 'ping' });
  expect(await socket.next()).toEqual({ type: 'pong' });
});
