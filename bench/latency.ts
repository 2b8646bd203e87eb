// Measures the time from the scheduled send of a message to its receipt, at a fixed rate. Peer: a bare WebSocket server.
import { startPostgres } from '../test/harness/postgres.ts';
import { startSeededServer } from './seed-accounts.ts';
import type { SeededServer } from './seed-accounts.ts';
import { startPeer } from './measure.ts';
import { createJoinScript, createSubscribeScript } from './client-scripts.ts';
import { FRAME, openLoad, SEND } from './open-loop-load.ts';
import type { OpenLoop } from './open-loop-load.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { measurePairs } from './rounds.ts';
import { IS_QUICK } from './scale.ts';
import { print } from './server.ts';

const SUBSCRIBERS = 1_000;
/** Members per conversation, and so receivers per message. */
const PER_CONVERSATION = 10;
const SECONDS = IS_QUICK ? 1 : 4;
const CASES = [
  { database: 'postgres', perSecond: 1_000 },
  { database: 'embedded', perSecond: 1_000 },
  { database: 'embedded', perSecond: 250 },
];

/** Reads the histogram of delays from the insertion of an event to its delivery, in milliseconds, since the server started. */
async function readDeliveryDelay({ server }: SeededServer): Promise<{ sum: number; count: number }> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const read = (name: string): number => Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1]);
  return {
    sum: read('parley_delivery_delay_seconds_sum') * 1_000,
    count: read('parley_delivery_delay_seconds_count'),
  };
}

async function measureParley(seeded: SeededServer, clients: OpenLoop) {
  const before = await readDeliveryDelay(seeded);
  const result = await clients.run();
  const after = await readDeliveryDelay(seeded);
  return { ...result, deliveryMs: (after.sum - before.sum) / (after.count - before.count) };
}

async function measure({ database, perSecond }: (typeof CASES)[number]): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const postgres = database === 'postgres' ? stack.use(await startPostgres({ durable: true })) : undefined;
  const seed = { accounts: SUBSCRIBERS, perConversation: PER_CONVERSATION };
  const seeded = stack.use(await startSeededServer(seed, postgres?.url));
  const bare = stack.use(await startPeer('bare-ws'));
  const load = { perSecond, seconds: SECONDS, receivers: PER_CONVERSATION };
  const { server, members } = seeded;
  const toParley = createSubscribeScript(server.url, SUBSCRIBERS, members);
  const parley = stack.use(await openLoad(server.pid, toParley, { ...load, message: SEND }));
  const toBare = createJoinScript(bare.port, SUBSCRIBERS, members);
  const peer = stack.use(await openLoad(bare.pid, toBare, { ...load, message: FRAME }));
  const { median, ratio, values } = await measurePairs(
    {
      parley: () => measureParley(seeded, parley),
      bare: async () => ({ ...(await peer.run()), deliveryMs: NaN }),
    },
    { steady: 'cpuUs' },
  );
  return {
    database,
    perSecond,
    subscribers: SUBSCRIBERS,
    parleyP50Ms: median('parley', 'p50'),
    bareWsP50Ms: median('bare', 'p50'),
    p50Ratio: ratio('parley', 'bare', 'p50'),
    parleyP99Ms: median('parley', 'p99'),
    bareWsP99Ms: median('bare', 'p99'),
    p99Ratio: ratio('parley', 'bare', 'p99'),
    parleyBusy: median('parley', 'busy'),
    bareWsBusy: median('bare', 'busy'),
    parleyLost: Math.max(...values('parley', 'lost')),
    commitToDeliveryMs: median('parley', 'deliveryMs'),
  };
}

print(
  `From send to delivery, ${SUBSCRIBERS} subscribers, ${PER_CONVERSATION} per conversation, medians of paired rounds\n`,
);
print(
  'database  messages/s  Parley p50  bare ws p50     ratio  Parley p99  bare ws p99     ratio  after commit      busy   bare ws     lost',
);
const rows: Row[] = [];
for (const testCase of CASES) {
  const row = await measure(testCase);
  rows.push(row);
  const formatMs = (name: string): string => `${Number(row[name]).toFixed(1)} ms`.padStart(11);
  const formatPercent = (name: string): string => `${(Number(row[name]) * 100).toFixed(0)} %`.padStart(9);
  const formatRatio = (name: string): string => `${Number(row[name]).toFixed(2)} x`.padStart(9);
  print(
    [
      testCase.database.padEnd(8),
      String(testCase.perSecond).padStart(11),
      formatMs('parleyP50Ms'),
      formatMs('bareWsP50Ms'),
      formatRatio('p50Ratio'),
      formatMs('parleyP99Ms'),
      formatMs('bareWsP99Ms'),
      formatRatio('p99Ratio'),
      formatMs('commitToDeliveryMs'),
      formatPercent('parleyBusy'),
      formatPercent('bareWsBusy'),
      String(row['parleyLost']).padStart(8),
    ].join(' '),
  );
}
await record('latency', rows);
