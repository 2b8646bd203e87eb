import type { ExecutionResult } from 'graphql';
import { expect, test, vi } from 'vitest';
import { createEngine } from '../../src/gateway/execution/engine.ts';
import { EventExecutor } from '../../src/gateway/execution/event-executor.ts';
import { createFormatError } from '../../src/gateway/execution/format-error.ts';
import type { ResultStream } from '../../src/gateway/execution/result-stream.ts';
import { createContext } from '../../src/schema/context.ts';
import { schema } from '../../src/schema/index.ts';
import { createNumberedEvent } from '../harness/event-core.ts';
import { openSchemaClient } from '../schema/schema-client.ts';
import type { SchemaClient } from '../schema/schema-client.ts';
import { seedConversation } from '../schema/seed-conversation.ts';
import type { ActorRef } from '../../src/actor.ts';
import type { StreamItem } from '../../src/events/stream.ts';

// Events that are executed on their own, as in a replay: those that are buffered behind an event share its statements.

const SEND =
  'mutation ($id: ID!, $text: String) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const READ_CURSOR = 'query ($id: ID!) { conversation(id: $id) { eventCursor } }';
const RENAME =
  'mutation ($id: ID!, $name: String!) { updateConversation(conversationId: $id, name: $name) { id } }';
const KICK =
  'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }';
const BEYOND_EVENT =
  'text conversation { name myRole } author { ... on User { firstName } } participant { role user { email } }';

/** Publishes messages with the texts `0` to `count - 1`. Returns the cursor before them. */
async function sendMessages(client: SchemaClient, actor: ActorRef, id: string, count: number) {
  const { conversation } = await client.run(actor, READ_CURSOR, { id });
  for (let sent = 0; sent < count; sent += 50) {
    const texts = Array.from({ length: Math.min(50, count - sent) }, (_, index) => String(sent + index));
    // A batch keeps the order of its sends.
    await Promise.all(texts.map((text) => client.run(actor, SEND, { id, text })));
  }
  return conversation.eventCursor as string;
}

interface Replay {
  readonly actor: ActorRef;
  readonly id: string;
  readonly after: string;
  readonly selection: string;
  readonly signal?: AbortSignal;
}

async function openReplay(client: SchemaClient, replay: Replay): Promise<ResultStream> {
  const { actor, id, after, selection, signal } = replay;
  const engine = createEngine({
    schema,
    formatError: createFormatError(client.deps.log),
    introspection: true,
  });
  const session = { actor, tokenId: 'test', issuedAt: null, expiresAt: 0 };
  const stream = await engine.subscribe({
    document: engine.parse(
      `subscription ($id: ID!, $after: Cursor) { conversationEvents(conversationId: $id, after: $after) {
        __typename ... on MessageSent { message { ${selection} } } } }`,
    ),
    variables: { id, after },
    context: createContext({ deps: client.deps, session, signal }),
  });
  if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream));
  return stream;
}

interface SelectedEvent {
  readonly __typename: string;
  readonly message?: { readonly text: string };
}

const eventOf = ({ data }: ExecutionResult): SelectedEvent =>
  (data as { readonly conversationEvents: SelectedEvent }).conversationEvents;

async function readTexts(stream: ResultStream, count: number): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) {
    const { value } = await stream.next();
    if (value === undefined) throw new Error(`The stream ended after ${texts.length} results.`);
    texts.push(eventOf(value).message?.text ?? eventOf(value).__typename);
  }
  return texts;
}

const numbers = (first: number, end: number): string[] =>
  Array.from({ length: end - first }, (_, index) => String(first + index));

test(
  'a replay takes a constant number of statements per page, whatever its events select',
  { timeout: 60_000 },
  async () => {
    await using client = await openSchemaClient();
    const { ann, bob, conversation: id } = await seedConversation(client);
    const after = await sendMessages(client, ann, id, 1_000);
    const stream = await openReplay(client, { actor: bob, id, after, selection: BEYOND_EVENT });
    client.statements.count = 0;
    expect(eventOf((await stream.next()).value as ExecutionResult)).toEqual({
      __typename: 'MessageSent',
      message: {
        text: '0',
        conversation: { name: expect.any(String), myRole: 'STANDARD' },
        author: { firstName: 'Ann' },
        participant: { role: 'ADMIN', user: { email: 'ann@example.com' } },
      },
    });
    expect(await readTexts(stream, 1_000)).toEqual([...numbers(1, 1_000), 'StreamLive']);
    // Ten pages, each with one statement that reads it and those of its events.
    expect(client.statements.count).toBeLessThanOrEqual(10 * 6);
    await stream.return();
  },
);

