// How long a message takes that comes alone, beside one that does not look for others to share its transaction with.
import { openDatabase } from '../src/db/database.ts';
import { createSendBatcher, sendSingle } from '../src/domain/send-batch.ts';
import type { Send } from '../src/domain/send-batch.ts';
import { createBus } from '../src/events/bus.ts';
import type { ConversationId, UserId } from '../src/ids.ts';
import { createLogger } from '../src/log.ts';
import { startPostgres } from '../test/harness/postgres.ts';
import { writeCrowd } from './seed-accounts.ts';
import { median } from './measure.ts';
import { record } from './results.ts';
import { print } from './server.ts';

const ROUNDS = 5;
const SENDS = 500;
const message: Send = {
  actor: { kind: 'user', id: 1 as UserId },
  conversationId: 1 as ConversationId,
  text: '.'.repeat(200),
  files: [],
  key: null,
};

async function msOf(send: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await send();
  return performance.now() - before;
}

await using stack = new AsyncDisposableStack();
const { url } = stack.use(await startPostgres({ durable: true }));
await writeCrowd({ accounts: 2, together: 2 }, { kind: 'postgres', url }, 'of nobody');
const log = createLogger('warn');
const { db } = stack.use(await openDatabase({ kind: 'postgres', url }, log));
const deps = { db, bus: createBus(log) };
const sends = createSendBatcher(deps);

/** Medians of sends that take turns, so that both meet the same disk. */
async function compare(): Promise<{ readonly parley: number; readonly alone: number }> {
  const [gathered, alone]: [number[], number[]] = [[], []];
  for (let count = 0; count < SENDS; count += 1) {
    gathered.push(await msOf(() => sends.send(message)));
    alone.push(await msOf(() => sendSingle(deps, message)));
  }
  return { parley: median(gathered), alone: median(alone) };
}

// The first round warms both up.
await compare();
const rounds = [];
for (let round = 0; round < ROUNDS; round += 1) rounds.push(await compare());
const row = {
  parleyMs: median(rounds.map(({ parley }) => parley)),
  aloneMs: median(rounds.map(({ alone }) => alone)),
  toAlone: median(rounds.map(({ parley, alone }) => parley / alone)),
};
print(
  `A lone message: ${row.parleyMs.toFixed(2)} ms, ${row.aloneMs.toFixed(2)} ms when it does not look for others, ratio ${row.toAlone.toFixed(2)}`,
);
await record('single-send', [row]);
