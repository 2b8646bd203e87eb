import fc from 'fast-check';
import { getNamedType, isAbstractType, isLeafType, isObjectType } from 'graphql';
import type { GraphQLObjectType } from 'graphql';
import { expect, test } from 'vitest';
import { findConversationsById } from '../../src/domain/conversations.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import { createEngine } from '../../src/gateway/execution/engine.ts';
import type { Engine } from '../../src/gateway/execution/engine.ts';
import { createFormatError } from '../../src/gateway/execution/format-error.ts';
import { createFanOut } from '../../src/gateway/execution/fan-out.ts';
import type { Receiver } from '../../src/gateway/execution/fan-out-group.ts';
import type { SharedResult } from '../../src/gateway/execution/shared-results.ts';
import { createMetrics } from '../../src/gateway/metrics.ts';
import type { ResultStream } from '../../src/gateway/execution/result-stream.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
import { parseGlobalId } from '../../src/ids.ts';
import type { ConversationId } from '../../src/ids.ts';
import { createContext } from '../../src/schema/context.ts';
import { schema } from '../../src/schema/index.ts';
import { openSchemaClient } from '../schema/schema-client.ts';
import type { SchemaClient } from '../schema/schema-client.ts';
import type { ActorRef } from '../../src/actor.ts';

// Subscriptions of one operation share executions. Each must receive the same as without sharing.

function createTestEngine(
  { deps }: SchemaClient,
  shares: boolean,
  onExecute?: () => void,
  turnClock = new TurnClock(),
): Engine {
  const fanOut = createFanOut({
    ...deps,
    metrics: createMetrics('test'),
    turnClock,
    turnEnd: deps.bus.turnEnd,
  });
  const countingFanOut: typeof fanOut = {
    run: (stream, operation, receiver) =>
      fanOut.run(
        stream,
        { ...operation, execute: (...event) => (onExecute?.(), operation.execute(...event)) },
        receiver,
      ),
  };
  return createEngine({
    schema,
    formatError: createFormatError(deps.log),
    introspection: true,
    fanOut: shares ? countingFanOut : undefined,
  });
}

interface Subscription {
  /** Received results as JSON, one line each, and a line for the end. */
  readonly lines: string[];
  readonly ended: Promise<void>;
  /** Results written by the group instead of returned by the stream. */
  readonly sharedResults: Buffer[];
  /** The numbers of results that were written together. */
  readonly writes: number[];
  /** Resolves when this many lines have been received. */
  waitForLines(count: number): Promise<void>;
  unsubscribe(): Promise<unknown>;
}

interface Subscriber {
  readonly actor: ActorRef;
  readonly query: string;
  readonly variables: Record<string, unknown>;
  /** Whether the receiver accepts a shared result; true by default. */
  readonly accepts?: () => boolean;
  readonly signal?: AbortSignal;
}

const toJson = (results: readonly SharedResult[]): Buffer[] =>
  results.map(({ result }) => Buffer.from(JSON.stringify(result)));

async function subscribe(
  client: SchemaClient,
  engine: Engine,
  subscriber: Subscriber,
): Promise<Subscription> {
  const { actor, query, variables, accepts = () => true, signal } = subscriber;
  const session = { actor, tokenId: 'test', issuedAt: null, expiresAt: 0 };
  const lines: string[] = [];
  const sharedResults: Buffer[] = [];
  const writes: number[] = [];
  let wake = (): void => undefined;
  const receive = (line: string): void => {
    // The timestamp of `StreamLive` differs between subscriptions.
    lines.push(line.includes('"StreamLive"') ? 'live' : line);
    wake();
  };
  const receiver: Receiver = {
    write(results) {
      let written = 0;
      for (const json of results.encoded(toJson)) {
        if (!accepts()) break;
        sharedResults.push(json);
        receive(json.toString());
        written += 1;
      }
      writes.push(written);
      return written;
    },
  };
  const context = createContext({ deps: client.deps, session, signal });
  const document = engine.parse(query);
  const stream = await engine.subscribe({ document, variables, context, receiver });
  if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream));
  const collect = async (results: ResultStream): Promise<void> => {
    try {
      for await (const result of results) receive(JSON.stringify(result));
      lines.push('complete');
    } catch (error) {
      lines.push(`error ${JSON.stringify(error)}`);
    }
    wake();
  };
  return {
    lines,
    sharedResults,
    writes,
    ended: collect(stream),
    async waitForLines(count) {
      while (lines.length < count) await new Promise<void>((resolve) => (wake = resolve));
    },
    unsubscribe: () => stream.return(),
  };
}

