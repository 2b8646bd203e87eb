import fc from 'fast-check';
import { getNamedType, isAbstractType, isLeafType, isObjectType } from 'graphql';
import type { ExecutionResult, GraphQLObjectType } from 'graphql';
import { expect, test } from 'vitest';
import { createEngine } from '../../src/gateway/execution/engine.ts';
import type { Engine } from '../../src/gateway/execution/engine.ts';
import { createFormatError } from '../../src/gateway/execution/format-error.ts';
import { createFanOut } from '../../src/gateway/execution/fan-out.ts';
import type { Receiver } from '../../src/gateway/execution/fan-out.ts';
import { createMetrics } from '../../src/gateway/metrics.ts';
import type { ResultStream } from '../../src/gateway/execution/result-stream.ts';
import { createContext } from '../../src/schema/context.ts';
import { schema } from '../../src/schema/index.ts';
import { openSchemaClient } from '../schema/schema-client.ts';
import type { SchemaClient } from '../schema/schema-client.ts';
import type { ActorRef } from '../../src/actor.ts';

// Subscriptions of one operation share executions: each receives what it would receive on its own.

function engineOf({ deps }: SchemaClient, shares: boolean, onExecute?: () => void): Engine {
  const fanOut = createFanOut({ ...deps, metrics: createMetrics() });
  const counted: typeof fanOut = {
    run: (stream, operation, receiver) =>
      fanOut.run(
        stream,
        { ...operation, execute: (item) => (onExecute?.(), operation.execute(item)) },
        receiver,
      ),
  };
  return createEngine({
    schema,
    formatError: createFormatError(deps.log),
    introspection: true,
    fanOut: shares ? counted : undefined,
  });
}

interface Reading {
  /** Received results as JSON, one line each, and a line for the end. */
  readonly lines: string[];
  readonly over: Promise<void>;
  /** Results written by the group, not returned by the stream. */
  readonly shared: Buffer[];
  /** Resolves when this many lines have been received. */
  has(count: number): Promise<void>;
  stop(): Promise<unknown>;
}

interface Reader {
  readonly actor: ActorRef;
  readonly text: string;
  readonly variables: Record<string, unknown>;
  /** Whether the receiver accepts a shared result; true by default. */
  readonly accepts?: () => boolean;
}

const toJson = (result: ExecutionResult): Buffer => Buffer.from(JSON.stringify(result));

async function read(client: SchemaClient, engine: Engine, reader: Reader): Promise<Reading> {
  const { actor, text, variables, accepts = () => true } = reader;
  const session = { actor, tokenId: 'test', issuedAt: null, expiresAt: 0 };
  const lines: string[] = [];
  const shared: Buffer[] = [];
  let wake = (): void => undefined;
  const receive = (line: string): void => {
    // Its timestamp is that of the subscription.
    lines.push(line.includes('"StreamLive"') ? 'live' : line);
    wake();
  };
  const receiver: Receiver = {
    write(result) {
      if (!accepts()) return false;
      const json = result.encoded(toJson);
      shared.push(json);
      receive(json.toString());
      return true;
    },
  };
  const context = createContext({ deps: client.deps, session });
  const document = engine.parse(text);
  const stream = await engine.subscribe({ document, variables, context, receiver });
  if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream));
  const all = async (results: ResultStream): Promise<void> => {
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
    shared,
    over: all(stream),
    async has(count) {
      while (lines.length < count) await new Promise<void>((resolve) => (wake = resolve));
    },
    stop: () => stream.return(),
  };
}

const EVENTS = (selection: string) =>
  `subscription ($id: ID!, $after: Cursor) { conversationEvents(conversationId: $id, after: $after) { __typename ${selection} } }`;
const TEXTS = EVENTS('... on MessageSent { message { text } }');
const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

const KICK =
  'mutation ($id: ID!, $e: String!) { kickFromConversation(conversationId: $id, email: $e) { id } }';

interface People {
  readonly ann: ActorRef & { readonly email: string };
  readonly bob: ActorRef & { readonly email: string };
  readonly cid: ActorRef & { readonly email: string };
  /** Creates a conversation of all three and returns its id. */
  talk(): Promise<string>;
}

