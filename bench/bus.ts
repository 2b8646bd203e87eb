// Measures what an event costs the nodes that have readers for it, those that have none, and the server between them.
// `node bench/bus.ts 256 2000` measures 256 shards beside 2,000 other topics. Its figures are in docs/decisions/0033-sharded-bus.md.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { startPostgres } from '../test/harness/postgres.ts';
import { startRedis } from '../test/harness/redis.ts';
import type { NodeSettings, PublishCommand } from './bus-node.ts';
import { cpuMs, cpuOfTree, findProcess } from './measure.ts';
import { print } from './server.ts';

const EVENTS = 8_000;
const TOPICS = 50;
const SHARDS = [1, 16, 64, 256, 1_024, 16_384];
/** Topics of the node that has readers for other topics only. */
const OTHER_TOPICS = [50, 2_000];

async function startNode(settings: NodeSettings, stack: AsyncDisposableStack): Promise<ChildProcess> {
  const node = fork(new URL('bus-node.ts', import.meta.url), [JSON.stringify(settings)]);
  stack.defer(() => void node.kill());
  await once(node, 'message');
  return node;
}

async function request<Reply>(node: ChildProcess, command: PublishCommand | 'received'): Promise<Reply> {
  node.send(command);
  const [reply] = (await once(node, 'message')) as [Reply];
  return reply;
}

async function measure(kind: 'NOTIFY' | 'Redis', shards: number, otherTopics: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const redis = kind === 'Redis' ? stack.use(await startRedis()) : undefined;
  const base = { databaseUrl: postgres.url, redisUrl: redis?.url, shards };
  const topics = Array.from({ length: TOPICS }, (_, index) => index + 1);
  const writer = await startNode({ ...base, follows: { first: 0, count: 0 } }, stack);
  const reader = await startNode({ ...base, follows: { first: 1, count: TOPICS } }, stack);
  const other = await startNode({ ...base, follows: { first: 100_001, count: otherTopics } }, stack);
  const nodes = [writer, reader, other].map((node) => node.pid ?? 0);
  const server = await findProcess(
    redis === undefined
      ? new RegExp(`postgres .*port=${postgres.port}|postgres .*-p ?${postgres.port}`)
      : new RegExp(`redis-server.*:${new URL(redis.url).port}`),
  );
  const readCpu = async () => [...(await Promise.all(nodes.map(cpuMs))), await cpuOfTree(server)];
  const idleFrom = await readCpu();
  await pause(3_000);
  const idle = await readCpu();
  const startedAt = performance.now();
  await request(writer, { events: EVENTS, topics });
  await pause(300);
  const seconds = (performance.now() - startedAt) / 1000;
  const after = await readCpu();
  const received = await request<number>(reader, 'received');
  const figures = after.map((cpu, index) => {
    const idleCpu = (((idle[index] ?? 0) - (idleFrom[index] ?? 0)) / 3) * seconds;
    return (((cpu - (idle[index] ?? 0) - idleCpu) * 1000) / EVENTS).toFixed(1);
  });
  print(
    `${kind} shards=${shards} otherTopics=${otherTopics}: us per event (writer, reader, other, server): ${figures.join(', ')}; received ${received}; ${Math.round(EVENTS / seconds)}/s\n`,
  );
}

const [onlyShards, onlyTopics] = process.argv.slice(2).map(Number);

for (const kind of ['NOTIFY', 'Redis'] as const)
  for (const shards of onlyShards === undefined ? SHARDS : [onlyShards])
    for (const otherTopics of onlyTopics === undefined ? OTHER_TOPICS : [onlyTopics])
      await measure(kind, shards, otherTopics);