const createEventsQuery = (selection: string) =>
  `subscription ($id: ID!, $after: Cursor) { conversationEvents(conversationId: $id, after: $after) { __typename ${selection} } }`;
const TEXTS = createEventsQuery('... on MessageSent { message { text } }');
const SEND_MESSAGE =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

const KICK =
  'mutation ($id: ID!, $e: String!) { kickFromConversation(conversationId: $id, email: $e) { id } }';

interface Accounts {
  readonly ann: ActorRef & { readonly email: string };
  readonly bob: ActorRef & { readonly email: string };
  readonly cid: ActorRef & { readonly email: string };
  /** Creates a conversation of all three accounts and returns its id. */
  createConversation(): Promise<string>;
}

async function createAccounts(client: SchemaClient): Promise<Accounts> {
  const [ann, bob, cid] = [
    await client.createUser('Ann'),
    await client.createUser('Bob'),
    await client.createUser('Cid'),
  ];
  const { createCircle } = await client.run(ann, 'mutation { createCircle(name: "Family") { id } }');
  const c = createCircle.id as string;
  for (const user of [bob, cid]) {
    const inviteMutation =
      'mutation ($c: ID!, $e: String!) { inviteToCircle(circleId: $c, email: $e) { id } }';
    const { inviteToCircle } = await client.run(ann, inviteMutation, { c, e: user.email });
    const acceptMutation = 'mutation ($i: ID!) { acceptCircleInvitation(invitationId: $i) { id } }';
    await client.run(user, acceptMutation, { i: inviteToCircle.id });
  }
  const create =
    'mutation ($c: ID!, $es: [String!]) { createConversation(circleId: $c, name: "Chat", emails: $es) { id } }';
  return {
    ann,
    bob,
    cid,
    async createConversation() {
      const { createConversation } = await client.run(ann, create, { c, es: [bob.email, cid.email] });
      return createConversation.id as string;
    },
  };
}

const readText = (line: string): string => /"text":"(\w+)"/.exec(line)?.[1] ?? line;

/** Read during execution: later events of the same step may have changed them. */
const CHANGING_FIELDS = ['eventCursor', 'unreadCount'];

/** Generates a random selection of a type's fields, nested up to a depth. */
function generateSelection(g: fc.GeneratorValue, typeName: string, depth: number, perActor: boolean): string {
  const type = schema.getType(typeName);
  const isChosen = (): boolean => g(fc.nat, { max: 2 }) > 0;
  if (isAbstractType(type)) {
    const inner = schema.getPossibleTypes(type).filter(isChosen);
    return [
      '__typename',
      ...inner.map(({ name }) => `... on ${name} { ${generateSelection(g, name, depth, perActor)} }`),
    ].join(' ');
  }
  if (!isObjectType(type)) throw new Error(`The schema has no type ${typeName}.`);
  const fields = Object.values(type.getFields()).filter(
    ({ name, args, extensions }) =>
      args.length === 0 &&
      !CHANGING_FIELDS.includes(name) &&
      (perActor || extensions['perActor'] !== true) &&
      isChosen(),
  );
  const selected = fields.flatMap((field) => {
    const inner = getNamedType(field.type);
    if (isLeafType(inner)) return [`${typeName}_${field.name}: ${field.name}`];
    return depth === 0
      ? []
      : [
          `${typeName}_${field.name}: ${field.name} { ${generateSelection(g, inner.name, depth - 1, perActor)} }`,
        ];
  });
  return ['__typename', ...selected].join(' ');
}

type Step = (id: string) => Promise<unknown>;

