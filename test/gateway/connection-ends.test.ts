import { expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

// How the server ends GraphQL WebSockets: errors on streams, close codes, and results in flight.

const INBOX = {
  id: '1',
  type: 'subscribe',
  payload: { query: 'subscription { inboxEvents { __typename } }' },
};

test('logout ends the streams of that token with a reason, then its connection with 4401, and no other token', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount({ email: 'ann@example.com', password: 'correct horse' });
  const { login } = await app.graphql.run<{ login: { token: string } }>(
    'mutation { login(email: "ann@example.com", password: "correct horse") { token } }',
  );
  await using firstSocket = await openGraphqlSocket(app.url, { token: ann.token });
  await using secondSocket = await openGraphqlSocket(app.url, { token: login.token });
  firstSocket.send(INBOX);
  secondSocket.send(INBOX);
  await firstSocket.nextOf('next');
  await secondSocket.nextOf('next');

  await ann.graphql.run('mutation { logout }');
  expect(await firstSocket.next()).toMatchObject({
    id: '1',
    type: 'error',
    payload: [{ extensions: { code: 'UNAUTHENTICATED', reason: 'LOGGED_OUT' } }],
  });
  expect(await firstSocket.waitForClose()).toEqual({ code: 4401, reason: 'LOGGED_OUT' });
  expect(await ann.graphql.expectError('{ circles(first: 1) { nodes { id } } }')).toBe('UNAUTHENTICATED');
  secondSocket.send({ type: 'ping' });
  expect(await secondSocket.next()).toEqual({ type: 'pong' });
});

test('a connection that the server ended runs no further operations, even if its client keeps it open', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount({ email: 'ann@example.com', password: 'correct horse' });
  const { login } = await app.graphql.run<{ login: { token: string } }>(
    'mutation { login(email: "ann@example.com", password: "correct horse") { token } }',
  );
  await using unresponsive = await openGraphqlSocket(app.url, { token: login.token });
  unresponsive.socket.pause();
  await using other = createGraphqlClient(app.url, login.token);
  await other.run('mutation { logout }');
  const query = 'mutation { createCircle(name: "Late") { id } }';
  unresponsive.send({ id: '1', type: 'subscribe', payload: { query } });
  unresponsive.socket.resume();
  // The client sent the operation before its close frame, so the server has read it.
  expect((await unresponsive.waitForClose()).code).toBe(4401);
  await ann.graphql.run('mutation { createCircle(name: "Own") { id } }');
  expect(await ann.graphql.run('{ circles { nodes { name } } }')).toEqual({
    circles: { nodes: [{ name: 'Own' }] },
  });
});

test('deletion of the account ends its connections', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount({ password: 'correct horse' });
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  socket.send(INBOX);
  await socket.nextOf('next');
  await ann.graphql.run('mutation { deleteAccount(password: "correct horse") { id } }');
  expect(await socket.next()).toMatchObject({
    type: 'error',
    payload: [{ extensions: { reason: 'ACCOUNT_DELETED' } }],
  });
  expect((await socket.waitForClose()).code).toBe(4401);
});

test('a gateway that stops closes with 1012 and sends nothing on its streams', async () => {
  const app = await startTestApp();
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  socket.send(INBOX);
  await socket.nextOf('next');
  const frames: unknown[] = [];
  socket.socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString())));
  await using idle = await openGraphqlSocket(app.url, {});
  const shutdown = app[Symbol.asyncDispose]();
  expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'DRAINING' });
  expect((await idle.waitForClose()).code).toBe(1012);
  expect(frames).toEqual([]);
  await shutdown;
});

test('a gateway that stops sends the results of mutations in flight before it closes', async () => {
  const app = await startTestApp();
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  socket.send(INBOX);
  await socket.nextOf('next');
  const ids = ['a', 'b', 'c'];
  for (const id of ids) {
    const query = `mutation { createCircle(name: "${id}") { name } }`;
    socket.send({ id, type: 'subscribe', payload: { query } });
  }
  // Frames are read in order: after the pong, the server has read the mutations.
  socket.send({ type: 'ping' });
  await socket.nextOf('pong');
  const shutdown = app[Symbol.asyncDispose]();
  for (const name of ids)
    expect(await socket.next(({ id }) => id === name)).toMatchObject({
      type: 'next',
      payload: { data: { createCircle: { name } } },
    });
  expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'DRAINING' });
  await shutdown;
});
