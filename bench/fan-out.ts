// Measures the CPU time per delivery to GraphQL subscribers. Peers: a bare WebSocket server, and stock graphql-yoga.
import { startPeer } from './measure.ts';
import { createJoinScript, createEvent, createFrame, createSubscribeScript } from './client-scripts.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { formatRatio, formatUs, measurePairs, printRow } from './rounds.ts';
import { print } from './server.ts';
import { openPeerReceivers, openFixture } from './fixtures.ts';
import { costOf } from './load-clients.ts';

const CASES = [
  { subscribers: 100, bytes: 200, hasStockYoga: false },
  { subscribers: 1_000, bytes: 200, hasStockYoga: true },
  { subscribers: 5_000, bytes: 200, hasStockYoga: false },
  { subscribers: 1_000, bytes: 4_096, hasStockYoga: true },
  { subscribers: 5_000, bytes: 4_096, hasStockYoga: false },
];
const COLUMNS = [
  'subscribers',
  ' bytes',
  '   Parley',
  '  bare ws',
  '   stock Yoga',
  'to bare ws',
  'to stock Yoga',
];

await using stack = new AsyncDisposableStack();
const fixture = stack.use(await openFixture());
const bareWs = stack.use(await startPeer('bare-ws'));
const stockYoga = stack.use(await startPeer('stock-yoga'));

async function compare({ subscribers, bytes, hasStockYoga }: (typeof CASES)[number]) {
  await using clients = new AsyncDisposableStack();
  const members = [fixture.ann];
  const script = createSubscribeScript(fixture.origin, subscribers, members);
  const parley = clients.use(await fixture.openReceivers(script, '.'.repeat(bytes)));
  const join = createJoinScript(bareWs.port, subscribers, members);
  const bare = clients.use(await openPeerReceivers(bareWs, join, createFrame(bytes)));
  const toYoga = createSubscribeScript(`http://127.0.0.1:${stockYoga.port}`, subscribers, members);
  const openStock = () => openPeerReceivers(stockYoga, toYoga, JSON.stringify(createEvent(bytes)));
  const stock = hasStockYoga ? clients.use(await openStock()) : undefined;
  const targets = { parley: costOf(parley), bare: costOf(bare), stock: stock && costOf(stock) };
  return await measurePairs(targets, { steady: 'us' });
}

print('GraphQL: server CPU time per delivery, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const testCase of CASES) {
  const { median, ratio } = await compare(testCase);
  const [parley, bare, stock] = [median('parley', 'us'), median('bare', 'us'), median('stock', 'us')];
  const [toBare, toStock] = [ratio('parley', 'bare', 'us'), ratio('parley', 'stock', 'us')];
  const { subscribers, bytes } = testCase;
  const costs = [
    formatUs(parley),
    formatUs(bare),
    formatUs(stock),
    formatRatio(toBare),
    formatRatio(toStock),
  ];
  printRow(COLUMNS, [String(subscribers), String(bytes), ...costs]);
  rows.push({
    subscribers,
    bytes,
    parleyUs: parley,
    bareWsUs: bare,
    stockYogaUs: stock,
    toBareWs: toBare,
    toStockYoga: toStock,
    parleyInstructions: median('parley', 'instructions'),
    bareWsInstructions: median('bare', 'instructions'),
  });
}
await record('fan-out', rows);
