// What it costs to bring one message to many old clients, beside a bare Socket.IO room.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestAccount } from '../src/testing/account.ts';
import { circleOf, conversationOf, createGraphqlClient } from '../src/testing/index.ts';
import { costOf, startAudience } from './audience.ts';
import { median, startPeer } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { print, startServer } from './server.ts';
import type { Opening } from './subscribers.ts';

const CASES = [
  { clients: 1_000, bytes: 200 },
  { clients: 1_000, bytes: 4_096 },
];
const ROUNDS = 5;
const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

await using stack = new AsyncDisposableStack();
const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
stack.defer(() => rm(dataDir, { recursive: true, force: true }));
const server = stack.use(await startServer(dataDir));
const bareSocketIo = stack.use(await startPeer('bare-socket-io'));
const audience = stack.use(startAudience());
const anonymous = stack.use(createGraphqlClient(server.url));
const ann = stack.use(await createTestAccount(server.url, anonymous));
const bob = stack.use(await createTestAccount(server.url, anonymous));
const circle = await circleOf(ann, bob);
const { id, legacyId } = await conversationOf(ann, circle, bob);
const quiet = await conversationOf(ann, circle, bob);

const joining = (origin: string, count: number, events: readonly string[], ready: string): Opening => ({
  type: 'open',
  url: `${origin}/socket.io/?EIO=4&transport=websocket`,
  count,
  greeting: ['', '40', ...events],
  ready,
  counted: '42["message",',
});

/** As long as the frame that Parley sends. */
function payloadOf(bytes: number): string {
  const [time, content] = ['2026-11-26T00:00:00.123000', '.'.repeat(bytes)];
  const message = { id: 1234, link_id: 1, sent: time, read: null, content, medias: 0 };
  const person = {
    id: 1,
    email: '12345678@example.com',
    first_name: 'Test',
    last_name: '12345678',
    birthday: null,
  };
  const sender = { ...person, created: time, updated: time, isOnline: true, type: 'DEFAULT' };
  return JSON.stringify({ conversation_id: 1, message, time, sender, media_list: [], status: 'done' });
}

async function compare({ clients, bytes }: (typeof CASES)[number]) {
  const text = '.'.repeat(bytes);
  const send = (to: string) => ann.graphql.run(SEND, { id: to, text });
  const events = [
    `42["authenticate",${JSON.stringify({ token: bob.token })}]`,
    `42["join_conversation",${JSON.stringify({ conversation_id: legacyId })}]`,
  ];
  const parley = await costOf(audience, {
    opening: joining(server.url.replace('http', 'ws'), clients, events, 'Vous avez rejoins'),
    pid: server.pid,
    publish: () => send(id),
    publishToNobody: () => send(quiet.id),
  });
  return {
    parley,
    bare: await costOf(audience, {
      opening: joining(`ws://127.0.0.1:${bareSocketIo.port}`, clients, ['42["join"]'], '42["ready"]'),
      pid: bareSocketIo.pid,
      publish: () => bareSocketIo.publish(payloadOf(bytes)),
    }),
  };
}

print('Socket.IO: processor time of the server for each delivery, medians of paired rounds\n');
print('clients    bytes     Parley  bare room      ratio');
const rows: Row[] = [];
for (const given of CASES) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await compare(given));
  const row = {
    ...given,
    parleyUs: median(rounds.map(({ parley }) => parley)),
    bareRoomUs: median(rounds.map(({ bare }) => bare)),
    ratio: median(rounds.map(({ parley, bare }) => parley / bare)),
  };
  rows.push(row);
  const us = (value: number): string => `${value.toFixed(1)} us`.padStart(10);
  const numbers = [us(row.parleyUs), us(row.bareRoomUs), `${row.ratio.toFixed(2)} x`.padStart(10)];
  print([String(given.clients).padStart(7), String(given.bytes).padStart(8), ...numbers].join(' '));
}
await record('legacyFanOut', rows);
