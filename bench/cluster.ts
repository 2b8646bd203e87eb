// Measures three nodes on one PostgreSQL, connected by NOTIFY and by Redis, beside a single node: what a send costs all nodes
// and the servers between them, what an event costs a node without readers, what a delivery costs another node than the
// sender's, and how soon a revoked token ends a subscription on another node.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startPostgres } from '../test/harness/postgres.ts';
import { startRedis } from '../test/harness/redis.ts';
import { createGraphqlClient } from '../src/testing/index.ts';
import { createSubscribeScript } from './client-scripts.ts';
import { openReceivers } from './load-clients.ts';
import { cpuMs, cpuOfTree, findProcess, median, percentile } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { printRow } from './rounds.ts';
import { seedAccounts } from './seed-accounts.ts';
import type { Member } from './seed-accounts.ts';
import type { Command, RoundResult } from './senders.ts';
import { startServer } from './server.ts';
import type { Server } from './server.ts';

const KINDS = ['single', 'NOTIFY', 'Redis'] as const;
type Kind = (typeof KINDS)[number];

const SECRET = 'the secret of the cluster bench';
const SENDERS = 198;
/** Members of the conversations, each with senders on different nodes. */
const PER_CONVERSATION = 3;
const REVOCATIONS = 200;
const SUBSCRIBERS = 1_000;
const WARM_UP_MS = 3_000;
const ROUND_MS = 6_000;
const ROUNDS = 7;
/** After this time a node knows whether it is alone. */
const DETECT_MS = 16_000;

interface Cluster {
  readonly nodes: readonly Server[];
  readonly members: readonly Member[];
  /** CPU time of PostgreSQL and of Redis so far, in milliseconds. */
  serverCpu(): Promise<number>;
}

async function startCluster(kind: Kind, stack: AsyncDisposableStack): Promise<Cluster> {
  const postgres = stack.use(await startPostgres({ durable: true }));
  const redis = kind === 'Redis' ? stack.use(await startRedis()) : undefined;
  const accounts = SENDERS + REVOCATIONS + PER_CONVERSATION;
  const database = { kind: 'postgres', url: postgres.url } as const;
  const members = await seedAccounts({ accounts, perConversation: PER_CONVERSATION }, database, SECRET);
  const nodes: Server[] = [];
  for (let count = kind === 'single' ? 1 : 3; count > 0; count -= 1) {
    const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
    stack.defer(() => rm(dataDir, { recursive: true, force: true }));
    nodes.push(
      stack.use(
        await startServer(dataDir, {
          DATABASE_URL: postgres.url,
          AUTH_SECRET: SECRET,
          ...(redis !== undefined && { REDIS_URL: redis.url }),
        }),
      ),
    );
  }
  const servers = [await findProcess(new RegExp(`postgres .*(?:port=|-p ?)${postgres.port}`))];
  if (redis !== undefined)
    servers.push(await findProcess(new RegExp(`redis-server.*:${new URL(redis.url).port}`)));
  await pause(DETECT_MS);
  const serverCpu = async (): Promise<number> =>
    (await Promise.all(servers.map(cpuOfTree))).reduce((sum, ms) => sum + ms, 0);
  return { nodes, members, serverCpu };
}

async function run<Reply>(senders: ChildProcess, command: Command): Promise<Reply> {
  senders.send(command);
  const [reply] = (await once(senders, 'message')) as [Reply];
  return reply;
}

/** Sends from clients of some of the nodes. Returns microseconds of CPU time per send, for each node and the servers. */
async function measureSends({ nodes, members, serverCpu }: Cluster, senderNodes: readonly Server[]) {
  await using stack = new AsyncDisposableStack();
  const processes: ChildProcess[] = [];
  for (const [index, { url }] of senderNodes.entries()) {
    const senders = fork(new URL('senders.ts', import.meta.url));
    stack.defer(() => void senders.kill());
    processes.push(senders);
    const own = members.slice(0, SENDERS).filter((_, at) => at % senderNodes.length === index);
    await run(senders, { type: 'open', url: `${url.replace('http', 'ws')}/graphql`, senders: own });
  }
  const sendFor = (ms: number) =>
    Promise.all(processes.map((senders) => run<RoundResult>(senders, { type: 'send', ms })));
  const readCpu = async () => [...(await Promise.all(nodes.map(({ pid }) => cpuMs(pid)))), await serverCpu()];
  await sendFor(WARM_UP_MS);
  const idleFrom = await readCpu();
  await pause(ROUND_MS);
  const before = await readCpu();
  const startedAt = performance.now();
  const results = await sendFor(ROUND_MS);
  const elapsedMs = performance.now() - startedAt;
  const after = await readCpu();
  const sends = results.reduce((sum, result) => sum + result.sends, 0);
  const costs = after.map((cpu, index) => {
    const from = before[index] ?? 0;
    const idleMs = ((from - (idleFrom[index] ?? 0)) * elapsedMs) / ROUND_MS;
    return ((cpu - from - idleMs) * 1_000) / sends;
  });
  return {
    perSecond: (sends * 1_000) / elapsedMs,
    p99Ms: Math.max(...results.map(({ p99Ms }) => p99Ms)),
    nodeCosts: costs.slice(0, -1),
    serverCost: costs.at(-1) ?? NaN,
  };
}