async function seedFamily(client: SchemaClient): Promise<People> {
  const [ann, bob, cid] = [
    await client.createUser('Ann'),
    await client.createUser('Bob'),
    await client.createUser('Cid'),
  ];
  const { createCircle } = await client.run(ann, 'mutation { createCircle(name: "Family") { id } }');
  const c = createCircle.id as string;
  for (const user of [bob, cid]) {
    const invite = 'mutation ($c: ID!, $e: String!) { inviteToCircle(circleId: $c, email: $e) { id } }';
    const { inviteToCircle } = await client.run(ann, invite, { c, e: user.email });
    const accept = 'mutation ($i: ID!) { acceptCircleInvitation(invitationId: $i) { id } }';
    await client.run(user, accept, { i: inviteToCircle.id });
  }
  const create =
    'mutation ($c: ID!, $es: [String!]) { createConversation(circleId: $c, name: "Talk", emails: $es) { id } }';
  return {
    ann,
    bob,
    cid,
    async talk() {
      const { createConversation } = await client.run(ann, create, { c, es: [bob.email, cid.email] });
      return createConversation.id as string;
    },
  };
}

const textOf = (line: string): string => /"text":"(\w+)"/.exec(line)?.[1] ?? line;

/** Generates a random selection of a type's fields, nested up to a depth. */
function generateSelection(g: fc.GeneratorValue, typeName: string, depth: number, perActor: boolean): string {
  const type = schema.getType(typeName);
  const chosen = (): boolean => g(fc.nat, { max: 2 }) > 0;
  if (isAbstractType(type)) {
    const inner = schema.getPossibleTypes(type).filter(chosen);
    return [
      '__typename',
      ...inner.map(({ name }) => `... on ${name} { ${generateSelection(g, name, depth, perActor)} }`),
    ].join(' ');
  }
  if (!isObjectType(type)) throw new Error(`There is no type ${typeName}.`);
  const fields = Object.values(type.getFields()).filter(
    ({ name, args, extensions }) =>
      args.length === 0 &&
      name !== 'eventCursor' &&
      (perActor || extensions['perActor'] !== true) &&
      chosen(),
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
  { ann, bob, cid }: People,
): readonly (readonly [events: number, step: Step])[] {
  let m: string | undefined;
  const promote =
    'mutation ($id: ID!, $e: String!) { promoteInConversation(conversationId: $id, email: $e) { id } }';
  const sendFirst =
    'mutation ($id: ID!) { sendMessage(conversationId: $id, text: "one", files: ["a"]) { message { id } } }';
  const edit = 'mutation ($m: ID!) { updateMessage(messageId: $m, text: "two") { id } }';
  const rename = 'mutation ($id: ID!) { updateConversation(conversationId: $id, name: "Chat") { id } }';
  return [
    [1, async (id) => (m = (await client.run(ann, sendFirst, { id })).sendMessage.message.id as string)],
    [
      3,
      (id) =>
        Promise.all([
          client.run(ann, edit, { m }),
          client.run(bob, SEND, { id, text: 'three' }),
          client.run(cid, SEND, { id, text: 'four' }),
        ]),
    ],
    [1, () => client.run(ann, 'mutation ($m: ID!) { deleteMessage(messageId: $m) { id } }', { m })],
    [1, (id) => client.run(ann, promote, { id, e: bob.email })],
    [1, (id) => client.run(bob, KICK, { id, e: cid.email })],
    [1, (id) => client.run(bob, SEND, { id, text: 'five' })],
    [1, (id) => client.run(bob, rename, { id })],
  ];
}

/** The lines of Cid's stream: live, seven events, and the end. */
const ALL_OF_CID = 9;

test(
  'shared and single delivery are equal to the byte, for any selection and account',
  { timeout: 60_000 },
  async () => {
    await using client = await openSchemaClient();
    const people = await seedFamily(client);
    const [together, alone] = [engineOf(client, true), engineOf(client, false)];
    let shared = 0;
    const compare = async (g: fc.GeneratorValue): Promise<void> => {
      const id = await people.talk();
      const texts = [false, true].map((perActor) => EVENTS(generateSelection(g, 'Event', 2, perActor)));
      const readers = [people.ann, people.bob, people.cid].flatMap((actor) =>
        texts.map((text): Reader => ({ actor, text, variables: { id } })),
      );
      const pairs = await Promise.all(
        readers.map(
          async (reader) =>
            [await read(client, together, reader), await read(client, alone, reader)] as const,
        ),
      );
      // Some fields are read during execution, so each step waits until all readers have received its events.
      let lines = 1;
      const allHave = () =>
        Promise.all(
          readers.flatMap(({ actor }, index) => {
            const count = actor === people.cid ? Math.min(lines, ALL_OF_CID) : lines;
            return (pairs[index] ?? []).map((reading) => reading.has(count));
          }),
        );
      await allHave();
      for (const [events, step] of createSteps(client, people)) {
        await step(id);
        lines += events;
        await allHave();
      }
      for (const reading of pairs.flat()) {
        await reading.stop();
        await reading.over;
      }
      for (const [one, other] of pairs) {
        expect(one.lines).toEqual(other.lines);
        expect(other.shared).toEqual([]);
        shared += one.shared.length;
      }
    };
    await fc.assert(fc.asyncProperty(fc.gen(), compare), { numRuns: 12, seed: 5, endOnFailure: true });
    expect(shared).toBeGreaterThan(100);
  },
);

test('a field that depends on its caller but lacks the mark prevents sharing and yields correct results', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, talk } = await seedFamily(client);
  const id = await talk();
  const { myRole } = (schema.getType('Conversation') as GraphQLObjectType).getFields();
  if (myRole === undefined) throw new Error('The schema has no such field.');
  const { extensions } = myRole;
  myRole.extensions = {};
  try {
    const engine = engineOf(client, true);
    const text = EVENTS('... on MessageSent { message { text conversation { myRole } } }');
    const readings = await Promise.all(
      [ann, bob].map((actor) => read(client, engine, { actor, text, variables: { id } })),
    );
    await Promise.all(readings.map((reading) => reading.has(1)));
    await client.run(ann, SEND, { id, text: 'one' });
    await Promise.all(readings.map((reading) => reading.has(2)));
    expect(readings.map(({ shared }) => shared)).toEqual([[], []]);
    expect(readings.map(({ lines }) => /"myRole":"(\w+)"/.exec(lines[1] ?? '')?.[1])).toEqual([
      'ADMIN',
      'STANDARD',
    ]);
    await Promise.all(readings.map((reading) => reading.stop()));
  } finally {
    myRole.extensions = extensions;
  }
});

