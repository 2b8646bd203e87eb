// Measures removals, and the server memory of clients that do not read.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createTestAccount } from '../src/testing/account.ts';
import type { TestAccount } from '../src/testing/account.ts';
import { createCircle, createConversation, createGraphqlClient } from '../src/testing/index.ts';
import type { Entity } from '../src/testing/index.ts';
import { openGraphqlSocket } from '../test/harness/graphql-socket.ts';
import { openPacketSocket } from '../test/harness/packet-connection.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { repeat } from './scale.ts';
import { formatPercentile, measurePeakMb, print, startServer } from './server.ts';
import type { Server } from './server.ts';

const REMOVALS = repeat(100);
const MESSAGES = repeat(5_000);
const WRITERS = 8;

const rows: Row[] = [];
const summarize = (name: string, delays: readonly number[]): Row => ({
  case: name,
  medianMs: Number(formatPercentile(delays, 0.5)),
  p99Ms: Number(formatPercentile(delays, 0.99)),
});

interface Setup {
  readonly server: Server;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly conversation: Entity;
}

/** A client that has stopped reading. */
interface PausedClient {
  /** Resumes reading. Returns a description of the result. */
  resume(): Promise<string>;
}

async function createSetup(server: Server): Promise<Setup> {
  const anonymous = createGraphqlClient(server.url);
  const [ann, bob, eve] = [
    await createTestAccount(server.url, anonymous),
    await createTestAccount(server.url, anonymous),
    await createTestAccount(server.url, anonymous),
  ];
  const circle = await createCircle(ann, bob, eve);
  // A third member, so that the conversation outlives a removal.
  return { server, ann, bob, conversation: await createConversation(ann, circle, bob, eve) };
}

async function sendMessages({ ann, conversation }: Setup, count: number, text: string): Promise<void> {
  let remaining = count;
  const writer = async (): Promise<void> => {
    while (remaining > 0) {
      remaining -= 1;
      await ann.graphql.run(
        'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }',
        { id: conversation.id, text },
      );
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

/** Returns the times from a removal request to the end of the member's stream, and to the frame on its legacy client. */
async function measureRemovals({
  ann,
  bob,
  conversation,
}: Setup): Promise<Record<'stream' | 'room', number[]>> {
  const target = { id: conversation.id, email: bob.login };
  const delays = { stream: [] as number[], room: [] as number[] };
  for (let round = 0; round < REMOVALS; round += 1) {
    await using events = await bob.subscribeToConversation(conversation.id);
    await using legacyClient = await bob.connectLegacy();
    await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
    const startedAt = performance.now();
    const elapsedMs = () => performance.now() - startedAt;
    const kick = ann.graphql.run(
      'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
      target,
    );
    await Promise.all([
      events.waitForEnd().then(() => delays.stream.push(elapsedMs())),
      legacyClient.expect('conversation').then(() => delays.room.push(elapsedMs())),
      kick,
    ]);
    await ann.graphql.run(
      'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }',
      target,
    );
  }
  const sorted = (values: number[]) => values.toSorted((a, b) => a - b);
  return { stream: sorted(delays.stream), room: sorted(delays.room) };
}

async function pauseGraphqlClient(
  { server, bob, conversation }: Setup,
  stack: AsyncDisposableStack,
): Promise<PausedClient> {
  const rawClient = stack.use(await openGraphqlSocket(server.url, { authorization: `Bearer ${bob.token}` }));
  const query =
    'subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename ... on MessageSent { message { text } } } }';
  rawClient.send({ id: '1', type: 'subscribe', payload: { query, variables: { id: conversation.id } } });
  await rawClient.nextOf('next');
  rawClient.socket.pause();
  return {
    async resume() {
      rawClient.socket.resume();
      for (let index = 0; index < MESSAGES; index += 1) await rawClient.nextOf('next');
      return `then received all ${MESSAGES}`;
    },
  };
}

async function pauseLegacyClient(
  { server, bob, conversation }: Setup,
  stack: AsyncDisposableStack,
): Promise<PausedClient> {
  const legacyClient = stack.use(await openPacketSocket(server.url));
  await legacyClient.request('authenticate', { token: bob.token });
  await legacyClient.request('join_conversation', { conversation_id: conversation.legacyId });
  legacyClient.socket.pause();
  return {
    async resume() {
      legacyClient.socket.resume();
      return `was disconnected with ${await legacyClient.waitForClose()}`;
    },
  };
}

/** Sends the same messages on a fresh server with and without a client that does not read, and compares memory. */
async function comparePaused(
  name: string,
  text: string,
  pauseClient: (setup: Setup, stack: AsyncDisposableStack) => Promise<PausedClient>,
): Promise<void> {
  const idle: number[] = [];
  const peaks: number[] = [];
  let outcome = '';
  for (const isPaused of [false, true]) {
    await using freshServer = await openFreshServer();
    await using stack = new AsyncDisposableStack();
    const client = isPaused ? await pauseClient(freshServer.setup, stack) : undefined;
    idle.push(await freshServer.setup.server.residentMb());
    peaks.push(
      await measurePeakMb(freshServer.setup.server, sendMessages(freshServer.setup, MESSAGES, text)),
    );
    if (client !== undefined) outcome = await client.resume();
  }
  const [peakWithout = 0, peak = 0] = peaks;
  const [growthWithout = 0, growth = 0] = peaks.map((peakMb, index) => peakMb - (idle[index] ?? 0));
  rows.push({ case: name, growthMb: growth, growthWithoutMb: growthWithout, peakRatio: peak / peakWithout });
  print(
    `${name}: ${growth.toFixed(0)} MB more than idle, ${growthWithout.toFixed(0)} MB without it; peak ${peak.toFixed(0)} MB, ${peakWithout.toFixed(0)} MB without it, ratio ${(peak / peakWithout).toFixed(2)}; it ${outcome}`,
  );
}

async function openFreshServer(): Promise<AsyncDisposable & { readonly setup: Setup }> {
  await using stack = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  // The first start creates the database, which allocates more than what is measured.
  await (await startServer(dataDir))[Symbol.asyncDispose]();
  const setup = await createSetup(stack.use(await startServer(dataDir)));
  stack.use(setup.ann);
  stack.use(setup.bob);
  const resources = stack.move();
  return { setup, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

{
  await using freshServer = await openFreshServer();
  const removals = await measureRemovals(freshServer.setup);
  for (const [target, delays] of Object.entries(removals))
    print(
      `removal, until the end of the ${target}: ${formatPercentile(delays, 0.5)} ms (median), ${formatPercentile(delays, 0.99)} ms (p99)`,
    );
  for (const [target, delays] of Object.entries(removals)) rows.push(summarize(`removal, ${target}`, delays));
}
await comparePaused(
  `a paused GraphQL client while ${MESSAGES} x 4 KB pass`,
  'x'.repeat(4_096),
  pauseGraphqlClient,
);
await comparePaused(
  `a paused legacy client while ${MESSAGES} x 24 KB pass`,
  '€'.repeat(8_192),
  pauseLegacyClient,
);
await record('delivery', rows);