test('events that select an eventCursor share a snapshot, in which they are read again', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, conversation: id } = await seedConversation(client);
  const after = await sendMessages(client, ann, id, 50);
  await client.run(ann, RENAME, { id, name: 'Renamed' });
  const { conversation } = await client.run(ann, READ_CURSOR, { id });
  const selection = 'text conversation { name eventCursor }';
  const stream = await openReplay(client, { actor: bob, id, after, selection });
  client.statements.count = 0;
  for (const text of numbers(0, 50))
    expect(eventOf((await stream.next()).value as ExecutionResult).message).toEqual({
      text,
      conversation: { name: 'Renamed', eventCursor: conversation.eventCursor },
    });
  expect(client.statements.count).toBeLessThanOrEqual(8);
  await stream.return();
});

test('the end of access within a page is its last result', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, circle, conversation: id } = await seedConversation(client);
  const eve = await client.createUser('Eve');
  const { inviteToCircle } = await client.run(
    ann,
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    { id: circle, email: eve.email },
  );
  await client.run(eve, 'mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
    id: inviteToCircle.id,
  });
  await client.run(
    ann,
    'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }',
    { id, email: eve.email },
  );
  const after = await sendMessages(client, ann, id, 10);
  const stream = await openReplay(client, { actor: bob, id, after, selection: BEYOND_EVENT });
  await client.run(ann, KICK, { id, email: bob.email });
  await sendMessages(client, ann, id, 10);
  expect(await readTexts(stream, 11)).toEqual([...numbers(0, 10), 'ParticipantKicked']);
  await expect(stream.next()).rejects.toMatchObject({ extensions: { code: 'FORBIDDEN', reason: 'KICKED' } });
});

test('the end of the session stops a page that is executed already', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, conversation: id } = await seedConversation(client);
  const after = await sendMessages(client, ann, id, 10);
  const controller = new AbortController();
  const { signal } = controller;
  const stream = await openReplay(client, { actor: bob, id, after, selection: BEYOND_EVENT, signal });
  expect(await readTexts(stream, 1)).toEqual(['0']);
  controller.abort('LOGGED_OUT');
  await expect(stream.next()).rejects.toMatchObject({ extensions: { reason: 'LOGGED_OUT' } });
});

/** An executor of numbered events that each have to load data, and the numbers that it has executed. */
function createNumberedExecutor(count: number, complexity: number) {
  const items = Array.from({ length: count }, (_, number): StreamItem => ({
    type: 'event',
    cursor: String(number),
    at: '2026-01-01T00:00:00.000Z',
    event: createNumberedEvent(number),
  }));
  const executed: number[] = [];
  let taken = 0;
  let failing = false;
  const executor = new EventExecutor({
    runBatch: async (start) =>
      start(async (item) => {
        const number = Number((item as StreamItem).cursor);
        executed.push(number);
        if (failing) throw new Error('The event failed.');
        return { data: { number } };
      })[0],
    complexity: () => complexity,
    isWanted: () => true,
  });
  return {
    executed,
    fail: (fails: boolean) => (failing = fails),
    async executeNext() {
      const item = items[taken];
      taken += 1;
      return (await executor.execute(item, (limit) => items.slice(taken, taken + limit))).data?.['number'];
    },
  };
}

test('results that have waited for a second are executed again, in growing batches', async () => {
  const { executed, executeNext } = createNumberedExecutor(10, 1);
  const startedAt = performance.now();
  using clock = vi.spyOn(performance, 'now').mockImplementation(() => startedAt);
  expect(await executeNext()).toBe(0);
  expect(executed).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(await executeNext()).toBe(1);
  clock.mockImplementation(() => startedAt + 1_001);
  executed.length = 0;
  for (const number of [2, 3, 4, 5]) expect(await executeNext()).toBe(number);
  expect(executed).toEqual([2, 3, 4, 5, 6, 7, 8]);
});

test('a batch is as small as its results may be large', async () => {
  for (const [complexity, batch] of [
    [200, 100],
    [5_000, 4],
    [15_000, 1],
    [400_000, 1],
  ] as const) {
    const { executed, executeNext } = createNumberedExecutor(150, complexity);
    await executeNext();
    expect(executed).toHaveLength(batch);
  }
});

test('an event that fails fails alone, when it is asked for', async () => {
  const { executed, executeNext, fail } = createNumberedExecutor(3, 1);
  fail(true);
  const first = executeNext();
  fail(false);
  await expect(first).rejects.toThrow('The event failed.');
  await expect(executeNext()).rejects.toThrow('The event failed.');
  expect(executed).toEqual([0, 1, 2]);
});
