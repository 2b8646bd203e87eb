// What it costs to bring one message to many: beside a bare WebSocket server, and beside the stock GraphQL one.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createTestAccount } from '../src/testing/account.ts';
import { circleOf, conversationOf, createGraphqlClient } from '../src/testing/index.ts';
import { cpuDuring, median, startPeer } from './measure.ts';
import type { Peer } from './measure.ts';
import { print, startServer } from './server.ts';
import type { Opening, Order } from './subscribers.ts';

const CASES = [
  { subscribers: 100, bytes: 200 },
  { subscribers: 1_000, bytes: 200 },
  { subscribers: 1_000, bytes: 4_096 },
  { subscribers: 5_000, bytes: 200 },
];
const ROUNDS = 5;
const DELIVERIES = 100_000;
const MAX_MESSAGES = 300;
/** The stock server needs several times as long. */
const PAUSE_MS_PER_1000 = 80;

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const EVENTS = `subscription ($id: ID!) { conversationEvents(conversationId: $id) {
  __typename cursor at ... on MessageSent { message { id text sentAt author { ... on User { id firstName } } } } } }`;

interface Case {
  readonly subscribers: number;
  readonly bytes: number;
}

await using stack = new AsyncDisposableStack();
const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
stack.defer(() => rm(dataDir, { recursive: true, force: true }));
const server = stack.use(await startServer(dataDir));
const bareWs = stack.use(await startPeer('bare-ws'));
const stockYoga = stack.use(await startPeer('stock-yoga'));
const clients = fork(new URL('subscribers.ts', import.meta.url));
stack.defer(() => void clients.kill());
const anonymous = stack.use(createGraphqlClient(server.url));
const ann = stack.use(await createTestAccount(server.url, anonymous));
const bob = stack.use(await createTestAccount(server.url, anonymous));
const { id } = await conversationOf(ann, await circleOf(ann, bob), bob);

async function order(given: Order): Promise<void> {
  clients.send(given);
  await once(clients, 'message');
}

const subscribing = (origin: string, count: number, token: string): Opening => ({
  type: 'open',
  url: `${origin}/graphql`,
  protocol: 'graphql-transport-ws',
  count,
  greeting: [
    JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }),
    JSON.stringify({ id: '<id>', type: 'subscribe', payload: { query: EVENTS, variables: { id } } }),
  ],
  ready: 'StreamLive',
});

const messagesOf = ({ subscribers }: Case): number =>
  Math.min(MAX_MESSAGES, Math.ceil(DELIVERIES / subscribers));

/** Publishes at an even pace, which leaves everybody time to deliver before the next one. */
async function publishAll(given: Case, publish: () => Promise<unknown>): Promise<void> {
  for (let left = messagesOf(given); left > 0; left -= 1) {
    await publish();
    await pause((PAUSE_MS_PER_1000 * given.subscribers) / 1_000);
  }
}

/** Processor time in microseconds for each delivery. */
async function costOf(
  given: Case,
  opening: Opening,
  pid: number,
  publish: () => Promise<unknown>,
): Promise<number> {
  await order(opening);
  const ms = await cpuDuring(pid, async () => {
    await publishAll(given, publish);
    await order({ type: 'collect', frames: messagesOf(given) });
  });
  await order({ type: 'close' });
  return (ms * 1_000) / (messagesOf(given) * given.subscribers);
}

function event(bytes: number) {
  const [at, text] = [new Date().toISOString(), '.'.repeat(bytes)];
  const author = { id: 'User:1', firstName: 'Test' };
  return {
    cursor: 'MzViNmIwZTcvY29udmVyc2F0aW9uOjYvNw',
    at,
    message: { id: 'Message:1234', text, sentAt: at, author },
  };
}

function frame(bytes: number): string {
  const conversationEvents = { __typename: 'MessageSent', ...event(bytes) };
  return JSON.stringify({ id: crypto.randomUUID(), type: 'next', payload: { data: { conversationEvents } } });
}

async function compare(given: Case) {
  const { subscribers, bytes } = given;
  const text = '.'.repeat(bytes);
  const send = () => ann.graphql.run(SEND, { id, text });
  const bare = (peer: Peer): Opening => ({
    type: 'open',
    url: `ws://127.0.0.1:${peer.port}`,
    count: subscribers,
    greeting: ['hello'],
    ready: 'ready',
  });
  // What a send itself costs is no part of its deliveries.
  const alone = (await cpuDuring(server.pid, () => publishAll(given, send))) * 1_000;
  const origin = server.url.replace('http', 'ws');
  const together = await costOf(given, subscribing(origin, subscribers, ann.token), server.pid, send);
  return {
    parley: together - alone / (messagesOf(given) * subscribers),
    bareWs: await costOf(given, bare(bareWs), bareWs.pid, () => bareWs.publish(frame(bytes))),
    stockYoga: await costOf(
      given,
      subscribing(`ws://127.0.0.1:${stockYoga.port}`, subscribers, ''),
      stockYoga.pid,
      () => stockYoga.publish(JSON.stringify(event(bytes))),
    ),
  };
}

print('processor time of the server for each delivery, medians of paired rounds\n');
print('subscribers   bytes     Parley    bare ws   stock Yoga     to bare ws   to stock Yoga');
for (const given of CASES) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await compare(given));
  const us = (values: readonly number[]): string => `${median(values).toFixed(1)} us`.padStart(10);
  const ratio = (values: readonly number[]): string => `${median(values).toFixed(2)} x`.padStart(14);
  print(
    [
      String(given.subscribers).padStart(11),
      String(given.bytes).padStart(8),
      us(rounds.map(({ parley }) => parley)),
      us(rounds.map((one) => one.bareWs)),
      us(rounds.map((one) => one.stockYoga)),
      ratio(rounds.map(({ parley, bareWs: bare }) => parley / bare)),
      ratio(rounds.map(({ parley, stockYoga: stock }) => parley / stock)),
    ].join(' '),
  );
}
