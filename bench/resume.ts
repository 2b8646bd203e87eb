// Measures the replay of 1,000 missed events: with a small selection and with one that leaves the event, on both databases, while
// other accounts send.
import { performance } from 'node:perf_hooks';
import { startPostgres } from '../test/harness/postgres.ts';
import { createGraphqlClient } from '../src/testing/index.ts';
import { openDatabaseCounter } from './database-counter.ts';
import { cpuDuring, percentile } from './measure.ts';
import { openPublisher } from './publisher.ts';
import { openResumer } from './resumer.ts';
import type { Selection } from './resumer.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { printRow } from './rounds.ts';
import { IS_QUICK, repeat } from './scale.ts';
import { startSeededServer } from './seed-accounts.ts';

const MISSED = IS_QUICK ? 100 : 1_000;
const RESUMES = repeat(100);
/** Messages at a time, of which the log gets the missed ones. */
const BATCH = 50;
const LOADS = ['idle', 'loaded'] as const;
/** Sends per second of a loaded node, in other conversations. */
const SENDS_PER_SECOND = 200;
const SELECTIONS: readonly Selection[] = ['small', 'leaving the event'];

async function measureDatabase(database: 'postgres' | 'embedded'): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const postgres = database === 'postgres' ? stack.use(await startPostgres({ durable: true })) : undefined;
  const counter = postgres && stack.use(await openDatabaseCounter(postgres.url));
  const seed = { accounts: 4, perConversation: 2 };
  const { server, members } = stack.use(await startSeededServer(seed, counter?.url));
  const [ann, bob, eve] = members;
  if (ann === undefined || bob === undefined || eve === undefined) throw new Error('No accounts');
  const graphql = stack.use(createGraphqlClient(server.url, bob.token));
  const { conversation } = await graphql.run<{ conversation: { eventCursor: string } }>(
    'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
    { id: ann.conversation },
  );
  const publisher = stack.use(await openPublisher(server.url, ann.token));
  for (let sent = 0; sent < MISSED; sent += BATCH) await publisher.send(ann.conversation, 'missed', BATCH);
  const other = stack.use(await openPublisher(server.url, eve.token));
  const resumer = stack.use(await openResumer(server.url, bob, MISSED));
  for (const selection of SELECTIONS)
    for (const load of LOADS) {
      const resume = () => resumer.resume(conversation.eventCursor, selection);
      for (let warmUp = repeat(20); warmUp > 0; warmUp -= 1) await resume();
      const before = counter?.read().statements;
      await resume();
      const statements = counter && counter.read().statements - (before ?? 0);
      const delays: number[] = [];
      const cpu = await cpuDuring(server.pid, async () => {
        const stop =
          load === 'loaded' ? sendRepeatedly(() => other.send(eve.conversation, 'load')) : undefined;
        for (let count = 0; count < RESUMES; count += 1) {
          const startedAt = performance.now();
          await resume();
          delays.push(performance.now() - startedAt);
        }
        await stop?.();
      });
      const sorted = delays.toSorted((a, b) => a - b);
      report({
        database,
        selection,
        load,
        events: MISSED,
        medianMs: percentile(sorted, 0.5),
        p99Ms: percentile(sorted, 0.99),
        // Includes the sends of a loaded node.
        cpuUsPerEvent: (cpu * 1_000) / (RESUMES * MISSED),
        statements: load === 'idle' ? statements : undefined,
      });
    }
}

/** Sends at a fixed rate. Returns a function that stops, and fails if a send failed. */
function sendRepeatedly(send: () => Promise<void>): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    last = last.then(send);
    last.catch(() => undefined);
  }, 1_000 / SENDS_PER_SECOND);
  return async () => {
    clearInterval(timer);
    await last;
  };
}

const COLUMNS = [
  'database',
  'selection        ',
  'load  ',
  '   median',
  '      p99',
  'CPU per event',
  'statements',
];
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
function report(row: Row): void {
  rows.push(row);
  printRow(COLUMNS, [
    String(row['database']),
    String(row['selection']).padEnd(17),
    String(row['load']).padEnd(6),
    `${Number(row['medianMs']).toFixed(0)} ms`,
    `${Number(row['p99Ms']).toFixed(0)} ms`,
    `${Number(row['cpuUsPerEvent']).toFixed(0)} us`,
    String(row['statements'] ?? '-'),
  ]);
}
for (const database of ['postgres', 'embedded'] as const) await measureDatabase(database);
await record('resume', rows);