/** Steps that publish every kind of conversation event, with the number of events each. The fifth removes Cid. */
function createSteps(
  client: SchemaClient,
  { ann, bob, cid }: Accounts,
): readonly (readonly [events: number, step: Step])[] {
  let messageId: string | undefined;
  const promote =
    'mutation ($id: ID!, $e: String!) { promoteInConversation(conversationId: $id, email: $e) { id } }';
  const sendFirst =
    'mutation ($id: ID!) { sendMessage(conversationId: $id, text: "one", files: ["a"]) { message { id } } }';
  const edit = 'mutation ($m: ID!) { updateMessage(messageId: $m, text: "two") { id } }';
  const rename = 'mutation ($id: ID!) { updateConversation(conversationId: $id, name: "Renamed") { id } }';
  return [
    [
      1,
      async (id) => (messageId = (await client.run(ann, sendFirst, { id })).sendMessage.message.id as string),
    ],
    [
      3,
      (id) =>
        Promise.all([
          client.run(ann, edit, { m: messageId }),
          client.run(bob, SEND_MESSAGE, { id, text: 'three' }),
          client.run(cid, SEND_MESSAGE, { id, text: 'four' }),
        ]),
    ],
    [
      1,
      () => client.run(ann, 'mutation ($m: ID!) { deleteMessage(messageId: $m) { id } }', { m: messageId }),
    ],
    [1, (id) => client.run(ann, promote, { id, e: bob.email })],
    [1, (id) => client.run(bob, KICK, { id, e: cid.email })],
    [1, (id) => client.run(bob, SEND_MESSAGE, { id, text: 'five' })],
    [1, (id) => client.run(bob, rename, { id })],
  ];
}

/** The lines of Cid's stream: live, seven events, and the end. */
const LINES_OF_CID = 9;

test(
  'shared and single delivery are equal to the byte, for any selection and account',
  { timeout: 60_000 },
  async () => {
    await using client = await openSchemaClient();
    const accounts = await createAccounts(client);
    const [sharedEngine, singleEngine] = [createTestEngine(client, true), createTestEngine(client, false)];
    let sharedCount = 0;
    const compare = async (g: fc.GeneratorValue): Promise<void> => {
      const id = await accounts.createConversation();
      const queries = [false, true].map((perActor) =>
        createEventsQuery(generateSelection(g, 'Event', 2, perActor)),
      );
      const subscribers = [accounts.ann, accounts.bob, accounts.cid].flatMap((actor) =>
        queries.map((query): Subscriber => ({ actor, query, variables: { id } })),
      );
      const pairs = await Promise.all(
        subscribers.map(
          async (subscriber) =>
            [
              await subscribe(client, sharedEngine, subscriber),
              await subscribe(client, singleEngine, subscriber),
            ] as const,
        ),
      );
      // Some fields are read during execution, so each step waits until all subscribers have received its events.
      let lines = 1;
      const waitForAll = () =>
        Promise.all(
          subscribers.flatMap(({ actor }, index) => {
            const count = actor === accounts.cid ? Math.min(lines, LINES_OF_CID) : lines;
            return (pairs[index] ?? []).map((subscription) => subscription.waitForLines(count));
          }),
        );
      await waitForAll();
      for (const [events, step] of createSteps(client, accounts)) {
        await step(id);
        lines += events;
        await waitForAll();
      }
      for (const subscription of pairs.flat()) {
        await subscription.unsubscribe();
        await subscription.ended;
      }
      for (const [sharedSubscription, singleSubscription] of pairs) {
        expect(sharedSubscription.lines).toEqual(singleSubscription.lines);
        expect(singleSubscription.sharedResults).toEqual([]);
        sharedCount += sharedSubscription.sharedResults.length;
      }
    };
    await fc.assert(fc.asyncProperty(fc.gen(), compare), { numRuns: 12, seed: 5, endOnFailure: true });
    expect(sharedCount).toBeGreaterThan(100);
  },
);

