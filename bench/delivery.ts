// What the promises about delivery cost: catching up, being removed, and clients that do not read.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createTestAccount } from '../src/testing/account.ts';
import type { TestAccount } from '../src/testing/account.ts';
import { circleOf, conversationOf, createGraphqlClient } from '../src/testing/index.ts';
import type { Named } from '../src/testing/index.ts';
import { rawSocket } from '../test/harness/raw-socket.ts';
import { wire } from '../test/harness/wire.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { at, peakMb, print, startServer } from './server.ts';
import type { Server } from './server.ts';

const MISSED = 1_000;
const RESUMES = 100;
const REMOVALS = 100;
const PASSING = 5_000;
const WRITERS = 8;

const rows: Row[] = [];
const timesOf = (what: string, delays: readonly number[]): Row => ({
  what,
  medianMs: Number(at(delays, 0.5)),
  p99Ms: Number(at(delays, 0.99)),
});

interface Talk {
  readonly server: Server;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly conversation: Named;
}

/** A paused client's half of a comparison. */
interface Stalled {
  /** What became of it, once it reads again. */
  outcome(): Promise<string>;
}

async function talkOn(server: Server): Promise<Talk> {
  const anonymous = createGraphqlClient(server.url);
  const [ann, bob, eve] = [
    await createTestAccount(server.url, anonymous),
    await createTestAccount(server.url, anonymous),
    await createTestAccount(server.url, anonymous),
  ];
  const circle = await circleOf(ann, bob, eve);
  // A third, so that the conversation outlives a removal.
  return { server, ann, bob, conversation: await conversationOf(ann, circle, bob, eve) };
}

async function write({ ann, conversation }: Talk, count: number, text: string): Promise<void> {
  let left = count;
  const writer = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await ann.graphql.run(
        'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }',
        { id: conversation.id, text },
      );
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

/** From subscribing after an old cursor until the stream says that it is live. */
async function resumeDelays(talk: Talk): Promise<number[]> {
  const { bob, conversation } = talk;
  const { conversation: before } = await bob.graphql.run<{ conversation: { eventCursor: string } }>(
    'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
    { id: conversation.id },
  );
  await write(talk, MISSED, 'missed');
  const delays: number[] = [];
  for (let round = 0; round < RESUMES; round += 1) {
    const begun = performance.now();
    await using events = await bob.conversationEvents(conversation.id, before.eventCursor);
    await events.nextOf('StreamLive');
    delays.push(performance.now() - begun);
    if (events.waiting().length !== MISSED) throw new Error('Not every missed event came.');
  }
  return delays.toSorted((a, b) => a - b);
}

/** From asking for a removal until the removed member's stream has ended, and its old client was told. */
async function removalDelays({ ann, bob, conversation }: Talk): Promise<Record<'stream' | 'room', number[]>> {
  const target = { id: conversation.id, email: bob.login };
  const delays = { stream: [] as number[], room: [] as number[] };
  for (let round = 0; round < REMOVALS; round += 1) {
    await using events = await bob.conversationEvents(conversation.id);
    await using phone = await bob.legacy();
    await phone.push('join_conversation', { conversation_id: conversation.legacyId });
    const begun = performance.now();
    const since = () => performance.now() - begun;
    const kicked = ann.graphql.run(
      'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
      target,
    );
    await Promise.all([
      events.ended().then(() => delays.stream.push(since())),
      phone.expect('conversation').then(() => delays.room.push(since())),
      kicked,
    ]);
    await ann.graphql.run(
      'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }',
      target,
    );
  }
  const sorted = (values: number[]) => values.toSorted((a, b) => a - b);
  return { stream: sorted(delays.stream), room: sorted(delays.room) };
}

async function stallByGraphql(
  { server, bob, conversation }: Talk,
  stack: AsyncDisposableStack,
): Promise<Stalled> {
  const raw = stack.use(await rawSocket(server.url, { authorization: `Bearer ${bob.token}` }));
  const query =
    'subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename ... on MessageSent { message { text } } } }';
  raw.send({ id: '1', type: 'subscribe', payload: { query, variables: { id: conversation.id } } });
  await raw.nextOf('next');
  raw.socket.pause();
  return {
    async outcome() {
      raw.socket.resume();
      for (let index = 0; index < PASSING; index += 1) await raw.nextOf('next');
      return `then read all ${PASSING}`;
    },
  };
}

async function stallBySocket(
  { server, bob, conversation }: Talk,
  stack: AsyncDisposableStack,
): Promise<Stalled> {
  const phone = stack.use(await wire(server.url));
  await phone.ask('authenticate', { token: bob.token });
  await phone.ask('join_conversation', { conversation_id: conversation.legacyId });
  phone.socket.pause();
  return {
    async outcome() {
      phone.socket.resume();
      return `was cut off with ${await phone.closed()}`;
    },
  };
}

/** The same messages on a fresh server, with a client that does not read and without one. */
async function comparePaused(
  name: string,
  text: string,
  stall: (talk: Talk, stack: AsyncDisposableStack) => Promise<Stalled>,
): Promise<void> {
  const rests: number[] = [];
  const peaks: number[] = [];
  let outcome = '';
  for (const stalls of [false, true]) {
    await using scene = await fresh();
    await using stack = new AsyncDisposableStack();
    const stalled = stalls ? await stall(scene.talk, stack) : undefined;
    rests.push(await scene.talk.server.residentMb());
    peaks.push(await peakMb(scene.talk.server, write(scene.talk, PASSING, text)));
    if (stalled !== undefined) outcome = await stalled.outcome();
  }
  const [without = 0, paused = 0] = peaks;
  const [growthWithout = 0, growth = 0] = peaks.map((peak, index) => peak - (rests[index] ?? 0));
  rows.push({ what: name, growthMb: growth, growthWithoutMb: growthWithout, peakRatio: paused / without });
  print(
    `${name}: ${growth.toFixed(0)} MB more than at rest, ${growthWithout.toFixed(0)} MB without it; at most ${paused.toFixed(0)} MB, ${without.toFixed(0)} MB without it, ratio ${(paused / without).toFixed(2)}; it ${outcome}`,
  );
}

async function fresh(): Promise<AsyncDisposable & { readonly talk: Talk }> {
  await using stack = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  // The first start leaves so much behind in memory that nothing else would be seen.
  await (await startServer(dataDir))[Symbol.asyncDispose]();
  const talk = await talkOn(stack.use(await startServer(dataDir)));
  stack.use(talk.ann);
  stack.use(talk.bob);
  const owned = stack.move();
  return { talk, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

{
  await using scene = await fresh();
  const removals = await removalDelays(scene.talk);
  for (const [door, delays] of Object.entries(removals))
    print(
      `removal, until the ${door} has ended: ${at(delays, 0.5)} ms (median), ${at(delays, 0.99)} ms (p99)`,
    );
  for (const [door, delays] of Object.entries(removals)) rows.push(timesOf(`removal, ${door}`, delays));
  const resumes = await resumeDelays(scene.talk);
  print(`resume of ${MISSED} missed events: ${at(resumes, 0.5)} ms (median), ${at(resumes, 0.99)} ms (p99)`);
  rows.push(timesOf('resume', resumes));
}
await comparePaused(
  `a paused GraphQL client while ${PASSING} x 4 KB pass`,
  'x'.repeat(4_096),
  stallByGraphql,
);
await comparePaused(`a paused legacy client while ${PASSING} x 24 KB pass`, '€'.repeat(8_192), stallBySocket);
await record('delivery', rows);
