// What it costs to bring one message to many: beside a bare WebSocket server, and beside the stock GraphQL one.
import { startPeer } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { measureRounds, printRow, times, us } from './rounds.ts';
import { print } from './server.ts';
import { openSeatsOf, openStage } from './stage.ts';
import type { Opening } from './subscribers.ts';

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

const EVENTS = `subscription ($id: ID!) { conversationEvents(conversationId: $id) {
  __typename cursor at ... on MessageSent { message { id text sentAt author { ... on User { id firstName } } } } } }`;

await using stack = new AsyncDisposableStack();
const stage = stack.use(await openStage());
const bareWs = stack.use(await startPeer('bare-ws'));
const stockYoga = stack.use(await startPeer('stock-yoga'));

function subscribing(origin: string, count: number): Opening {
  const variables = { id: stage.conversation.id };
  return {
    type: 'open',
    url: `${origin}/graphql`,
    protocol: 'graphql-transport-ws',
    count,
    greeting: [
      JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${stage.ann.token}` } }),
      JSON.stringify({ id: '<id>', type: 'subscribe', payload: { query: EVENTS, variables } }),
    ],
    ready: 'StreamLive',
    counted: '{"id":',
  };
}

/** What the peers deliver, as long as what Parley does. */
function eventOf(bytes: number) {
  const [at, text] = [new Date().toISOString(), '.'.repeat(bytes)];
  const author = { id: 'User:1', firstName: 'Test' };
  const message = { id: 'Message:1234', text, sentAt: at, author };
  return { cursor: 'MzViNmIwZTcvY29udmVyc2F0aW9uOjYvNw', at, message };
}

function frameOf(bytes: number): string {
  const conversationEvents = { __typename: 'MessageSent', ...eventOf(bytes) };
  return JSON.stringify({ id: crypto.randomUUID(), type: 'next', payload: { data: { conversationEvents } } });
}

function compare({ subscribers, bytes }: (typeof CASES)[number]) {
  const bare: Opening = {
    type: 'open',
    url: `ws://127.0.0.1:${bareWs.port}`,
    count: subscribers,
    greeting: ['hello'],
    ready: 'ready',
    counted: '{"id":',
  };
  const toYoga = subscribing(`ws://127.0.0.1:${stockYoga.port}`, subscribers);
  return measureRounds({
    parley: () => stage.openSeats(subscribing(stage.origin, subscribers), '.'.repeat(bytes)),
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
await record('graphqlFanOut', rows);
