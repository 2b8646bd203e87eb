// Measures how long 5,000 clients take that connect at the same time, as after a restart: new subscribers on both databases,
// subscribers that resume after a cursor, and legacy clients. Peers: a bare WebSocket server and a bare Socket.IO server.
import { startPostgres } from '../test/harness/postgres.ts';
import { createGraphqlClient } from '../src/testing/index.ts';
import { startLoadClients } from './load-clients.ts';
import { openPublisher } from './publisher.ts';
import { startSeededServer } from './seed-accounts.ts';
import type { Member } from './seed-accounts.ts';
import { startPeer } from './measure.ts';
import type { Probe } from './measure.ts';
import {
  createJoinScript,
  createLegacyScript,
  createResumeScript,
  createRoomScript,
  createSubscribeScript,
} from './client-scripts.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { formatRatio, measurePairs, printRow } from './rounds.ts';
import { IS_QUICK } from './scale.ts';
import { print } from './server.ts';
import type { Server } from './server.ts';
import type { ClientScript, Outcome } from './load-client-process.ts';

const CLIENTS = IS_QUICK ? 500 : 5_000;
/** Members per conversation; each client has its own account. */
const PER_CONVERSATION = 10;
/** Events that each client with a cursor has missed. */
const MISSED = 5;

const CASES = [
  { clients: 'new', database: 'postgres' },
  { clients: 'new', database: 'embedded' },
  { clients: 'with cursors', database: 'postgres' },
  { clients: 'legacy', database: 'postgres' },
] as const;

/** Connects all clients at the same time. `allMs` is the time until the last one was ready. */
async function runStorm(probe: Probe, script: ClientScript) {
  await using clients = startLoadClients();
  let outcome: Outcome = { delays: [], failures: [] };
  const delay = await probe.delayDuring(async () => {
    outcome = await clients.attempt({ ...script, concurrency: script.count });
  });
  for (const failure of new Set(outcome.failures)) print(`a client failed: ${failure}`);
  await clients.run({ type: 'close' });
  return {
    failures: outcome.failures.length,
    allMs: Math.max(...outcome.delays),
    lateP99Ms: delay.p99,
    lateMaxMs: delay.max,
  };
}

/** Sends messages to all conversations. Returns the members with the cursors before the messages. */
async function missMessages(
  { url }: Server,
  members: readonly Member[],
): Promise<readonly (Member & { readonly cursor: string })[]> {
  const cursors = new Map<string, string>();
  for (const { conversation: id, token } of members) {
    if (cursors.has(id)) continue;
    await using graphql = createGraphqlClient(url, token);
    await using publisher = await openPublisher(url, token);
    const { conversation } = await graphql.run<{ conversation: { eventCursor: string } }>(
      'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
      { id },
    );
    await publisher.send(id, 'missed', MISSED);
    cursors.set(id, conversation.eventCursor);
  }
  return members.map((member) => ({ ...member, cursor: cursors.get(member.conversation) ?? '' }));
}

async function compare({ clients, database }: (typeof CASES)[number]): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const postgres = database === 'postgres' ? stack.use(await startPostgres({ durable: true })) : undefined;
  const seed = { accounts: CLIENTS, perConversation: PER_CONVERSATION };
  const { server, members } = stack.use(await startSeededServer(seed, postgres?.url));
  const bare = stack.use(await startPeer(clients === 'legacy' ? 'bare-socket-io' : 'bare-ws'));
  const scripts = {
    new: () => createSubscribeScript(server.url, CLIENTS, members),
    'with cursors': async () => createResumeScript(server.url, CLIENTS, await missMessages(server, members)),
    legacy: () => createLegacyScript(server.url, CLIENTS, members),
  };
  const script = await scripts[clients]();
  const peerScript =
    clients === 'legacy'
      ? createRoomScript(bare.port, CLIENTS)
      : createJoinScript(bare.port, CLIENTS, members);
  const { median, ratio, values } = await measurePairs(
    { parley: () => runStorm(server.probe, script), bare: () => runStorm(bare.probe, peerScript) },
    { steady: 'allMs' },
  );
  return {
    database,
    kind: clients,
    clients: CLIENTS,
    failures: Math.max(...values('parley', 'failures')),
    parleyAllMs: median('parley', 'allMs'),
    bareAllMs: median('bare', 'allMs'),
    ratio: ratio('parley', 'bare', 'allMs'),
    parleyLateP99Ms: median('parley', 'lateP99Ms'),
    bareLateP99Ms: median('bare', 'lateP99Ms'),
    parleyLateMaxMs: median('parley', 'lateMaxMs'),
    bareLateMaxMs: median('bare', 'lateMaxMs'),
  };
}

const COLUMNS = [
  'clients     ',
  'database',
  'failed',
  'all ready',
  '     bare',
  '   ratio',
  'loop delay p99',
  '     bare',
  '      max',
];
print(`${CLIENTS} clients connect at the same time, medians of paired rounds\n`);
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const testCase of CASES) {
  const row = await compare(testCase);
  rows.push(row);
  const formatMs = (name: string): string => `${Number(row[name]).toFixed(0)} ms`;
  printRow(COLUMNS, [
    testCase.clients.padEnd(12),
    testCase.database,
    String(row['failures']),
    formatMs('parleyAllMs'),
    formatMs('bareAllMs'),
    formatRatio(row['ratio'] as number | undefined),
    formatMs('parleyLateP99Ms'),
    formatMs('bareLateP99Ms'),
    formatMs('parleyLateMaxMs'),
  ]);
}
await record('connect-storm', rows);
