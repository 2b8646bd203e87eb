// What it costs to bring one message to many: beside a bare WebSocket server, and beside the stock GraphQL one.
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
  { subscribers: 1_000, bytes: 200 },
  { subscribers: 1_000, bytes: 4_096 },
  { subscribers: 5_000, bytes: 200 },
];
const ROUNDS = 5;

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const EVENTS = `subscription ($id: ID!) { conversationEvents(conversationId: $id) {
  __typename cursor at ... on MessageSent { message { id text sentAt author { ... on User { id firstName } } } } } }`;

type Case = (typeof CASES)[number];

await using stack = new AsyncDisposableStack();
const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
stack.defer(() => rm(dataDir, { recursive: true, force: true }));
const server = stack.use(await startServer(dataDir));
const bareWs = stack.use(await startPeer('bare-ws'));
const stockYoga = stack.use(await startPeer('stock-yoga'));
const audience = stack.use(startAudience());
const anonymous = stack.use(createGraphqlClient(server.url));
const ann = stack.use(await createTestAccount(server.url, anonymous));
const bob = stack.use(await createTestAccount(server.url, anonymous));
const circle = await circleOf(ann, bob);
const [{ id }, quiet] = [await conversationOf(ann, circle, bob), await conversationOf(ann, circle, bob)];

const subscribing = (origin: string, count: number): Opening => ({
  type: 'open',
  url: `${origin}/graphql`,
  protocol: 'graphql-transport-ws',
  count,
  greeting: [
    JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${ann.token}` } }),
    JSON.stringify({ id: '<id>', type: 'subscribe', payload: { query: EVENTS, variables: { id } } }),
  ],
  ready: 'StreamLive',
  counted: '{"id":',
});

/** What the peers deliver, as long as what Parley does. */
function eventOf(bytes: number) {
  const [at, text] = [new Date().toISOString(), '.'.repeat(bytes)];
  const author = { id: 'User:1', firstName: 'Test' };
  const message = { id: 'Message:1234', text, sentAt: at, author };
  return { cursor: 'MzViNmIwZTcvY29udmVyc2F0aW9uOjYvNw', at, message };
}

function frameOf(bytes: number): string {
  const conversationEvents = { __typename: 'MessageSent', ...eventOf(bytes) };
  return JSON.stringify({ id: crypto.randomUUID(), type: 'next', payload: { data: { conversationEvents } } });
}

async function compare({ subscribers, bytes }: Case) {
  const text = '.'.repeat(bytes);
  const send = (to: string) => ann.graphql.run(SEND, { id: to, text });
  const bare: Opening = {
    type: 'open',
    url: `ws://127.0.0.1:${bareWs.port}`,
    count: subscribers,
    greeting: ['hello'],
    ready: 'ready',
    counted: '{"id":',
  };
  const parley = await costOf(audience, {
    opening: subscribing(server.url.replace('http', 'ws'), subscribers),
    pid: server.pid,
    publish: () => send(id),
    publishToNobody: () => send(quiet.id),
  });
  return {
    parley,
    bare: await costOf(audience, {
      opening: bare,
      pid: bareWs.pid,
      publish: () => bareWs.publish(frameOf(bytes)),
    }),
    stock: await costOf(audience, {
      opening: subscribing(`ws://127.0.0.1:${stockYoga.port}`, subscribers),
      pid: stockYoga.pid,
      publish: () => stockYoga.publish(JSON.stringify(eventOf(bytes))),
    }),
  };
}

print('GraphQL: processor time of the server for each delivery, medians of paired rounds\n');
print('subscribers    bytes     Parley    bare ws   stock Yoga   to bare ws  to stock Yoga');
const rows: Row[] = [];
for (const given of CASES) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await compare(given));
  const row = {
    ...given,
    parleyUs: median(rounds.map(({ parley }) => parley)),
    bareWsUs: median(rounds.map(({ bare }) => bare)),
    stockYogaUs: median(rounds.map(({ stock }) => stock)),
    toBareWs: median(rounds.map(({ parley, bare }) => parley / bare)),
    toStockYoga: median(rounds.map(({ parley, stock }) => parley / stock)),
  };
  rows.push(row);
  const us = (value: number): string => `${value.toFixed(1)} us`.padStart(10);
  const ratio = (value: number): string => `${value.toFixed(2)} x`.padStart(12);
  print(
    [
      String(given.subscribers).padStart(11),
      String(given.bytes).padStart(8),
      us(row.parleyUs),
      us(row.bareWsUs),
      us(row.stockYogaUs),
      ratio(row.toBareWs),
      ratio(row.toStockYoga),
    ].join(' '),
  );
}
await record('graphqlFanOut', rows);
