// What it costs to bring one message to many: beside a bare WebSocket server, and beside the stock GraphQL one.
import { startPeer } from './measure.ts';
import { entering, eventOf, frameOf, subscribing } from './client-scripts.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { measureRounds, printRow, times, us } from './rounds.ts';
import { print } from './server.ts';
import { openSeatsOf, openStage } from './fixtures.ts';

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
const stage = stack.use(await openStage());
const bareWs = stack.use(await startPeer('bare-ws'));
const stockYoga = stack.use(await startPeer('stock-yoga'));

function compare({ subscribers, bytes }: (typeof CASES)[number]) {
  const members = [{ token: stage.ann.token, conversation: stage.conversation.id }];
  const bare = entering(bareWs.port, subscribers, members);
  const toYoga = subscribing(`http://127.0.0.1:${stockYoga.port}`, subscribers, members);
  return measureRounds({
    parley: () => stage.openSeats(subscribing(stage.origin, subscribers, members), '.'.repeat(bytes)),
    bare: () => openSeatsOf(bareWs, bare, frameOf(bytes)),
    stock: () => openSeatsOf(stockYoga, toYoga, JSON.stringify(eventOf(bytes))),
  });
}

print('GraphQL: processor time of the server for each delivery, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const given of CASES) {
  const { cost, ratio } = await compare(given);
  const [parley, bare, stock] = [cost('parley'), cost('bare'), cost('stock')];
  const [toBare, toStock] = [ratio('parley', 'bare'), ratio('parley', 'stock')];
  const costs = [us(parley), us(bare), us(stock), times(toBare), times(toStock)];
  printRow(COLUMNS, [String(given.subscribers), String(given.bytes), ...costs]);
  rows.push({
    ...given,
    parleyUs: parley,
    bareWsUs: bare,
    stockYogaUs: stock,
    toBareWs: toBare,
    toStockYoga: toStock,
  });
}
await record('fan-out', rows);
