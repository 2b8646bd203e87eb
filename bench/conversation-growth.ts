// Measures the CPU time per message by conversation size. All members subscribe.
import { startPostgres } from '../test/harness/postgres.ts';
import { startSeededServer } from './seed-accounts.ts';
import { startPeer } from './measure.ts';
import { createJoinScript, createSubscribeScript } from './client-scripts.ts';
import { FRAME, openLoad, SEND } from './open-loop-load.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { formatRatio, formatUs, measurePairs, printRow } from './rounds.ts';
import { IS_QUICK } from './scale.ts';
import { print } from './server.ts';

const SUBSCRIBERS = 1_000;
/** Members per conversation, and messages per second. The total of subscribers is constant. */
const CASES = [
  { members: 1, perSecond: 400 },
  { members: 10, perSecond: 400 },
  { members: 100, perSecond: 100 },
  { members: 1_000, perSecond: 10 },
];
const SECONDS = IS_QUICK ? 1 : 3;

async function compare({ members: perConversation, perSecond }: (typeof CASES)[number]): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres({ durable: true }));
  const seed = { accounts: SUBSCRIBERS, perConversation };
  const { server, members } = stack.use(await startSeededServer(seed, postgres.url));
  const bare = stack.use(await startPeer('bare-ws'));
  const load = { perSecond, seconds: SECONDS, receivers: perConversation };
  const toParley = createSubscribeScript(server.url, SUBSCRIBERS, members);
  const toBare = createJoinScript(bare.port, SUBSCRIBERS, members);
  const parley = stack.use(await openLoad(server.pid, toParley, { ...load, message: SEND }));
  const peer = stack.use(await openLoad(bare.pid, toBare, { ...load, message: FRAME }));
  const { median, ratio } = await measurePairs(
    { parley: () => parley.run(), bare: () => peer.run() },
    { steady: 'cpuUs' },
  );
  const parleyUs = median('parley', 'cpuUs');
  return {
    members: perConversation,
    conversations: SUBSCRIBERS / perConversation,
    parleyUs,
    bareWsUs: median('bare', 'cpuUs'),
    toBareWs: ratio('parley', 'bare', 'cpuUs'),
    parleyPerSubscriberUs: parleyUs === undefined ? undefined : parleyUs / perConversation,
  };
}

const COLUMNS = ['members', 'conversations', '     Parley', '    bare ws', 'to bare ws', 'per subscriber'];
print(`Server CPU time per message, ${SUBSCRIBERS} subscribers, medians of paired rounds\n`);
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const testCase of CASES) {
  const row = await compare(testCase);
  rows.push(row);
  printRow(COLUMNS, [
    String(row['members']),
    String(row['conversations']),
    formatUs(Number(row['parleyUs'])),
    formatUs(Number(row['bareWsUs'])),
    formatRatio(Number(row['toBareWs'])),
    formatUs(Number(row['parleyPerSubscriberUs'])),
  ]);
}
await record('conversation-growth', rows);
