// Measures what the capacity model (docs/scaling.md) needs and no other bench has: what sends cost PostgreSQL by the number of
// concurrent senders, and what connections, idle connections, logins and initial queries cost a node and PostgreSQL.
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres } from '../test/harness/postgres.ts';
import { createGraphqlClient } from '../src/testing/index.ts';
import { createSubscribeScript, INITIAL_QUERY } from './client-scripts.ts';
import { startLoadClients } from './load-clients.ts';
import { cpuMs, cpuOfTree, findProcess } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { startSeededServer } from './seed-accounts.ts';
import { startSenders } from './sender-process.ts';
import { print } from './server.ts';

const ACCOUNTS = 5_000;
const PER_CONVERSATION = 10;
const SENDERS = [1, 10, 50, 200];
const WARM_UP_MS = 3_000;
const ROUND_MS = 6_000;
const CONNECTIONS = 5_000;
/** Long enough for a ping of every connection. */
const IDLE_MS = 60_000;
const LOGINS = 100;
const QUERIES = 300;
/** After this time a node knows that it is alone, and PostgreSQL has counted all transactions. */
const SETTLE_MS = 16_000;

await using stack = new AsyncDisposableStack();
const postgres = stack.use(await startPostgres({ durable: true }));
const seed = { accounts: ACCOUNTS, perConversation: PER_CONVERSATION };
const { server, members } = stack.use(await startSeededServer(seed, postgres.url));
const postgresPid = await findProcess(new RegExp(`postgres .*(?:port=|-p ?)${postgres.port}`));
const client = new pg.Client({ connectionString: postgres.url });
await client.connect();
stack.defer(() => client.end());
const rows: Row[] = [];

interface Costs {
  readonly nodeUs: number;
  readonly postgresUs: number;
}

const readCpu = async (): Promise<readonly [number, number]> => [
  await cpuMs(server.pid),
  await cpuOfTree(postgresPid),
];

/** CPU time that the node and PostgreSQL use without clients, in milliseconds of each millisecond. */
let idle = [0, 0] as readonly [number, number];

/** Returns the CPU time of the node and of PostgreSQL during the work, in microseconds per unit, beyond that of an idle node. */
async function measureCosts(work: () => Promise<number>): Promise<Costs> {
  const [before, startedAt] = [await readCpu(), performance.now()];
  const units = await work();
  const [after, elapsedMs] = [await readCpu(), performance.now() - startedAt];
  const costOf = (index: 0 | 1): number =>
    ((after[index] - before[index] - idle[index] * elapsedMs) * 1_000) / units;
  return { nodeUs: costOf(0), postgresUs: costOf(1) };
}

function report(row: Row): void {
  rows.push(row);
  print(
    Object.entries(row)
      .map(([name, value]) => `${name}: ${typeof value === 'number' ? value.toFixed(1) : value}`)
      .join('  '),
  );
}

/** Counters of PostgreSQL; a session counts its transactions at most once a second. */
async function readCounters() {
  await pause(1_500);
  const { rows: found } = await client.query<Record<'commits' | 'wal' | 'bytes' | 'messages', string>>(`
    select xact_commit as commits, pg_current_wal_lsn() - '0/0' as wal, (select count(*) from messages) as messages,
      (select sum(pg_total_relation_size(oid)) from pg_class
        where relkind = 'r' and (relname = 'messages' or relname like 'events%')) as bytes
    from pg_stat_database where datname = current_database()`);
  const [counters] = found;
  return {
    commits: Number(counters?.commits),
    wal: Number(counters?.wal),
    bytes: Number(counters?.bytes),
    messages: Number(counters?.messages),
  };
}

async function measureSends(senders: number): Promise<void> {
  await using process = startSenders();
  const { run } = process;
  // Each sends to a conversation of its own.
  const own = members.filter((_, index) => index % PER_CONVERSATION === 0).slice(0, senders);
  await run({ type: 'open', url: `${server.url.replace('http', 'ws')}/graphql`, senders: own });
  await run({ type: 'send', ms: WARM_UP_MS });
  const before = await readCounters();
  let perSecond = NaN;
  const costs = await measureCosts(async () => {
    const startedAt = performance.now();
    const { sends } = await run({ type: 'send', ms: ROUND_MS });
    perSecond = (sends * 1_000) / (performance.now() - startedAt);
    return sends;
  });
  const after = await readCounters();
  const messages = after.messages - before.messages;
  report({
    case: 'send',
    senders,
    perSecond,
    ...costs,
    perCommit: messages / (after.commits - before.commits),
    walBytes: (after.wal - before.wal) / messages,
    storedBytes: (after.bytes - before.bytes) / messages,
  });
}

await pause(SETTLE_MS);
{
  const before = await readCpu();
  await pause(SETTLE_MS);
  const after = await readCpu();
  idle = [(after[0] - before[0]) / SETTLE_MS, (after[1] - before[1]) / SETTLE_MS];
  report({ case: 'idle node', nodeUs: idle[0] * 1e6, postgresUs: idle[1] * 1e6 });
}
for (const senders of SENDERS) await measureSends(senders);

{
  await using clients = startLoadClients();
  const script = createSubscribeScript(server.url, CONNECTIONS, members);
  await clients.run({ ...script, count: 500 });
  await clients.run({ type: 'close' });
  report({
    case: 'connection',
    ...(await measureCosts(async () => {
      await clients.run(script);
      return CONNECTIONS;
    })),
  });
  await pause(SETTLE_MS);
  const idleConnections = await measureCosts(async () => {
    await pause(IDLE_MS);
    return (CONNECTIONS * IDLE_MS) / 1_000;
  });
  report({ case: 'idle connection, per second', ...idleConnections });
}

await using graphql = createGraphqlClient(server.url, '');
const login =
  'mutation ($email: String!) { login(email: $email, password: "a password of a bench") { token } }';
await graphql.run(
  'mutation { createAccount(input: { email: "login@example.com", password: "a password of a bench", firstName: "A", lastName: "B" }) { token } }',
);
report({
  case: 'login',
  ...(await measureCosts(async () => {
    for (let index = 0; index < LOGINS; index += 1) await graphql.run(login, { email: 'login@example.com' });
    return LOGINS;
  })),
});

await using app = createGraphqlClient(server.url, members[0]?.token ?? '');
await app.run(INITIAL_QUERY);
report({
  case: 'initial query',
  ...(await measureCosts(async () => {
    for (let index = 0; index < QUERIES; index += 1) await app.run(INITIAL_QUERY);
    return QUERIES;
  })),
});

await record('capacity', rows);
