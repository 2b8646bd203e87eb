// Measures the latency of sequential sends with and without batching.
import { openDatabase } from '../src/db/database.ts';
import { createSendBatcher, sendSingle } from '../src/domain/send-batch.ts';
import type { Send } from '../src/domain/send-transaction.ts';
import { createBus } from '../src/events/bus.ts';
import { TopicLocks } from '../src/events/topic-locks.ts';
import type { ConversationId, UserId } from '../src/ids.ts';
import { createLogger } from '../src/log.ts';
import { startPostgres } from '../test/harness/postgres.ts';
import { seedAccounts } from './seed-accounts.ts';
import { median } from './measure.ts';
import { record } from './results.ts';
import { repeat, ROUNDS } from './scale.ts';
import { print } from './server.ts';

const SENDS = repeat(500);
const message: Send = {
  actor: { kind: 'user', id: 1 as UserId },
  conversationId: 1 as ConversationId,
  text: '.'.repeat(200),
  files: [],
  key: null,
};

async function measureMs(send: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await send();
  return performance.now() - startedAt;
}

await using stack = new AsyncDisposableStack();
const { url } = stack.use(await startPostgres({ durable: true }));
await seedAccounts({ accounts: 2, perConversation: 2 }, { kind: 'postgres', url }, 'unused secret');
const log = createLogger('warn');
const { db } = stack.use(await openDatabase({ kind: 'postgres', url }, log));
const deps = {
  db,
  bus: createBus(log),
  topicLocks: new TopicLocks({ maxWaits: 5 }),
  ownAppends: { newest: undefined },
};
const sends = createSendBatcher(deps);

/** Alternates batched and unbatched sends, so that both use the same state of the disk. Returns their medians. */
async function compare(): Promise<{ readonly parley: number; readonly unbatched: number }> {
  const [batched, unbatched]: [number[], number[]] = [[], []];
  for (let count = 0; count < SENDS; count += 1) {
    batched.push(await measureMs(() => sends.send(message)));
    unbatched.push(await measureMs(() => sendSingle(deps, message)));
  }
  return { parley: median(batched), unbatched: median(unbatched) };
}

// Warm-up.
await compare();
await compare();
const rounds = [];
for (let round = 0; round < ROUNDS; round += 1) rounds.push(await compare());
const row = {
  parleyMs: median(rounds.map(({ parley }) => parley)),
  unbatchedMs: median(rounds.map(({ unbatched }) => unbatched)),
  toUnbatched: median(rounds.map(({ parley, unbatched }) => parley / unbatched)),
};
print(
  `A single send: ${row.parleyMs.toFixed(2)} ms, ${row.unbatchedMs.toFixed(2)} ms unbatched, ratio ${row.toUnbatched.toFixed(2)}`,
);
await record('single-send', [row]);
