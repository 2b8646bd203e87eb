import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { createCircle } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';

const AUTH_SECRET = 'a secret of the tests, long enough';
const EVENTS = 'subscription ($id: ID!) { circleEvents(circleId: $id) { __typename } }';
const RENAME = 'mutation ($id: ID!) { updateCircle(circleId: $id, name: "New") { id } }';

/** Signs a token that expires after this many seconds. */
const shortToken = ({ legacyId }: TestAccount, seconds = 3): Promise<string> =>
  new SignJWT({ jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(String(legacyId))
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(AUTH_SECRET));

async function listening() {
  const app = await startTestApp({ env: { AUTH_SECRET } });
  const ann = await app.createAccount();
  const circle = await createCircle(ann);
  const socket = await openGraphqlSocket(app.url, { token: await shortToken(ann) });
  socket.send({ id: 'events', type: 'subscribe', payload: { query: EVENTS, variables: { id: circle.id } } });
  await socket.nextOf('next');
  return {
    app,
    ann,
    circle,
    socket,
    /** Receives a change only if the stream has outlived the first token. */
    async hears() {
      const stale = await openGraphqlSocket(app.url, { token: await shortToken(ann) });
      expect((await stale.waitForClose()).code).toBe(4401);
      await ann.graphql.run(RENAME, { id: circle.id });
      expect(await socket.next(({ id }) => id === 'events')).toMatchObject({
        payload: { data: { circleEvents: { __typename: 'CircleUpdated' } } },
      });
    },
    async [Symbol.asyncDispose]() {
      await socket[Symbol.asyncDispose]();
      await app[Symbol.asyncDispose]();
    },
  };
}

test('a stream ends when its token expires', async () => {
  await using t = await listening();
  expect(await t.socket.nextOf('error')).toMatchObject({
    payload: [{ extensions: { code: 'UNAUTHENTICATED', reason: 'TOKEN_EXPIRED' } }],
  });
  expect(await t.socket.waitForClose()).toEqual({ code: 4401, reason: 'TOKEN_EXPIRED' });
});

test('a stream continues with the token of a ping', async () => {
  await using t = await listening();
  t.socket.send({ type: 'ping', payload: { authorization: `Bearer ${t.ann.token}` } });
  expect(await t.socket.next()).toEqual({
    type: 'pong',
    payload: { refreshed: true, expiresAt: expect.stringMatching(/^20.*Z$/) },
  });
  await t.hears();
});

test('a stream continues after refreshToken on its connection', async () => {
  await using t = await listening();
  const query = 'mutation { refreshToken { token } }';
  t.socket.send({ id: 'refresh', type: 'subscribe', payload: { query } });
  await t.socket.nextOf('complete');
  await t.hears();
});

test('revoking the current token ends a connection, and revoking the former token does not', async () => {
  await using t = await listening();
  const former = await shortToken(t.ann, 60);
  t.socket.send({ type: 'ping', payload: { token: former } });
  await t.socket.nextOf('pong');
  t.socket.send({ type: 'ping', payload: { token: t.ann.token } });
  await t.socket.nextOf('pong');
  const logout = (token: string) =>
    fetch(`${t.app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: 'mutation { logout }' }),
    });
  await logout(former);
  t.socket.send({ type: 'ping' });
  expect(await t.socket.next()).toEqual({ type: 'pong' });
  await logout(t.ann.token);
  expect(await t.socket.waitForClose()).toEqual({ code: 4401, reason: 'LOGGED_OUT' });
});

test('a bad token, or one of another account, leaves the session unchanged', async () => {
  await using t = await listening();
  const bob = await t.app.createAccount();
  for (const [token, code] of [
    ['nonsense', 'UNAUTHENTICATED'],
    [bob.token, 'FORBIDDEN'],
  ]) {
    t.socket.send({ type: 'ping', payload: { token } });
    expect(await t.socket.next()).toMatchObject({ type: 'pong', payload: { refreshed: false, code } });
  }
  expect(await t.socket.waitForClose()).toEqual({ code: 4401, reason: 'TOKEN_EXPIRED' });
  await using anonymous = await openGraphqlSocket(t.app.url, {});
  anonymous.send({ type: 'ping', payload: { token: t.ann.token } });
  expect(await anonymous.next()).toMatchObject({ payload: { refreshed: false, code: 'UNAUTHENTICATED' } });
  anonymous.send({ type: 'ping', payload: { hello: 'there' } });
  expect(await anonymous.next()).toEqual({ type: 'pong', payload: { hello: 'there' } });
});

test('a legacy connection stays in its rooms when it authenticates again', async () => {
  await using app = await startTestApp({ env: { AUTH_SECRET } });
  const ann = await app.createAccount();
  const circle = await createCircle(ann);
  await using legacy = await app.connectLegacy();
  await legacy.push('authenticate', { token: await shortToken(ann) });
  await legacy.push('join_circle', { circle_id: circle.legacyId });
  await legacy.push('authenticate', { token: ann.token });
  await using stale = await app.connectLegacy();
  await stale.push('authenticate', { token: await shortToken(ann) });
  expect(await stale.expect('error')).toBe('User not found');
  await ann.graphql.run(RENAME, { id: circle.id });
  expect(await legacy.expect('circle')).toEqual({ event: 'update', circle_id: circle.legacyId });
});
