// How the cost of a message grows with those who take part in its conversation, all of whom listen, and with conversations.
import { startPostgres } from '../test/harness/postgres.ts';
import { startCrowdedServer } from './seed-accounts.ts';
import { median, startPeer } from './measure.ts';
import { entering, subscribing } from './client-scripts.ts';
import { FRAME, paced, SEND } from './open-loop-load.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { printRow, times, us } from './rounds.ts';
import { print } from './server.ts';

const SUBSCRIBERS = 1_000;
/** How many take part in each conversation, so that there are fewer of them the more it is, and how often one is sent. */
const CASES = [
  { members: 1, perSecond: 400 },
  { members: 10, perSecond: 400 },
  { members: 100, perSecond: 100 },
  { members: 1_000, perSecond: 10 },
];
const SECONDS = 5;
const ROUNDS = 5;

async function compare({ members: together, perSecond }: (typeof CASES)[number]): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres({ durable: true }));
  const crowd = { accounts: SUBSCRIBERS, together };
  const { server, members } = stack.use(await startCrowdedServer(crowd, postgres.url));
  const bare = stack.use(await startPeer('bare-ws'));
  const pace = { perSecond, seconds: SECONDS, hearers: together };
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const toParley = subscribing(server.url, SUBSCRIBERS, members);
    const parley = await paced(server.pid, toParley, { ...pace, line: SEND });
    const toBare = entering(bare.port, SUBSCRIBERS, members);
    rounds.push({ parley, bare: await paced(bare.pid, toBare, { ...pace, line: FRAME }) });
  }
  return {
    members: together,
    conversations: SUBSCRIBERS / together,
    parleyUs: median(rounds.map(({ parley }) => parley.cpuUs)),
    bareWsUs: median(rounds.map(({ bare }) => bare.cpuUs)),
    toBareWs: median(rounds.map(({ parley, bare }) => parley.cpuUs / bare.cpuUs)),
    parleyEachUs: median(rounds.map(({ parley }) => parley.cpuUs / together)),
  };
}

const COLUMNS = [
  'members',
  'conversations',
  '     Parley',
  '    bare ws',
  'to bare ws',
  'for each who hears it',
];
print(
  `Processor time of the server for each message, ${SUBSCRIBERS} subscribers, medians of paired rounds\n`,
);
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const given of CASES) {
  const row = await compare(given);
  rows.push(row);
  printRow(COLUMNS, [
    String(row['members']),
    String(row['conversations']),
    us(Number(row['parleyUs'])),
    us(Number(row['bareWsUs'])),
    times(Number(row['toBareWs'])),
    us(Number(row['parleyEachUs'])),
  ]);
}
await record('conversation-growth', rows);
