import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { createCircle } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';

// Renewal of the session of a connection: a new token takes over before the current one expires.

const AUTH_SECRET = 'a secret of the tests, long enough';
const EVENTS = 'subscription ($id: ID!) { circleEvents(circleId: $id) { __typename } }';
const RENAME = 'mutation ($id: ID!) { updateCircle(circleId: $id, name: "New") { id } }';

/** Signs a token that expires after this many seconds. */
const signShortToken = ({ legacyId }: TestAccount, seconds = 3): Promise<string> =>
  new SignJWT({ jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(String(legacyId))
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(AUTH_SECRET));

async function createFixture() {
  const app = await startTestApp({ env: { AUTH_SECRET } });
  const ann = await app.createAccount();
  const circle = await createCircle(ann);
  const socket = await openGraphqlSocket(app.url, { token: await signShortToken(ann) });
  socket.send({ id: 'events', type: 'subscribe', payload: { query: EVENTS, variables: { id: circle.id } } });
  await socket.nextOf('next');
  return {
    app,
    ann,
    circle,
    socket,
    /** Waits until the first token has expired, and expects the stream to deliver an event. */
    async expectStreamContinues() {
      const stale = await openGraphqlSocket(app.url, { token: await signShortToken(ann) });
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
  await using fixture = await createFixture();
  expect(await fixture.socket.nextOf('error')).toMatchObject({
    payload: [{ extensions: { code: 'UNAUTHENTICATED', reason: 'TOKEN_EXPIRED' } }],
  });
  expect(await fixture.socket.waitForClose()).toEqual({ code: 4401, reason: 'TOKEN_EXPIRED' });
});

test('a stream continues with the token of a ping', async () => {
  await using fixture = await createFixture();
  fixture.socket.send({ type: 'ping', payload: { authorization: `Bearer ${fixture.ann.token}` } });
  expect(await fixture.socket.next()).toEqual({
    type: 'pong',
    payload: { refreshed: true, expiresAt: expect.stringMatching(/^20.*Z$/) },
  });
  await fixture.expectStreamContinues();
});

test('a stream continues after refreshToken on its connection', async () => {
  await using fixture = await createFixture();
  const query = 'mutation { refreshToken { token } }';
  fixture.socket.send({ id: 'refresh', type: 'subscribe', payload: { query } });
  await fixture.socket.nextOf('complete');
  await fixture.expectStreamContinues();
});

test('revoking the current token ends a connection, and revoking the previous token does not', async () => {
  await using fixture = await createFixture();
  const previousToken = await signShortToken(fixture.ann, 60);
  fixture.socket.send({ type: 'ping', payload: { token: previousToken } });
  await fixture.socket.nextOf('pong');
  fixture.socket.send({ type: 'ping', payload: { token: fixture.ann.token } });
  await fixture.socket.nextOf('pong');
  const logOut = (token: string) =>
    fetch(`${fixture.app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: 'mutation { logout }' }),
    });
  await logOut(previousToken);
  fixture.socket.send({ type: 'ping' });
  expect(await fixture.socket.next()).toEqual({ type: 'pong' });
  await logOut(fixture.ann.token);
  expect(await fixture.socket.waitForClose()).toEqual({ code: 4401, reason: 'LOGGED_OUT' });
});

test('a bad token, or one of another account, leaves the session unchanged', async () => {
  await using fixture = await createFixture();
  const bob = await fixture.app.createAccount();
  for (const [token, code] of [
    ['nonsense', 'UNAUTHENTICATED'],
    [bob.token, 'FORBIDDEN'],
  ]) {
    fixture.socket.send({ type: 'ping', payload: { token } });
    expect(await fixture.socket.next()).toMatchObject({ type: 'pong', payload: { refreshed: false, code } });
  }
  expect(await fixture.socket.waitForClose()).toEqual({ code: 4401, reason: 'TOKEN_EXPIRED' });
  await using anonymous = await openGraphqlSocket(fixture.app.url, {});
  anonymous.send({ type: 'ping', payload: { token: fixture.ann.token } });
  expect(await anonymous.next()).toMatchObject({ payload: { refreshed: false, code: 'UNAUTHENTICATED' } });
  anonymous.send({ type: 'ping', payload: { hello: 'there' } });
  expect(await anonymous.next()).toEqual({ type: 'pong', payload: { hello: 'there' } });
});

test('a legacy connection stays in its rooms when it authenticates again', async () => {
  await using app = await startTestApp({ env: { AUTH_SECRET } });
  const ann = await app.createAccount();
  const circle = await createCircle(ann);
  await using legacyClient = await app.connectLegacy();
  await legacyClient.push('authenticate', { token: await signShortToken(ann) });
  await legacyClient.push('join_circle', { circle_id: circle.legacyId });
  await legacyClient.push('authenticate', { token: ann.token });
  await using stale = await app.connectLegacy();
  await stale.push('authenticate', { token: await signShortToken(ann) });
  expect(await stale.expect('error')).toBe('User not found');
  await ann.graphql.run(RENAME, { id: circle.id });
  expect(await legacyClient.expect('circle')).toEqual({ event: 'update', circle_id: circle.legacyId });
});