test('a field that depends on its caller but lacks the mark prevents sharing and yields correct results', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, createConversation } = await createAccounts(client);
  const id = await createConversation();
  const { myRole } = (schema.getType('Conversation') as GraphQLObjectType).getFields();
  if (myRole === undefined) throw new Error('The schema has no such field.');
  const { extensions } = myRole;
  myRole.extensions = {};
  try {
    const engine = createTestEngine(client, true);
    const query = createEventsQuery('... on MessageSent { message { text conversation { myRole } } }');
    const subscriptions = await Promise.all(
      [ann, bob].map((actor) => subscribe(client, engine, { actor, query, variables: { id } })),
    );
    await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(1)));
    await client.run(ann, SEND_MESSAGE, { id, text: 'one' });
    await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(2)));
    expect(subscriptions.map(({ sharedResults }) => sharedResults)).toEqual([[], []]);
    expect(subscriptions.map(({ lines }) => /"myRole":"(\w+)"/.exec(lines[1] ?? '')?.[1])).toEqual([
      'ADMIN',
      'STANDARD',
    ]);
    await Promise.all(subscriptions.map((subscription) => subscription.unsubscribe()));
  } finally {
    myRole.extensions = extensions;
  }
});

test('an `eventCursor` and the data beside it are from one snapshot', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, createConversation } = await createAccounts(client);
  const id = await createConversation();
  const engine = createTestEngine(client, true);
  const query = createEventsQuery('... on ConversationUpdated { conversation { name eventCursor } }');
  const subscriptions = await Promise.all(
    [ann, bob].map((actor) => subscribe(client, engine, { actor, query, variables: { id } })),
  );
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(1)));
  const rename =
    'mutation ($id: ID!, $n: String!) { updateConversation(conversationId: $id, name: $n) { id } }';
  await Promise.all(Array.from({ length: 6 }, (_, n) => client.run(ann, rename, { id, n: `n${n}` })));
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(7)));
  const names = new Map<string, Set<string>>();
  for (const line of subscriptions.flatMap(({ lines }) => lines.slice(1))) {
    const { name, eventCursor } = (JSON.parse(line) as Updated).data.conversationEvents.conversation;
    names.set(eventCursor, (names.get(eventCursor) ?? new Set()).add(name));
  }
  for (const [, snapshotNames] of names) expect(snapshotNames.size).toBe(1);
  expect(subscriptions.map(({ sharedResults }) => sharedResults)).toEqual([[], []]);
  await Promise.all(subscriptions.map((subscription) => subscription.unsubscribe()));
});

interface Updated {
  readonly data: {
    readonly conversationEvents: {
      readonly conversation: { readonly name: string; readonly eventCursor: string };
    };
  };
}

test('an event is executed once per group, whatever the start cursors, and once per subscription with per-account fields', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, cid, createConversation } = await createAccounts(client);
  const id = await createConversation();
  let executed = 0;
  const engine = createTestEngine(client, true, () => (executed += 1));
  const begin = 'query ($id: ID!) { conversation(id: $id) { eventCursor } }';
  const { conversation } = await client.run(ann, begin, { id });
  const after = conversation.eventCursor as string;
  await client.run(ann, SEND_MESSAGE, { id, text: 'before' });
  const perAccount = createEventsQuery('... on MediaUploaded { media { message { id } } }');
  const subscriptions = await Promise.all([
    subscribe(client, engine, { actor: ann, query: TEXTS, variables: { id, after } }),
    subscribe(client, engine, { actor: bob, query: TEXTS, variables: { id } }),
    subscribe(client, engine, { actor: cid, query: TEXTS, variables: { id, after: null } }),
    subscribe(client, engine, { actor: bob, query: perAccount, variables: { id } }),
  ]);
  const [first, ...others] = subscriptions;
  await first.waitForLines(2);
  await Promise.all(others.map((subscription) => subscription.waitForLines(1)));
  for (const text of ['one', 'two']) await client.run(ann, SEND_MESSAGE, { id, text });
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(3)));
  expect(first.lines.map(readText)).toEqual(['before', 'live', 'one', 'two']);
  expect(subscriptions.map(({ sharedResults }) => sharedResults.length)).toEqual([2, 2, 2, 0]);
  expect(executed).toBe(2);
  expect(first.sharedResults[0]).toBe(others[0]?.sharedResults[0]);
  await Promise.all(subscriptions.map((subscription) => subscription.unsubscribe()));
});

