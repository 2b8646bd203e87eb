// Measures the throughput of concurrent sends. Peer: pgbench with one transaction per message on the same PostgreSQL, from as
// many connections, and from the number of connections with which it is fastest.
import { setTimeout as pause } from 'node:timers/promises';
import { startPostgres } from '../test/harness/postgres.ts';
import type { PostgresServer } from '../test/harness/postgres.ts';
import { startSeededServer } from './seed-accounts.ts';
import type { SeededServer } from './seed-accounts.ts';
import { cpuMs } from './measure.ts';
import { findBestConnections, isPgbenchInstalled, runPgbench } from './pgbench.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { formatRatio, formatUs, measurePairs, NOT_MEASURED, printRow } from './rounds.ts';
import type { Figures } from './rounds.ts';
import { DETECT_ALONE_MS, ROUND_MS } from './scale.ts';
import { startSenders } from './sender-process.ts';
import type { SenderProcess } from './sender-process.ts';
import { print } from './server.ts';

const ACCOUNTS = 200;
const CASES = [
  { perConversation: 2, senderCounts: [1, 10, 200] },
  { perConversation: 200, senderCounts: [200] },
];

interface Setup {
  readonly postgres: PostgresServer;
  readonly seeded: SeededServer;
  readonly senders: SenderProcess;
}

type SendFigures = Figures<'perSecond' | 'medianMs' | 'p99Ms' | 'cpuUs'>;

/** Starts a server on a PostgreSQL with fsync, with so many accounts per conversation. */
async function openSetup(perConversation: number, stack: AsyncDisposableStack): Promise<Setup> {
  const postgres = stack.use(await startPostgres({ durable: true }));
  const seed = { accounts: ACCOUNTS, perConversation };
  const seeded = stack.use(await startSeededServer(seed, postgres.url, { RATE_LIMITS: 'on' }));
  const senders = stack.use(startSenders());
  await pause(DETECT_ALONE_MS);
  return { postgres, seeded, senders };
}

async function measureParley({ seeded: { server }, senders }: Setup): Promise<SendFigures> {
  const [cpu, before] = [await cpuMs(server.pid), performance.now()];
  const { sends, medianMs, p99Ms } = await senders.run({ type: 'send', ms: ROUND_MS });
  const perSecond = (sends * 1_000) / (performance.now() - before);
  return { perSecond, medianMs, p99Ms, cpuUs: (((await cpuMs(server.pid)) - cpu) * 1_000) / sends };
}

async function measurePgbench(
  { postgres }: Setup,
  connections: number,
  perConversation: number,
): Promise<SendFigures> {
  const seconds = Math.ceil(ROUND_MS / 1_000);
  const perSecond = await runPgbench(postgres, { connections, perConversation, seconds });
  return { perSecond, medianMs: NaN, p99Ms: NaN, cpuUs: NaN };
}

interface Case {
  readonly count: number;
  readonly perConversation: number;
  /** The best number of connections for pgbench. */
  readonly best: number;
}

async function compare(setup: Setup, { count, perConversation, best }: Case): Promise<Row> {
  const { seeded, senders } = setup;
  const url = `${seeded.server.url.replace('http', 'ws')}/graphql`;
  await senders.run({ type: 'open', url, senders: seeded.members.slice(0, count) });
  const pgbenchWith = (connections: number) => () => measurePgbench(setup, connections, perConversation);
  const { median, ratio } = await measurePairs(
    {
      parley: () => measureParley(setup),
      pgbench: isPgbenchInstalled ? pgbenchWith(count) : undefined,
      best: isPgbenchInstalled && best !== count ? pgbenchWith(best) : undefined,
    },
    { steady: 'perSecond' },
  );
  await senders.run({ type: 'close' });
  const bestName = best === count ? 'pgbench' : 'best';
  return {
    senders: count,
    perConversation,
    parleyPerSecond: median('parley', 'perSecond'),
    pgbenchPerSecond: median('pgbench', 'perSecond'),
    toPgbench: ratio('parley', 'pgbench', 'perSecond'),
    bestConnections: isPgbenchInstalled ? best : undefined,
    bestPgbenchPerSecond: median(bestName, 'perSecond'),
    toBestPgbench: ratio('parley', bestName, 'perSecond'),
    parleyMedianMs: median('parley', 'medianMs'),
    parleyP99Ms: median('parley', 'p99Ms'),
    parleyCpuUs: median('parley', 'cpuUs'),
  };
}

const COLUMNS = [
  'senders',
  'per conversation',
  '  Parley/s',
  ' pgbench/s',
  '   ratio',
  '    best/s',
  'connections',
  '   ratio',
  '  median',
  '       p99',
  'server CPU',
];
print('Messages sent per second, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const { perConversation, senderCounts } of CASES) {
  await using stack = new AsyncDisposableStack();
  const setup = await openSetup(perConversation, stack);
  const best = await findBestConnections(setup.postgres, perConversation);
  for (const count of senderCounts) {
    const row = await compare(setup, { count, perConversation, best });
    rows.push(row);
    const format = (name: string, digits = 0): string =>
      row[name] === undefined ? NOT_MEASURED : Number(row[name]).toFixed(digits);
    printRow(COLUMNS, [
      format('senders'),
      format('perConversation'),
      format('parleyPerSecond'),
      format('pgbenchPerSecond'),
      formatRatio(row['toPgbench'] as number | undefined),
      format('bestPgbenchPerSecond'),
      format('bestConnections'),
      formatRatio(row['toBestPgbench'] as number | undefined),
      `${format('parleyMedianMs', 1)} ms`,
      `${format('parleyP99Ms', 1)} ms`,
      formatUs(row['parleyCpuUs'] as number | undefined),
    ]);
  }
}
await record('sends', rows);
