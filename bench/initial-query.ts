// Measures the first query of an app: circles, conversations, last messages, participants and presence. Peer: Mercurius with
// graphql-jit on the same data, statements and database.
import { Agent, request } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { installFolder } from '../scripts/install-folder.ts';
import { createTestAccount } from '../src/testing/account.ts';
import { createGraphqlClient } from '../src/testing/index.ts';
import { startPostgres } from '../test/harness/postgres.ts';
import { INITIAL_QUERY } from './client-scripts.ts';
import { instructionsDuring } from './instructions.ts';
import { cpuDuring, startPeer } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { measurePairs } from './rounds.ts';
import { repeat } from './scale.ts';
import { formatPercentile, print, startServer } from './server.ts';

const CASES = [
  { circles: 1, conversations: 1, queries: repeat(2_000) },
  { circles: 3, conversations: 3, queries: repeat(800) },
  { circles: 5, conversations: 5, queries: repeat(400) },
];
const PARTICIPANTS = 5;
const MESSAGES = 30;
const CONNECTIONS = 16;

type Case = (typeof CASES)[number];

interface Caller {
  readonly id: number;
  readonly token: string;
}

/** Inserts circles with conversations and messages for a user and the other participants. */
async function insertData(
  client: pg.Client,
  caller: Caller,
  { circles, conversations }: Case,
): Promise<void> {
  const { rows: otherUsers } = await client.query<{ id: number }>(
    `insert into users (email, first_name, last_name)
     select 'other' || n || '.' || $1 || '@example.com', 'Other', 'User' from generate_series(2, $2::int) n returning id`,
    [caller.id, PARTICIPANTS],
  );
  const users = [caller.id, ...otherUsers.map(({ id }) => id)];
  await client.query(
    `with circle as (
      insert into circles (name) select 'Circle ' || n from generate_series(1, $2::int) n returning id
    ), member as (
      insert into memberships (circle_id, user_id, role)
      select circle.id, given, 'MEMBER' from circle, unnest($1::int[]) given
    ), conversation as (
      insert into conversations (circle_id, name)
      select circle.id, 'Conversation ' || n from circle, generate_series(1, $3::int) n returning id
    ), participant as (
      insert into participants (conversation_id, user_id, role)
      select conversation.id, given, 'STANDARD' from conversation, unnest($1::int[]) given
    )
    insert into messages (conversation_id, author_user_id, text, status, media_count)
    select conversation.id, ($1::int[])[1 + n % cardinality($1::int[])], 'Message ' || n || repeat(' and so on', 5), 'DONE', 0
    from generate_series(1, $4::int) n, conversation`,
    [users, circles, conversations, MESSAGES],
  );
}

const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

function runQuery(port: number, { token }: Caller): Promise<string> {
  const body = JSON.stringify({ query: INITIAL_QUERY });
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  };
  return new Promise((resolve, reject) => {
    const clientRequest = request(
      { agent, port, host: '127.0.0.1', path: '/graphql', method: 'POST', headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve(Buffer.concat(chunks).toString()));
      },
    );
    clientRequest.on('error', reject).end(body);
  });
}

/** Runs many queries on all connections concurrently. Returns their times in milliseconds, sorted. */
async function runQueries(port: number, caller: Caller, count: number): Promise<number[]> {
  const delays: number[] = [];
  let remaining = count;
  const runWorker = async (): Promise<void> => {
    while (remaining > 0) {
      remaining -= 1;
      const startedAt = performance.now();
      await runQuery(port, caller);
      delays.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, runWorker));
  return delays.toSorted((a, b) => a - b);
}

async function measureCost({ port, pid }: { port: number; pid: number }, caller: Caller, count: number) {
  let delays: number[] = [];
  let cpu = NaN;
  const instructions = await instructionsDuring(pid, async () => {
    cpu = await cpuDuring(pid, async () => {
      delays = await runQueries(port, caller, count);
    });
  });
  return {
    us: (cpu * 1000) / count,
    instructions: instructions / count,
    medianMs: Number(formatPercentile(delays, 0.5)),
    p99Ms: Number(formatPercentile(delays, 0.99)),
  };
}

installFolder(join(import.meta.dirname, 'peers', 'mercurius'), 'Mercurius');
await using stack = new AsyncDisposableStack();
stack.defer(() => agent.destroy());
const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
stack.defer(() => rm(dataDir, { recursive: true, force: true }));
const { url } = stack.use(await startPostgres());
const env = { DATABASE_URL: url, AUTH_SECRET: 'secret of the bench', MEDIA_DIR: join(dataDir, 'media') };
const server = stack.use(await startServer(dataDir, env));
const peer = stack.use(await startPeer('mercurius', { settings: env }));
const parley = { port: Number(new URL(server.url).port), pid: server.pid };
const anonymous = stack.use(createGraphqlClient(server.url));
const client = new pg.Client({ connectionString: url });
await client.connect();
stack.defer(() => client.end());

async function compare(testCase: Case): Promise<Row> {
  const { legacyId: id, token } = stack.use(await createTestAccount(server.url, anonymous));
  const caller = { id, token };
  await insertData(client, caller, testCase);
  await client.query('analyze');
  const [parleyResult, peerResult] = [await runQuery(parley.port, caller), await runQuery(peer.port, caller)];
  if (parleyResult !== peerResult) throw new Error(`The results differ:\n${parleyResult}\n${peerResult}`);
  const { median, ratio } = await measurePairs(
    {
      parley: () => measureCost(parley, caller, testCase.queries),
      mercurius: () => measureCost(peer, caller, testCase.queries),
    },
    { steady: 'us' },
  );
  return {
    circles: testCase.circles,
    conversations: testCase.circles * testCase.conversations,
    resultBytes: parleyResult.length,
    parleyUs: median('parley', 'us'),
    mercuriusUs: median('mercurius', 'us'),
    toMercurius: ratio('parley', 'mercurius', 'us'),
    parleyMedianMs: median('parley', 'medianMs'),
    mercuriusMedianMs: median('mercurius', 'medianMs'),
    parleyP99Ms: median('parley', 'p99Ms'),
    mercuriusP99Ms: median('mercurius', 'p99Ms'),
    parleyInstructions: median('parley', 'instructions'),
    mercuriusInstructions: median('mercurius', 'instructions'),
  };
}

print('Initial query: server CPU time per query, medians of paired rounds\n');
const rows: Row[] = [];
for (const testCase of CASES) {
  const row = await compare(testCase);
  rows.push(row);
  for (const [name, value] of Object.entries(row)) {
    if (typeof value === 'number') print(`${name.padEnd(20)} ${value.toFixed(2).padStart(12)}`);
  }
  print('');
}
await record('initial-query', rows);