/** Returns microseconds of CPU time per delivery on the last node, of messages that are sent to the first one. */
async function measureDelivery({ nodes, members }: Cluster): Promise<number> {
  const [sending, receiving] = [nodes[0], nodes.at(-1)];
  const [member, other] = [members.at(-1), members[0]];
  if (sending === undefined || receiving === undefined || member === undefined || other === undefined)
    throw new Error('The cluster is empty');
  await using graphql = createGraphqlClient(sending.url, member.token);
  await using otherGraphql = createGraphqlClient(sending.url, other.token);
  const send = (client: typeof graphql, id: string) =>
    client.run(
      'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }',
      { id, text: '.'.repeat(200) },
    );
  await using receivers = await openReceivers({
    script: createSubscribeScript(receiving.url, SUBSCRIBERS, [member]),
    pid: receiving.pid,
    publish: () => send(graphql, member.conversation),
    publishWithoutReceivers: () => send(otherGraphql, other.conversation),
  });
  const costs = [];
  for (let round = 0; round < ROUNDS; round += 1) costs.push(await receivers.measureCost());
  return median(costs);
}

/** Returns the times from a logout's request on the first node to the end of a subscription on the last one, sorted. */
async function measureRevocations({ nodes, members }: Cluster): Promise<number[]> {
  const [first, last] = [nodes[0]?.url ?? '', nodes.at(-1)?.url ?? ''];
  const delays: number[] = [];
  for (const { token } of members.slice(SENDERS, SENDERS + REVOCATIONS)) {
    await using subscriber = createGraphqlClient(last, token);
    await using events = subscriber.subscribe('subscription { inboxEvents { __typename } }');
    await events.nextOf('StreamLive');
    await using client = createGraphqlClient(first, token);
    const startedAt = performance.now();
    const ended = events.waitForEnd().then(() => performance.now() - startedAt);
    await client.run('mutation { logout }');
    delays.push(await ended);
  }
  return delays.sort((a, b) => a - b);
}

const COLUMNS = [
  'bus',
  ' sends/s',
  '     p99',
  'nodes, per send',
  'servers, per send',
  'no readers, per event',
  'per delivery',
  'revocation median',
  '  p99',
];
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const kind of KINDS) {
  await using stack = new AsyncDisposableStack();
  const cluster = await startCluster(kind, stack);
  const sends = await measureSends(cluster, cluster.nodes);
  const some = kind === 'single' ? undefined : await measureSends(cluster, cluster.nodes.slice(0, 2));
  const deliveryUs = await measureDelivery(cluster);
  const revocations = await measureRevocations(cluster);
  const row = {
    bus: kind,
    perSecond: sends.perSecond,
    sendP99Ms: sends.p99Ms,
    nodesUs: sends.nodeCosts.reduce((sum, cost) => sum + cost, 0),
    serversUs: sends.serverCost,
    withoutReadersUs: some?.nodeCosts.at(-1),
    deliveryUs,
    revocationMedianMs: median(revocations),
    revocationP99Ms: percentile(revocations, 0.99),
  };
  rows.push(row);
  const us = (value = NaN): string => (Number.isNaN(value) ? '' : `${value.toFixed(1)} us`);
  printRow(COLUMNS, [
    kind,
    row.perSecond.toFixed(0),
    `${row.sendP99Ms.toFixed(0)} ms`,
    us(row.nodesUs),
    us(row.serversUs),
    us(row.withoutReadersUs),
    us(row.deliveryUs),
    `${row.revocationMedianMs.toFixed(1)} ms`,
    `${row.revocationP99Ms.toFixed(1)} ms`,
  ]);
}
await record('cluster', rows);
