// Measures how long 1,000 subscriptions of one connection take to be live, each to a conversation of its own. Peer: a bare
// WebSocket server that replies to as many messages on one connection.
import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { WebSocket } from 'ws';
import { startPostgres } from '../test/harness/postgres.ts';
import { cpuDuring, startPeer } from './measure.ts';
import type { Peer } from './measure.ts';
import { record } from './results.ts';
import { formatRatio, measurePairs } from './rounds.ts';
import { repeat } from './scale.ts';
import { startSeededServer } from './seed-accounts.ts';
import { print } from './server.ts';
import type { Server } from './server.ts';

const SUBSCRIPTIONS = repeat(1_000);
const QUERY = 'subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename cursor } }';

/** Makes the first account a member of all conversations. */
async function joinAll(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query(
    "insert into memberships (circle_id, user_id, role) select id, 1, 'MEMBER' from circles where id > 1",
  );
  await client.query(
    "insert into participants (conversation_id, user_id, role) select id, 1, 'STANDARD' from conversations where id > 1",
  );
  await client.query('analyze');
  await client.end();
}

async function openSocket(url: string, protocol?: string): Promise<WebSocket> {
  const socket = new WebSocket(url, protocol);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return socket;
}

/** Sends messages concurrently and returns the milliseconds until so many frames that match were received. */
async function measureMs(socket: WebSocket, messages: readonly string[], matches: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let remaining = messages.length;
  socket.on('message', (data: Buffer) => {
    const text = data.toString();
    if (!text.includes(matches)) return reject(new Error(`An unexpected frame: ${text}`));
    remaining -= 1;
    if (remaining === 0) resolve();
  });
  const startedAt = performance.now();
  for (const message of messages) socket.send(message);
  await promise;
  return performance.now() - startedAt;
}

async function measureParley({ url, pid }: Server, token: string) {
  const socket = await openSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const acknowledged = new Promise((resolve) => socket.once('message', resolve));
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
  await acknowledged;
  const subscribes = Array.from({ length: SUBSCRIPTIONS }, (_, index) =>
    JSON.stringify({
      id: `${index}`,
      type: 'subscribe',
      payload: { query: QUERY, variables: { id: `Conversation:${index + 1}` } },
    }),
  );
  let ms = NaN;
  const cpu = await cpuDuring(pid, async () => {
    ms = await measureMs(socket, subscribes, 'StreamLive');
  });
  socket.close();
  return { ms, cpuUs: (cpu * 1_000) / SUBSCRIPTIONS };
}

async function measureBare({ port, pid }: Peer) {
  const socket = await openSocket(`ws://127.0.0.1:${port}`);
  const joined = new Promise((resolve) => socket.once('message', resolve));
  socket.send('room');
  await joined;
  const messages = Array.from({ length: SUBSCRIPTIONS }, () => 'x'.repeat(200));
  let ms = NaN;
  const cpu = await cpuDuring(pid, async () => {
    ms = await measureMs(socket, messages, 'x');
  });
  socket.close();
  return { ms, cpuUs: (cpu * 1_000) / SUBSCRIPTIONS };
}

await using stack = new AsyncDisposableStack();
const postgres = stack.use(await startPostgres({ durable: true }));
const seed = { accounts: SUBSCRIPTIONS, perConversation: 1 };
const { server, members } = stack.use(await startSeededServer(seed, postgres.url));
await joinAll(postgres.url);
const bare = stack.use(await startPeer('bare-ws'));
const { median, ratio } = await measurePairs(
  { parley: () => measureParley(server, members[0]?.token ?? ''), bare: () => measureBare(bare) },
  { steady: 'ms' },
);
const row = {
  subscriptions: SUBSCRIPTIONS,
  parleyMs: median('parley', 'ms'),
  bareWsMs: median('bare', 'ms'),
  toBareWs: ratio('parley', 'bare', 'ms'),
  parleyCpuUs: median('parley', 'cpuUs'),
  bareWsCpuUs: median('bare', 'cpuUs'),
};
print(
  `${SUBSCRIPTIONS} subscriptions of one connection are live after ${row.parleyMs?.toFixed(0)} ms, ` +
    `with ${row.parleyCpuUs?.toFixed(0)} us of CPU time each; as many echoes take ${row.bareWsMs?.toFixed(0)} ms ` +
    `(${formatRatio(row.toBareWs)})`,
);
await record('many-subscriptions', [row]);