test('an `eventCursor` and the data beside it are from one snapshot', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, talk } = await seedFamily(client);
  const id = await talk();
  const engine = engineOf(client, true);
  const text = EVENTS('... on ConversationUpdated { conversation { name eventCursor } }');
  const readings = await Promise.all(
    [ann, bob].map((actor) => read(client, engine, { actor, text, variables: { id } })),
  );
  await Promise.all(readings.map((reading) => reading.has(1)));
  const rename =
    'mutation ($id: ID!, $n: String!) { updateConversation(conversationId: $id, name: $n) { id } }';
  await Promise.all(Array.from({ length: 6 }, (_, n) => client.run(ann, rename, { id, n: `n${n}` })));
  await Promise.all(readings.map((reading) => reading.has(7)));
  const names = new Map<string, Set<string>>();
  for (const line of readings.flatMap(({ lines }) => lines.slice(1))) {
    const { name, eventCursor } = (JSON.parse(line) as Updated).data.conversationEvents.conversation;
    names.set(eventCursor, (names.get(eventCursor) ?? new Set()).add(name));
  }
  for (const [, known] of names) expect(known.size).toBe(1);
  expect(readings.map(({ shared }) => shared)).toEqual([[], []]);
  await Promise.all(readings.map((reading) => reading.stop()));
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
  const { ann, bob, cid, talk } = await seedFamily(client);
  const id = await talk();
  let executed = 0;
  const engine = engineOf(client, true, () => (executed += 1));
  const begin = 'query ($id: ID!) { conversation(id: $id) { eventCursor } }';
  const { conversation } = await client.run(ann, begin, { id });
  const after = conversation.eventCursor as string;
  await client.run(ann, SEND, { id, text: 'before' });
  const own = EVENTS('... on MediaUploaded { media { message { id } } }');
  const readings = await Promise.all([
    read(client, engine, { actor: ann, text: TEXTS, variables: { id, after } }),
    read(client, engine, { actor: bob, text: TEXTS, variables: { id } }),
    read(client, engine, { actor: cid, text: TEXTS, variables: { id, after: null } }),
    read(client, engine, { actor: bob, text: own, variables: { id } }),
  ]);
  const [first, ...others] = readings;
  await first.has(2);
  await Promise.all(others.map((reading) => reading.has(1)));
  for (const text of ['one', 'two']) await client.run(ann, SEND, { id, text });
  await Promise.all(readings.map((reading) => reading.has(3)));
  expect(first.lines.map(textOf)).toEqual(['before', 'live', 'one', 'two']);
  expect(readings.map(({ shared }) => shared.length)).toEqual([2, 2, 2, 0]);
  expect(executed).toBe(2);
  expect(first.shared[0]).toBe(others[0]?.shared[0]);
  await Promise.all(readings.map((reading) => reading.stop()));
});

