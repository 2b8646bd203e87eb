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
import type { Measurement } from './rounds.ts';
import { formatPercentile, startServer } from './server.ts';

const PARTICIPANTS = 5;
const MESSAGES = 30;
const CONNECTIONS = 16;

export interface FirstScreenCase {
  readonly circles: number;
  /** Per circle. */
  readonly conversations: number;
  /** Queries per round. */
  readonly queries: number;
}

interface Caller {
  readonly id: number;
  readonly token: string;
}

/** Inserts circles with conversations and messages for a user and the other participants. */
async function insertData(
  client: pg.Client,
  caller: Caller,
  { circles, conversations }: FirstScreenCase,
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

function runQuery(agent: Agent, port: number, { token }: Caller): Promise<string> {
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
async function runQueries(agent: Agent, port: number, caller: Caller, count: number): Promise<number[]> {
  const delays: number[] = [];
  let remaining = count;
  const runWorker = async (): Promise<void> => {
    while (remaining > 0) {
      remaining -= 1;
      const startedAt = performance.now();
      await runQuery(agent, port, caller);
      delays.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, runWorker));
  return delays.toSorted((a, b) => a - b);
}

interface Target {
  readonly port: number;
  readonly pid: number;
}

async function measureCost(agent: Agent, { port, pid }: Target, caller: Caller, count: number) {
  let delays: number[] = [];
  let cpu = NaN;
  const instructions = await instructionsDuring(pid, async () => {
    cpu = await cpuDuring(pid, async () => {
      delays = await runQueries(agent, port, caller, count);
    });
  });
  return {
    us: (cpu * 1000) / count,
    instructions: instructions / count,
    medianMs: Number(formatPercentile(delays, 0.5)),
    p99Ms: Number(formatPercentile(delays, 0.99)),
  };
}

type FirstScreenFigure = 'us' | 'instructions' | 'medianMs' | 'p99Ms';

/** Parley and Mercurius on the same database. */
export interface FirstScreens extends AsyncDisposable {
  /** Creates an account with this much data. Throws if the two results differ. */
  open(testCase: FirstScreenCase): Promise<{
    readonly resultBytes: number;
    readonly parley: Measurement<FirstScreenFigure>;
    readonly mercurius: Measurement<FirstScreenFigure>;
  }>;
}

export async function openFirstScreens(): Promise<FirstScreens> {
  installFolder(join(import.meta.dirname, 'peers', 'mercurius'), 'Mercurius');
  await using stack = new AsyncDisposableStack();
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
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
  const resources = stack.move();
  return {
    async open(testCase) {
      const { legacyId: id, token } = resources.use(await createTestAccount(server.url, anonymous));
      const caller = { id, token };
      await insertData(client, caller, testCase);
      await client.query('analyze');
      const result = await runQuery(agent, parley.port, caller);
      const peerResult = await runQuery(agent, peer.port, caller);
      if (result !== peerResult) throw new Error(`The results differ:\n${result}\n${peerResult}`);
      return {
        resultBytes: result.length,
        parley: () => measureCost(agent, parley, caller, testCase.queries),
        mercurius: () => measureCost(agent, peer, caller, testCase.queries),
      };
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
