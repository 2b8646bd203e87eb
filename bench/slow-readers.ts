// Measures by how much 1 % of clients that do not read delay the others, and the server memory.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { createTestAccount } from '../src/testing/account.ts';
import type { TestAccount } from '../src/testing/account.ts';
import { createCircle, createConversation, createGraphqlClient } from '../src/testing/index.ts';
import type { Reply, Command } from './readers.ts';
import { median } from './measure.ts';
import { record } from './results.ts';
import { IS_QUICK, ROUNDS } from './scale.ts';
import { formatPercentile, measurePeakMb, print, startServer } from './server.ts';

const CONVERSATIONS = 50;
const READERS = 100;
const MESSAGES = IS_QUICK ? 2 : 12;
const PER_SECOND = 40;
const TEXT = '.'.repeat(8_192);
const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { legacyId } } }';

interface SendMessageData {
  readonly sendMessage: { readonly message: { readonly legacyId: number } };
}

/** Sends to the conversations in turn at a fixed rate (open loop). Returns the send time of each message, by id. */
async function sendAll(ann: TestAccount, conversations: readonly string[]): Promise<Map<number, number>> {
  const sentAt = new Map<number, number>();
  const send = async (id: string | undefined): Promise<void> => {
    const at = Number(process.hrtime.bigint());
    const { sendMessage } = await ann.graphql.run<SendMessageData>(SEND, { id, text: TEXT });
    sentAt.set(sendMessage.message.legacyId, at);
  };
  // Settled, so that a failure does not exit the process before the server is stopped.
  const sends: Promise<PromiseSettledResult<void>[]>[] = [];
  const startedAt = performance.now();
  for (let index = 0; index < MESSAGES * conversations.length; index += 1) {
    await pause(Math.max(0, startedAt + (index * 1_000) / PER_SECOND - performance.now()));
    sends.push(Promise.allSettled([send(conversations[index % conversations.length])]));
  }
  for (const result of (await Promise.all(sends)).flat())
    if (result.status === 'rejected') throw result.reason;
  return sentAt;
}

await using stack = new AsyncDisposableStack();
const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
stack.defer(() => rm(dataDir, { recursive: true, force: true }));
const server = stack.use(await startServer(dataDir));
const anonymous = createGraphqlClient(server.url);
const [ann, bob] = [
  stack.use(await createTestAccount(server.url, anonymous)),
  stack.use(await createTestAccount(server.url, anonymous)),
];
const circle = await createCircle(ann, bob);
const conversations: string[] = [];
for (let index = 0; index < CONVERSATIONS; index += 1)
  conversations.push((await createConversation(ann, circle, bob)).id);

const readers = fork(join(import.meta.dirname, 'readers.ts'));
stack.defer(() => void readers.kill());
async function runCommand(command: Command): Promise<Reply> {
  const reply = once(readers, 'message') as Promise<[Reply]>;
  readers.send(command);
  return (await reply)[0];
}
/** Returns the delivery delays in milliseconds, sorted. */
async function collectDelays(sentAt: ReadonlyMap<number, number>): Promise<readonly number[]> {
  const reply = await runCommand({ type: 'collect', messages: MESSAGES });
  if (reply.type !== 'collected') throw new Error('Unexpected reply of the readers.');
  return reply.arrivals
    .map(([id, arrivedAt]) => (arrivedAt - (sentAt.get(id) ?? Number.NaN)) / 1e6)
    .toSorted((a, b) => a - b);
}

await runCommand({
  type: 'open',
  plan: { url: server.url, token: bob.token, conversations, readers: READERS },
});
print(`${CONVERSATIONS * READERS} clients read, ${(await server.residentMb()).toFixed(0)} MB`);
await collectDelays(await sendAll(ann, conversations));

const ratios: number[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const p99 = { reading: 0, stalled: 0 };
  const peak = { reading: 0, stalled: 0 };
  for (const phase of round % 2 === 0
    ? (['reading', 'stalled'] as const)
    : (['stalled', 'reading'] as const)) {
    if (phase === 'stalled') await runCommand({ type: 'stall' });
    const sends = sendAll(ann, conversations);
    peak[phase] = await measurePeakMb(server, sends);
    const delays = await collectDelays(await sends);
    p99[phase] = Number(formatPercentile(delays, 0.99));
    if (phase === 'stalled') await runCommand({ type: 'resume', messages: MESSAGES });
  }
  ratios.push(p99.stalled / p99.reading);
  print(
    `round ${round + 1}: p99 of the others ${p99.reading.toFixed(0)} ms while all read, ${p99.stalled.toFixed(0)} ms while 1 % do not; peak memory ${peak.reading.toFixed(0)} MB, ${peak.stalled.toFixed(0)} MB`,
  );
}
print(`p99 of the others, median of the ratios: ${median(ratios).toFixed(1)}`);
await record('slow-readers', [{ clients: CONVERSATIONS * READERS, p99Ratio: median(ratios) }]);
