// Measures how the CPU time of a send grows with the messages of its conversation, with members who do not subscribe, and with
// the topics that the node follows. The peer of each size is the smallest one, in the same rounds.
import pg from 'pg';
import { startPostgres } from '../test/harness/postgres.ts';
import { createSubscribeScript } from './client-scripts.ts';
import { startLoadClients } from './load-clients.ts';
import { cpuDuring, median } from './measure.ts';
import { openPublisher } from './publisher.ts';
import type { Publisher } from './publisher.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { formatRatio, formatUs, measurePairs, printRow } from './rounds.ts';
import { IS_QUICK, repeat, ROUNDS } from './scale.ts';
import { startSeededServer } from './seed-accounts.ts';
import type { SeededServer } from './seed-accounts.ts';
import { print } from './server.ts';

const ACCOUNTS = IS_QUICK ? 200 : 5_000;
const MESSAGES = [0, 10_000, 100_000, 500_000].map(repeat);
const MEMBERS = [1, 100, 1_000, ACCOUNTS].filter((members) => members <= ACCOUNTS);
const TOPICS = [1, 100, 1_000, ACCOUNTS].filter((topics) => topics <= ACCOUNTS);
const SENDS = repeat(1_000);
const TEXT = '.'.repeat(200);
/** A size costs more than the smallest one where the ratio exceeds this. */
const BEND = 1.25;

/** Gives conversations as many messages, with their events, and others as many members. */
async function fill(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  for (const [index, count] of MESSAGES.entries()) {
    const id = index + 1;
    await client.query(
      `insert into messages (conversation_id, author_user_id, participant_id, text, status, media_count)
       select $1, $1, $1, repeat('.', 200), 'DONE', 0 from generate_series(1, $2::int)`,
      [id, count],
    );
    await client.query(
      `insert into events (topic, seq, event, at) select 'conversation:' || $1::int, number,
         json_build_object('type', 'message.deleted', 'messageId', number), clock_timestamp()
       from generate_series(1, $2::int) number`,
      [id, count],
    );
    await client.query(`update topics set head = $2::int where topic = 'conversation:' || $1::int`, [
      id,
      count,
    ]);
  }
  for (const [index, members] of MEMBERS.entries())
    for (const [table, column, role] of [
      ['memberships', 'circle_id', 'MEMBER'],
      ['participants', 'conversation_id', 'STANDARD'],
    ])
      await client.query(
        `insert into ${table} (${column}, user_id, role) select $1::int, id, '${role}' from users
         where id <> $1::int order by id limit $2::int`,
        [MESSAGES.length + index + 1, members - 1],
      );
  await client.query('analyze');
  await client.end();
}

interface Axis {
  readonly axis: string;
  readonly sizes: readonly number[];
}

const rows: Row[] = [];
const COLUMNS = ['per    ', '   size', '  CPU per send', 'to smallest'];

/** Reports the costs of an axis, and where it bends. */
function report(
  { axis, sizes }: Axis,
  costs: readonly { us: number | undefined; ratio: number | undefined }[],
): void {
  for (const [index, size] of sizes.entries()) {
    const { us, ratio } = costs[index] ?? {};
    rows.push({ axis, size, parleyUs: us, smallestUs: costs[0]?.us, toSmallest: ratio });
    printRow(COLUMNS, [axis.padEnd(7), String(size), formatUs(us), formatRatio(ratio)]);
  }
  const bend = sizes.find((_, index) => (costs[index]?.ratio ?? 1) > BEND);
  print(bend === undefined ? `${axis}: flat` : `${axis}: bends at ${bend}`);
}

const measureSends = async (pid: number, publisher: Publisher, conversation: string) => {
  const cpu = await cpuDuring(pid, async () => {
    for (let sent = 0; sent < SENDS; sent += 1) await publisher.send(conversation, TEXT);
  });
  return { us: (cpu * 1_000) / SENDS };
};

/** Compares conversations of one server, each with an account of its own that sends. */
async function compareConversations({ server, members }: SeededServer, axis: Axis, first: number) {
  await using stack = new AsyncDisposableStack();
  const targets: Record<string, () => Promise<{ us: number }>> = {};
  for (const [index, size] of axis.sizes.entries()) {
    const member = members[first + index];
    if (member === undefined) throw new Error('No account');
    const publisher = stack.use(await openPublisher(server.url, member.token));
    targets[size] = () => measureSends(server.pid, publisher, member.conversation);
  }
  const figures = await measurePairs(targets, { steady: 'us' });
  const smallest = String(axis.sizes[0]);
  report(
    axis,
    axis.sizes.map((size) => ({
      us: figures.median(String(size), 'us'),
      ratio: figures.ratio(String(size), smallest, 'us'),
    })),
  );
}

/** Sends to one conversation while the node follows more and more others. */
async function compareTopics({ server, members }: SeededServer, axis: Axis) {
  const last = members.at(-1);
  if (last === undefined) throw new Error('No account');
  await using publisher = await openPublisher(server.url, last.token);
  await using clients = startLoadClients();
  const costs: number[] = [];
  let open = 0;
  for (const topics of axis.sizes) {
    await clients.run(createSubscribeScript(server.url, topics - open, members.slice(open, topics)));
    open = topics;
    const rounds = [];
    for (let round = 0; round <= ROUNDS; round += 1)
      rounds.push((await measureSends(server.pid, publisher, last.conversation)).us);
    costs.push(median(rounds.slice(1)));
  }
  report(
    axis,
    costs.map((us) => ({ us, ratio: us / (costs[0] ?? NaN) })),
  );
}

await using stack = new AsyncDisposableStack();
const postgres = stack.use(await startPostgres({ durable: true }));
const seeded = stack.use(await startSeededServer({ accounts: ACCOUNTS, perConversation: 1 }, postgres.url));
await fill(postgres.url);
print('Server CPU time of a send, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
await compareConversations(seeded, { axis: 'message', sizes: MESSAGES }, 0);
await compareConversations(seeded, { axis: 'member', sizes: MEMBERS }, MESSAGES.length);
await compareTopics(seeded, { axis: 'topic', sizes: TOPICS });
await record('growth', rows);
