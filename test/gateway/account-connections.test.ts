import { afterAll, beforeAll, expect, test } from 'vitest';
import type { App } from '../../src/app.ts';
import { MAX_ACCOUNT_CONNECTIONS } from '../../src/services/account-connections.ts';
import { createTestAccount } from '../../src/testing/account.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { startLimitedApp } from '../harness/limited-app.ts';
import { indexes } from '../harness/numbers.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';

let app: App;
let graphql: ReturnType<typeof createGraphqlClient>;

beforeAll(async () => {
  app = await startLimitedApp({ database: await openTestDatabase() });
  graphql = createGraphqlClient(app.url);
});

afterAll(async () => {
  await graphql[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

const sessionOf = ({ token }: TestAccount) => app.deps.tokens.verify(token);

async function actorOf(account: TestAccount) {
  const verified = await sessionOf(account);
  if (verified?.kind !== 'local') throw new Error('The token is not of this server.');
  return verified.actor;
}

const openEventStream = ({ token }: TestAccount) =>
  fetch(`${app.url}/graphql?query=${encodeURIComponent('subscription { inboxEvents { __typename } }')}`, {
    headers: { accept: 'text/event-stream', authorization: `Bearer ${token}` },
  });

test('the oldest connections of an account make room for its newest, and may connect again', async () => {
  await using ann = await createTestAccount(app.url, graphql);
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const stream = await openEventStream(ann);
  await using legacy = await openPacketSocket(app.url);
  await legacy.request('authenticate', { token: ann.token });
  const actor = await actorOf(ann);
  const addOthers = (count: number) => {
    for (const _ of indexes(count)) app.deps.accountConnections.add(actor, { end: () => undefined });
  };
  addOthers(MAX_ACCOUNT_CONNECTIONS - 3);
  expect(socket.socket.readyState).toBe(socket.socket.OPEN);
  addOthers(3);
  expect(await socket.waitForClose()).toEqual({ code: 1013, reason: 'SLOW' });
  expect(await stream.text()).toMatch(/StreamLive[^]*retry: \d+/);
  await legacy.waitForClose();
  expect(legacy.pending()).toEqual([]);
  await using again = await openGraphqlSocket(app.url, { token: ann.token });
  expect(again.socket.readyState).toBe(again.socket.OPEN);
});

test('an account that opens connections too fast is refused on every transport', async () => {
  await using ann = await createTestAccount(app.url, graphql);
  const account = await actorOf(ann);
  for (const _ of indexes(2_020)) await app.deps.rateLimits.consume('connect', { account });
  await using socket = await openGraphqlSocket(app.url);
  socket.send({ type: 'connection_init', payload: { token: ann.token } });
  expect(await socket.waitForClose()).toEqual({ code: 4429, reason: 'RATE_LIMITED' });
  const stream = await openEventStream(ann);
  expect(Number(stream.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await stream.text()).toMatch(/"code":"RATE_LIMITED","retryAfterMs":\d+/);
  await using legacy = await openPacketSocket(app.url);
  expect(await legacy.request('authenticate', { token: ann.token })).toEqual([
    '42["error","Trop de requetes"]',
  ]);
});
