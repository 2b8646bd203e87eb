// How many messages a second are sent by many at once, beside one transaction for each on the same PostgreSQL.
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as pause } from 'node:timers/promises';
import { findCommand } from '../test/harness/commands.ts';
import { startPostgres } from '../test/harness/postgres.ts';
import type { PostgresServer } from '../test/harness/postgres.ts';
import { startCrowdedServer } from './seed-accounts.ts';
import type { CrowdedServer } from './seed-accounts.ts';
import { cpuMs, median } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import type { Order, Sent } from './senders.ts';
import { NOT_THERE, printRow } from './rounds.ts';
import { print } from './server.ts';

const ACCOUNTS = 200;
const CASES = [
  { senders: 1, together: 2 },
  { senders: 10, together: 2 },
  { senders: 200, together: 2 },
  { senders: 200, together: 200 },
];
const ROUNDS = 5;
const ROUND_MS = 6_000;
const WARM_UP_MS = 3_000;
/** A node knows after so long that it is alone, and tells others nothing any more. */
const ALONE_MS = 16_000;
/** Of the event that Parley stores for a message of 200 characters, less what stands around it. */
const EVENT_BYTES = 700;
const PGBENCH = findCommand('pgbench');
const SCRIPT = fileURLToPath(new URL('peers/send.sql', import.meta.url));

interface Scene {
  readonly postgres: PostgresServer;
  readonly crowded: CrowdedServer;
  /** Of the senders' process. */
  order<Answer>(order: Order): Promise<Answer>;
}

/** A server on a PostgreSQL that waits for its disk, with accounts so many of which share each conversation. */
async function openScene(together: number, stack: AsyncDisposableStack): Promise<Scene> {
  const postgres = stack.use(await startPostgres({ durable: true }));
  const crowd = { accounts: ACCOUNTS, together };
  const crowded = stack.use(await startCrowdedServer(crowd, postgres.url, { RATE_LIMITS: 'on' }));
  const senders = fork(new URL('senders.ts', import.meta.url));
  stack.defer(() => void senders.kill());
  await pause(ALONE_MS);
  return {
    postgres,
    crowded,
    async order<Answer>(order: Order) {
      senders.send(order);
      const [answer] = (await once(senders, 'message')) as [Answer];
      return answer;
    },
  };
}

async function onParley({ crowded: { server, members }, order }: Scene, count: number) {
  const url = `${server.url.replace('http', 'ws')}/graphql`;
  await order({ type: 'open', url, senders: members.slice(0, count) });
  await order<Sent>({ type: 'send', ms: WARM_UP_MS });
  const [cpu, before] = [await cpuMs(server.pid), performance.now()];
  const { sends, medianMs, p99Ms } = await order<Sent>({ type: 'send', ms: ROUND_MS });
  const perSecond = (sends * 1_000) / (performance.now() - before);
  const cpuUs = (((await cpuMs(server.pid)) - cpu) * 1_000) / sends;
  await order({ type: 'close' });
  return { perSecond, medianMs, p99Ms, cpuUs };
}

/** Not a number each when there is no pgbench. */
async function onPgbench({ postgres }: Scene, { senders, together }: (typeof CASES)[number]) {
  if (PGBENCH === undefined) return { perSecond: NaN, meanMs: NaN };
  const target = `-h 127.0.0.1 -p ${postgres.port} -U postgres`;
  const load = `-n -M prepared -c ${senders} -j 2 -T ${ROUND_MS / 1_000}`;
  const options = `${target} ${load} -D together=${together} -D event_bytes=${EVENT_BYTES} -f`.split(' ');
  const { stdout } = await promisify(execFile)(PGBENCH, [...options, SCRIPT, 'postgres']);
  const number = (form: RegExp): number => Number(form.exec(stdout)?.[1]);
  return { perSecond: number(/^tps = ([\d.]+)/m), meanMs: number(/^latency average = ([\d.]+)/m) };
}

const known = (value: number): number | undefined => (Number.isNaN(value) ? undefined : value);

async function compare(given: (typeof CASES)[number]): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const scene = await openScene(given.together, stack);
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({ parley: await onParley(scene, given.senders), pgbench: await onPgbench(scene, given) });
  return {
    ...given,
    parleyPerSecond: median(rounds.map(({ parley }) => parley.perSecond)),
    pgbenchPerSecond: known(median(rounds.map(({ pgbench }) => pgbench.perSecond))),
    toPgbench: known(median(rounds.map(({ parley, pgbench }) => parley.perSecond / pgbench.perSecond))),
    parleyMedianMs: median(rounds.map(({ parley }) => parley.medianMs)),
    parleyP99Ms: median(rounds.map(({ parley }) => parley.p99Ms)),
    pgbenchMeanMs: known(median(rounds.map(({ pgbench }) => pgbench.meanMs))),
    parleyCpuUs: median(rounds.map(({ parley }) => parley.cpuUs)),
  };
}

const COLUMNS = [
  'senders',
  'in a conversation',
  '  Parley/s',
  ' pgbench/s',
  '   ratio',
  '  median',
  '       p99',
  'server, each',
];
print('Messages sent each second, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const given of CASES) {
  const row = await compare(given);
  rows.push(row);
  const number = (name: string, digits = 0): string => Number(row[name]).toFixed(digits);
  printRow(COLUMNS, [
    number('senders'),
    number('together'),
    number('parleyPerSecond'),
    row['pgbenchPerSecond'] === undefined ? NOT_THERE : number('pgbenchPerSecond'),
    row['toPgbench'] === undefined ? NOT_THERE : `${number('toPgbench', 2)} x`,
    `${number('parleyMedianMs', 1)} ms`,
    `${number('parleyP99Ms', 1)} ms`,
    `${number('parleyCpuUs')} us`,
  ]);
}
await record('sends', rows);
