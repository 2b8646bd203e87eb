// Measures the throughput of concurrent sends. Peer: pgbench with one transaction per message on the same PostgreSQL.
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as pause } from 'node:timers/promises';
import { findCommand } from '../test/harness/commands.ts';
import { startPostgres } from '../test/harness/postgres.ts';
import type { PostgresServer } from '../test/harness/postgres.ts';
import { startSeededServer } from './seed-accounts.ts';
import type { SeededServer } from './seed-accounts.ts';
import { cpuMs, median } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import type { Command, RoundResult } from './senders.ts';
import { NOT_INSTALLED, printRow } from './rounds.ts';
import { print } from './server.ts';

const ACCOUNTS = 200;
const CASES = [
  { senders: 1, perConversation: 2 },
  { senders: 10, perConversation: 2 },
  { senders: 200, perConversation: 2 },
  { senders: 200, perConversation: 200 },
];
const ROUNDS = 5;
const ROUND_MS = 6_000;
const WARM_UP_MS = 3_000;
/** After this time a node knows that it is alone, and no longer sends notices to other nodes. */
const DETECT_ALONE_MS = 16_000;
/** Size of the event that Parley stores for a message of 200 characters, without its envelope. */
const EVENT_BYTES = 700;
const PGBENCH = findCommand('pgbench');
const SCRIPT = fileURLToPath(new URL('peers/send.sql', import.meta.url));

interface Setup {
  readonly postgres: PostgresServer;
  readonly seeded: SeededServer;
  /** Runs a command in the process of the senders. */
  run<Reply>(command: Command): Promise<Reply>;
}

/** Starts a server on a PostgreSQL with fsync, with so many accounts per conversation. */
async function openSetup(perConversation: number, stack: AsyncDisposableStack): Promise<Setup> {
  const postgres = stack.use(await startPostgres({ durable: true }));
  const seed = { accounts: ACCOUNTS, perConversation };
  const seeded = stack.use(await startSeededServer(seed, postgres.url, { RATE_LIMITS: 'on' }));
  const senders = fork(new URL('senders.ts', import.meta.url));
  stack.defer(() => void senders.kill());
  await pause(DETECT_ALONE_MS);
  return {
    postgres,
    seeded,
    async run<Reply>(command: Command) {
      senders.send(command);
      const [reply] = (await once(senders, 'message')) as [Reply];
      return reply;
    },
  };
}

async function measureParley({ seeded: { server, members }, run }: Setup, count: number) {
  const url = `${server.url.replace('http', 'ws')}/graphql`;
  await run({ type: 'open', url, senders: members.slice(0, count) });
  await run<RoundResult>({ type: 'send', ms: WARM_UP_MS });
  const [cpu, before] = [await cpuMs(server.pid), performance.now()];
  const { sends, medianMs, p99Ms } = await run<RoundResult>({ type: 'send', ms: ROUND_MS });
  const perSecond = (sends * 1_000) / (performance.now() - before);
  const cpuUs = (((await cpuMs(server.pid)) - cpu) * 1_000) / sends;
  await run({ type: 'close' });
  return { perSecond, medianMs, p99Ms, cpuUs };
}

/** Returns NaN if pgbench is not installed. */
async function measurePgbench({ postgres }: Setup, { senders, perConversation }: (typeof CASES)[number]) {
  if (PGBENCH === undefined) return { perSecond: NaN, meanMs: NaN };
  const target = `-h 127.0.0.1 -p ${postgres.port} -U postgres`;
  const load = `-n -M prepared -c ${senders} -j 2 -T ${ROUND_MS / 1_000}`;
  const options =
    `${target} ${load} -D per_conversation=${perConversation} -D event_bytes=${EVENT_BYTES} -f`.split(' ');
  const { stdout } = await promisify(execFile)(PGBENCH, [...options, SCRIPT, 'postgres']);
  const readNumber = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1]);
  return { perSecond: readNumber(/^tps = ([\d.]+)/m), meanMs: readNumber(/^latency average = ([\d.]+)/m) };
}

const numberOrUndefined = (value: number): number | undefined => (Number.isNaN(value) ? undefined : value);

async function compare(testCase: (typeof CASES)[number]): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const setup = await openSetup(testCase.perConversation, stack);
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({
      parley: await measureParley(setup, testCase.senders),
      pgbench: await measurePgbench(setup, testCase),
    });
  return {
    ...testCase,
    parleyPerSecond: median(rounds.map(({ parley }) => parley.perSecond)),
    pgbenchPerSecond: numberOrUndefined(median(rounds.map(({ pgbench }) => pgbench.perSecond))),
    toPgbench: numberOrUndefined(
      median(rounds.map(({ parley, pgbench }) => parley.perSecond / pgbench.perSecond)),
    ),
    parleyMedianMs: median(rounds.map(({ parley }) => parley.medianMs)),
    parleyP99Ms: median(rounds.map(({ parley }) => parley.p99Ms)),
    pgbenchMeanMs: numberOrUndefined(median(rounds.map(({ pgbench }) => pgbench.meanMs))),
    parleyCpuUs: median(rounds.map(({ parley }) => parley.cpuUs)),
  };
}

const COLUMNS = [
  'senders',
  'per conversation',
  '  Parley/s',
  ' pgbench/s',
  '   ratio',
  '  median',
  '       p99',
  'server CPU',
];
print('Messages sent per second, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const testCase of CASES) {
  const row = await compare(testCase);
  rows.push(row);
  const format = (name: string, digits = 0): string => Number(row[name]).toFixed(digits);
  printRow(COLUMNS, [
    format('senders'),
    format('perConversation'),
    format('parleyPerSecond'),
    row['pgbenchPerSecond'] === undefined ? NOT_INSTALLED : format('pgbenchPerSecond'),
    row['toPgbench'] === undefined ? NOT_INSTALLED : `${format('toPgbench', 2)} x`,
    `${format('parleyMedianMs', 1)} ms`,
    `${format('parleyP99Ms', 1)} ms`,
    `${format('parleyCpuUs')} us`,
  ]);
}
await record('sends', rows);
