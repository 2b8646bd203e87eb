// How many messages a second are sent by many at once, beside one transaction for each on the same PostgreSQL.
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startPostgres } from '../test/support/postgres.ts';
import { cpuMs, median } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import type { Order, Sent } from './senders.ts';
import { print, startServer } from './server.ts';
import { AUTH_SECRET, populate, tokensOf } from './world.ts';

const WORLD = { accounts: 200, conversations: 100 };
const CASES = [{ senders: 1 }, { senders: 10 }, { senders: 200 }];
const ROUNDS = 5;
const ROUND_MS = 6_000;
const WARM_UP_MS = 3_000;
/** Of the event that Parley stores for a message of 200 characters, less what stands around it. */
const EVENT_BYTES = 700;
const SCRIPT = fileURLToPath(new URL('peers/send.sql', import.meta.url));

await using stack = new AsyncDisposableStack();
const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
stack.defer(() => rm(dataDir, { recursive: true, force: true }));
const postgres = stack.use(await startPostgres({ durable: true }));
const server = stack.use(
  await startServer(dataDir, { DATABASE_URL: postgres.url, AUTH_SECRET, RATE_LIMITS: 'on' }),
);
await populate(postgres.url, WORLD);
const tokens = await tokensOf(WORLD);
const senders = fork(new URL('senders.ts', import.meta.url));
stack.defer(() => void senders.kill());

async function order<Answer>(given: Order): Promise<Answer> {
  senders.send(given);
  const [answer] = (await once(senders, 'message')) as [Answer];
  return answer;
}

async function onParley(count: number) {
  const chosen = Array.from({ length: count }, (_, n) => n);
  await order({
    type: 'open',
    url: `${server.url.replace('http', 'ws')}/graphql`,
    tokens: chosen.map((n) => tokens[n] ?? ''),
    conversationIds: chosen.map((n) => `Conversation:${(n % WORLD.conversations) + 1}`),
  });
  await order<Sent>({ type: 'send', ms: WARM_UP_MS });
  const [cpu, before] = [await cpuMs(server.pid), performance.now()];
  const { sends, medianMs, p99Ms } = await order<Sent>({ type: 'send', ms: ROUND_MS });
  const perSecond = (sends * 1_000) / (performance.now() - before);
  const cpuUs = (((await cpuMs(server.pid)) - cpu) * 1_000) / sends;
  await order({ type: 'close' });
  return { perSecond, medianMs, p99Ms, cpuUs };
}

async function onPgbench(count: number) {
  const target = `-h 127.0.0.1 -p ${postgres.port} -U postgres`;
  const load = `-n -M prepared -c ${count} -j 2 -T ${ROUND_MS / 1_000}`;
  const variables = `-D conversations=${WORLD.conversations} -D event_bytes=${EVENT_BYTES}`;
  const options = `${target} ${load} ${variables} -f`.split(' ');
  const { stdout } = await promisify(execFile)('pgbench', [...options, SCRIPT, 'postgres']);
  const number = (form: RegExp): number => Number(form.exec(stdout)?.[1]);
  return { perSecond: number(/^tps = ([\d.]+)/m), meanMs: number(/^latency average = ([\d.]+)/m) };
}

print('Messages sent each second, medians of paired rounds\n');
print('senders     Parley    pgbench      ratio     median        p99  processor of the server');
const rows: Row[] = [];
for (const { senders: count } of CASES) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({ parley: await onParley(count), pgbench: await onPgbench(count) });
  const row = {
    senders: count,
    parleyPerSecond: median(rounds.map(({ parley }) => parley.perSecond)),
    pgbenchPerSecond: median(rounds.map(({ pgbench }) => pgbench.perSecond)),
    ratio: median(rounds.map(({ parley, pgbench }) => parley.perSecond / pgbench.perSecond)),
    parleyMedianMs: median(rounds.map(({ parley }) => parley.medianMs)),
    parleyP99Ms: median(rounds.map(({ parley }) => parley.p99Ms)),
    pgbenchMeanMs: median(rounds.map(({ pgbench }) => pgbench.meanMs)),
    parleyCpuUs: median(rounds.map(({ parley }) => parley.cpuUs)),
  };
  rows.push(row);
  const whole = (value: number): string => value.toFixed(0).padStart(10);
  const ms = (value: number): string => `${value.toFixed(1)} ms`.padStart(10);
  print(
    [
      String(count).padStart(7),
      whole(row.parleyPerSecond),
      whole(row.pgbenchPerSecond),
      `${row.ratio.toFixed(2)} x`.padStart(10),
      ms(row.parleyMedianMs),
      ms(row.parleyP99Ms),
      `${row.parleyCpuUs.toFixed(0)} us`.padStart(10),
    ].join(' '),
  );
}
await record('sends', rows);
