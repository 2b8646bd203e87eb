// Measures the CPU time per delivery to GraphQL subscribers. Peers: a bare WebSocket server, and stock graphql-yoga.
import { startPeer } from './measure.ts';
import { createJoinScript, createEvent, createFrame, createSubscribeScript } from './client-scripts.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { measureRounds, printRow, formatRatio, formatUs } from './rounds.ts';
import { print } from './server.ts';
import { openPeerReceivers, openFixture } from './fixtures.ts';

const CASES = [
  { subscribers: 100, bytes: 200 },
  { subscribers: 1_000, bytes: 200 },
  { subscribers: 5_000, bytes: 200 },
  { subscribers: 1_000, bytes: 4_096 },
  { subscribers: 5_000, bytes: 4_096 },
];
const COLUMNS = [
  'subscribers',
  ' bytes',
  '   Parley',
  '  bare ws',
  'stock Yoga',
  'to bare ws',
  'to stock Yoga',
];

await using stack = new AsyncDisposableStack();
const fixture = stack.use(await openFixture());
const bareWs = stack.use(await startPeer('bare-ws'));
const stockYoga = stack.use(await startPeer('stock-yoga'));

function compare({ subscribers, bytes }: (typeof CASES)[number]) {
  const members = [{ token: fixture.ann.token, conversation: fixture.conversation.id }];
  const bare = createJoinScript(bareWs.port, subscribers, members);
  const toYoga = createSubscribeScript(`http://127.0.0.1:${stockYoga.port}`, subscribers, members);
  return measureRounds({
    parley: () =>
      fixture.openReceivers(createSubscribeScript(fixture.origin, subscribers, members), '.'.repeat(bytes)),
    bare: () => openPeerReceivers(bareWs, bare, createFrame(bytes)),
    stock: () => openPeerReceivers(stockYoga, toYoga, JSON.stringify(createEvent(bytes))),
  });
}

print('GraphQL: server CPU time per delivery, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const testCase of CASES) {
  const { medianCost, medianRatio } = await compare(testCase);
  const [parley, bare, stock] = [medianCost('parley'), medianCost('bare'), medianCost('stock')];
  const [toBare, toStock] = [medianRatio('parley', 'bare'), medianRatio('parley', 'stock')];
  const costs = [
    formatUs(parley),
    formatUs(bare),
    formatUs(stock),
    formatRatio(toBare),
    formatRatio(toStock),
  ];
  printRow(COLUMNS, [String(testCase.subscribers), String(testCase.bytes), ...costs]);
  rows.push({
    ...testCase,
    parleyUs: parley,
    bareWsUs: bare,
    stockYogaUs: stock,
    toBareWs: toBare,
    toStockYoga: toStock,
  });
}
await record('fan-out', rows);