test('groups execute an event in turns of the event loop, so that many different documents delay no others', async () => {
  await using client = await openSchemaClient();
  const { ann, createConversation } = await createAccounts(client);
  const id = await createConversation();
  let turn = 0;
  const countTurn = (): void => {
    turn += 1;
    timer = setImmediate(countTurn);
  };
  let timer = setImmediate(countTurn);
  const executedIn: number[] = [];
  // Without time for more than one item in each turn.
  const engine = createTestEngine(client, true, () => executedIn.push(turn), new TurnClock(-1));
  const subscriptions = await Promise.all(
    ['a', 'b', 'c', 'd', 'e'].map((alias) =>
      subscribe(client, engine, {
        actor: ann,
        query: createEventsQuery(`... on MessageSent { ${alias}: message { text } }`),
        variables: { id },
      }),
    ),
  );
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(1)));
  await client.run(ann, SEND_MESSAGE, { id, text: 'one' });
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(2)));
  clearImmediate(timer);
  expect(subscriptions.map(({ sharedResults }) => sharedResults.length)).toEqual([1, 1, 1, 1, 1]);
  expect(new Set(executedIn).size).toBe(5);
  await Promise.all(subscriptions.map((subscription) => subscription.unsubscribe()));
});

test('events that are published in one turn of the event loop are written together', async () => {
  await using client = await openSchemaClient();
  const { deps } = client;
  const { bob, createConversation } = await createAccounts(client);
  const id = await createConversation();
  const engine = createTestEngine(client, true);
  const query = createEventsQuery('');
  const subscription = await subscribe(client, engine, { actor: bob, query, variables: { id } });
  await subscription.waitForLines(1);
  const conversationId = parseGlobalId(id)?.id as ConversationId;
  const conversation = (await findConversationsById(deps, [conversationId])).get(conversationId);
  if (conversation === undefined) throw new Error(`There is no ${id}.`);
  await transact(deps, async (unit) => {
    for (let n = 0; n < 3; n += 1) unit.emit({ type: 'conversation.updated', conversation });
  });
  // Before `transact` returned.
  expect(subscription.sharedResults).toHaveLength(3);
  expect(subscription.writes).toEqual([3]);
});

test('a subscriber whose account is deleted receives what its group has queued for a turn', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, createConversation } = await createAccounts(client);
  const id = await createConversation();
  const turnClock = new TurnClock(-1);
  const engine = createTestEngine(client, true, undefined, turnClock);
  const session = new AbortController();
  const variables = { id };
  // The group that is executed in the first turn.
  const query = createEventsQuery('... on MessageSent { message { text id } }');
  const ofAnn = await subscribe(client, engine, { actor: ann, query, variables });
  await ofAnn.waitForLines(1);
  const ofBob = await subscribe(client, engine, {
    actor: bob,
    query: TEXTS,
    variables,
    signal: session.signal,
  });
  await ofBob.waitForLines(1);
  const tail = await client.deps.tails.open(`conversation:${Number(id.split(':')[1])}`);
  const follower = { onEvent: () => session.abort('ACCOUNT_DELETED') };
  tail?.follow(follower);
  const sent = client.run(ann, SEND_MESSAGE, { id, text: 'one' });
  await ofBob.ended;
  expect(ofBob.lines.map(readText).slice(0, 2)).toEqual(['live', 'one']);
  expect(ofBob.lines.at(-1)).toContain('ACCOUNT_DELETED');
  expect(ofBob.sharedResults.length).toBe(1);
  await ofAnn.waitForLines(2);
  expect(ofAnn.lines.map(readText)).toEqual(['live', 'one']);
  await sent;
  tail?.unfollow(follower);
  tail?.close();
  await ofAnn.unsubscribe();
});