test('a slow or failing receiver falls back to the log, misses nothing and rejoins, without effect on other members', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, cid, talk } = await seedFamily(client);
  const id = await talk();
  const engine = engineOf(client, true);
  let slow = true;
  const variables = { id };
  const readings = await Promise.all([
    read(client, engine, { actor: ann, text: TEXTS, variables, accepts: () => !slow }),
    read(client, engine, {
      actor: bob,
      text: TEXTS,
      variables,
      accepts() {
        if (slow) throw new Error('broken');
        return true;
      },
    }),
    read(client, engine, { actor: cid, text: TEXTS, variables }),
  ]);
  await Promise.all(readings.map((reading) => reading.has(1)));
  for (const text of ['one', 'two', 'three']) await client.run(ann, SEND, { id, text });
  await Promise.all(readings.map((reading) => reading.has(4)));
  expect(readings.map(({ shared }) => shared.length)).toEqual([0, 0, 3]);
  slow = false;
  for (const text of ['four', 'five']) await client.run(ann, SEND, { id, text });
  await Promise.all(readings.map((reading) => reading.has(6)));
  expect(readings.map(({ shared }) => shared.length)).toEqual([2, 2, 5]);
  for (const { lines } of readings)
    expect(lines.map(textOf)).toEqual(['live', 'one', 'two', 'three', 'four', 'five']);
  await Promise.all(readings.map((reading) => reading.stop()));
});

test('a removed participant receives the event of the removal and nothing after it', async () => {
  await using client = await openSchemaClient();
  const { ann, cid, talk } = await seedFamily(client);
  const id = await talk();
  const engine = engineOf(client, true);
  // The execution reads the database, and the next event is committed meanwhile.
  const text = EVENTS(
    '... on ParticipantKicked { user { id isOnline } } ... on MessageSent { message { text conversation { name } } }',
  );
  const readings = await Promise.all([
    read(client, engine, { actor: ann, text, variables: { id } }),
    read(client, engine, { actor: cid, text, variables: { id } }),
  ]);
  await Promise.all(readings.map((reading) => reading.has(1)));
  await Promise.all([
    client.run(ann, SEND, { id, text: 'one' }),
    client.run(ann, KICK, { id, e: cid.email }),
    client.run(ann, SEND, { id, text: 'two' }),
  ]);
  const [stays, goes] = readings;
  await stays.has(4);
  await goes.over;
  const kicked = goes.lines.findIndex((line) => line.includes('ParticipantKicked'));
  expect(goes.lines.slice(0, kicked + 1)).toEqual(stays.lines.slice(0, kicked + 1));
  expect(goes.lines.slice(kicked + 1)).toEqual([expect.stringMatching(/^error .*"reason":"KICKED"/)]);
  expect(goes.shared).toHaveLength(kicked);
  await stays.stop();
});

test('closing a stream removes it from its group', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, talk } = await seedFamily(client);
  const id = await talk();
  const engine = engineOf(client, true);
  const readings = await Promise.all(
    [ann, bob].map((actor) => read(client, engine, { actor, text: TEXTS, variables: { id } })),
  );
  await Promise.all(readings.map((reading) => reading.has(1)));
  const [closed, stays] = readings;
  await closed?.stop();
  await closed?.over;
  await client.run(ann, SEND, { id, text: 'one' });
  await stays?.has(2);
  expect(closed?.lines).toEqual(['live', 'complete']);
  await stays?.stop();
});
