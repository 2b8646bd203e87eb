import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startSeededServer } from '../../bench/seed-accounts.ts';
import type { Member, SeededServer } from '../../bench/seed-accounts.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

// The memory in use after a collection hardly differs between runs: a bound that is exceeded shows what a connection has
// come to retain. `docs/decisions/0046-idle-connections.md` lists it.

const CLIENTS = 250;
const MAX_BYTES = 15_000;
const EVENTS =
  'subscription ($id: ID!) { conversationEvents(conversationId: $id) { cursor ... on MessageSent { message { text } } } }';

let seeded: SeededServer;

beforeAll(async () => {
  seeded = await startSeededServer({ accounts: CLIENTS, perConversation: 10 });
}, 120_000);

afterAll(async () => {
  await seeded[Symbol.asyncDispose]();
});

async function subscribe({ token, conversation }: Member): Promise<AsyncDisposable> {
  const socket = await openGraphqlSocket(seeded.server.url, { token });
  socket.send({
    id: crypto.randomUUID(),
    type: 'subscribe',
    payload: { query: EVENTS, variables: { id: conversation } },
  });
  await socket.nextOf('next');
  return socket;
}

/** Opens all subscriptions, and returns the bytes that each adds to the memory of the server. */
async function measureSubscribers(): Promise<number> {
  await waitUntilClosed();
  const { probe } = seeded.server;
  const before = (await probe.memory()).used;
  await using clients = new AsyncDisposableStack();
  for (const member of seeded.members) clients.use(await subscribe(member));
  return ((await probe.memory()).used - before) / CLIENTS;
}

async function waitUntilClosed(): Promise<void> {
  await vi.waitFor(
    async () => {
      const metrics = await (await fetch(`${seeded.server.url}/metrics`)).text();
      for (const [, count] of metrics.matchAll(/^parley_connections\{.*\} (\d+)$/gm)) expect(count).toBe('0');
    },
    { timeout: 10_000 },
  );
}

test('an idle subscriber takes little memory', { timeout: 120_000 }, async () => {
  // The first runs compile code and fill caches, and so may later ones: what a connection retains is in the smallest figure.
  const measured: number[] = [];
  for (let round = 0; round < 6; round += 1) measured.push(await measureSubscribers());
  expect(Math.min(...measured.slice(2))).toBeLessThan(MAX_BYTES);
});