test('a slow or failing receiver falls back to the log, misses nothing and rejoins, without effect on other members', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, cid, createConversation } = await createAccounts(client);
  const id = await createConversation();
  const engine = createTestEngine(client, true);
  let isSlow = true;
  const variables = { id };
  const subscriptions = await Promise.all([
    subscribe(client, engine, { actor: ann, query: TEXTS, variables, accepts: () => !isSlow }),
    subscribe(client, engine, {
      actor: bob,
      query: TEXTS,
      variables,
      accepts() {
        if (isSlow) throw new Error('broken');
        return true;
      },
    }),
    subscribe(client, engine, { actor: cid, query: TEXTS, variables }),
  ]);
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(1)));
  for (const text of ['one', 'two', 'three']) await client.run(ann, SEND_MESSAGE, { id, text });
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(4)));
  expect(subscriptions.map(({ sharedResults }) => sharedResults.length)).toEqual([0, 0, 3]);
  isSlow = false;
  for (const text of ['four', 'five']) await client.run(ann, SEND_MESSAGE, { id, text });
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(6)));
  expect(subscriptions.map(({ sharedResults }) => sharedResults.length)).toEqual([2, 2, 5]);
  for (const { lines } of subscriptions)
    expect(lines.map(readText)).toEqual(['live', 'one', 'two', 'three', 'four', 'five']);
  await Promise.all(subscriptions.map((subscription) => subscription.unsubscribe()));
});

test('a removed participant receives the event of the removal and nothing after it', async () => {
  await using client = await openSchemaClient();
  const { ann, cid, createConversation } = await createAccounts(client);
  const id = await createConversation();
  const engine = createTestEngine(client, true);
  // The execution reads the database, and the next event is committed during it.
  const query = createEventsQuery(
    '... on ParticipantKicked { user { id isOnline } } ... on MessageSent { message { text conversation { name } } }',
  );
  const subscriptions = await Promise.all([
    subscribe(client, engine, { actor: ann, query, variables: { id } }),
    subscribe(client, engine, { actor: cid, query, variables: { id } }),
  ]);
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(1)));
  await Promise.all([
    client.run(ann, SEND_MESSAGE, { id, text: 'one' }),
    client.run(ann, KICK, { id, e: cid.email }),
    client.run(ann, SEND_MESSAGE, { id, text: 'two' }),
  ]);
  const [remaining, removed] = subscriptions;
  await remaining.waitForLines(4);
  await removed.ended;
  const kicked = removed.lines.findIndex((line) => line.includes('ParticipantKicked'));
  expect(removed.lines.slice(0, kicked + 1)).toEqual(remaining.lines.slice(0, kicked + 1));
  expect(removed.lines.slice(kicked + 1)).toEqual([expect.stringMatching(/^error .*"reason":"KICKED"/)]);
  expect(removed.sharedResults).toHaveLength(kicked);
  await remaining.unsubscribe();
});

test('closing a stream removes it from its group', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, createConversation } = await createAccounts(client);
  const id = await createConversation();
  const engine = createTestEngine(client, true);
  const subscriptions = await Promise.all(
    [ann, bob].map((actor) => subscribe(client, engine, { actor, query: TEXTS, variables: { id } })),
  );
  await Promise.all(subscriptions.map((subscription) => subscription.waitForLines(1)));
  const [first, remaining] = subscriptions;
  await first?.unsubscribe();
  await first?.ended;
  await client.run(ann, SEND_MESSAGE, { id, text: 'one' });
  await remaining?.waitForLines(2);
  expect(first?.lines).toEqual(['live', 'complete']);
  await remaining?.unsubscribe();
});

test('events that arrive together share the statements of what they load', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, createConversation } = await createAccounts(client);
  const id = await createConversation();
  const query = createEventsQuery(
    '... on MessageSent { message { text conversation { name } participant { role } } }',
  );
  const engine = createTestEngine(client, true);
  const subscription = await subscribe(client, engine, { actor: bob, query, variables: { id } });
  await subscription.waitForLines(1);
  const texts = Array.from({ length: 50 }, (_, index) => `text${index}`);
  client.statements.count = 0;
  await Promise.all(texts.map((text) => client.run(ann, SEND_MESSAGE, { id, text })));
  await subscription.waitForLines(51);
  expect(subscription.lines.slice(1).map(readText)).toEqual(texts);
  expect(subscription.sharedResults).toHaveLength(50);
  // With those of the sends, which are batched.
  expect(client.statements.count).toBeLessThanOrEqual(25);
  await subscription.unsubscribe();
});
