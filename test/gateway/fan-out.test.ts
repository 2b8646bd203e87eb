import fc from 'fast-check';
import { getNamedType, isAbstractType, isLeafType, isObjectType } from 'graphql';
import type { ExecutionResult } from 'graphql';
import { expect, test } from 'vitest';
import { createEngine } from '../../src/gateway/engine.ts';
import type { Engine } from '../../src/gateway/engine.ts';
import { createFormatError } from '../../src/gateway/errors.ts';
import { createFanOut } from '../../src/gateway/fan-out.ts';
import type { Receiver } from '../../src/gateway/fan-out.ts';
import type { ResultStream } from '../../src/gateway/results.ts';
import type { ActorRef } from '../../src/events/event.ts';
import { createContext } from '../../src/schema/context.ts';
import { schema } from '../../src/schema/index.ts';
import { openWorld } from '../schema/world.ts';
import type { World } from '../schema/world.ts';

// Readers of the same operation are served together: each gets what it would get alone.

function engineOf({ deps }: World, shares: boolean, onExecute?: () => void): Engine {
  const fanOut = createFanOut(deps);
  const counted: typeof fanOut = {
    serve: (stream, operation, receiver) =>
      fanOut.serve(
        stream,
        { ...operation, execute: (item) => (onExecute?.(), operation.execute(item)) },
        receiver,
      ),
  };
  return createEngine({
    schema,
    formatError: createFormatError(deps.log),
    introspection: true,
    onStreamEnd: () => undefined,
    fanOut: shares ? counted : undefined,
  });
}

interface Reading {
  /** What came, as JSON, one line for each result and one for how it ended. */
  readonly lines: string[];
  readonly over: Promise<void>;
  /** Results that were handed over rather than answered by the stream. */
  readonly handed: ExecutionResult[];
  /** Resolves when it has got so many lines. */
  has(count: number): Promise<void>;
  stop(): Promise<unknown>;
}

interface Reader {
  readonly actor: ActorRef;
  readonly text: string;
  readonly variables: Record<string, unknown>;
  /** Whether it takes what it is handed. */
  readonly takes?: (result: ExecutionResult) => boolean;
}

async function read(world: World, engine: Engine, reader: Reader): Promise<Reading> {
  const { actor, text, variables, takes = () => true } = reader;
  const session = { actor, tokenId: 'test', issuedAt: null, expiresAt: 0 };
  const lines: string[] = [];
  const handed: ExecutionResult[] = [];
  let wake = (): void => undefined;
  const say = (result: ExecutionResult): void => {
    // The one thing that differs by when it is asked for.
    const line = JSON.stringify(result);
    lines.push(line.includes('"StreamLive"') ? 'live' : line);
    wake();
  };
  const receiver: Receiver = {
    write({ result }) {
      if (!takes(result)) return false;
      handed.push(result);
      say(result);
      return true;
    },
  };
  const context = createContext({ deps: world.deps, session });
  const document = engine.parse(text);
  const stream = await engine.subscribe({ document, variables, context, receiver });
  if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream));
  const all = async (results: ResultStream): Promise<void> => {
    try {
      for await (const result of results) say(result);
      lines.push('complete');
    } catch (error) {
      lines.push(`error ${JSON.stringify(error)}`);
    }
    wake();
  };
  return {
    lines,
    handed,
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

interface People {
  readonly ann: ActorRef & { readonly email: string };
  readonly bob: ActorRef & { readonly email: string };
  readonly cid: ActorRef & { readonly email: string };
  /** Begins a conversation of all three, and answers its id. */
  talk(): Promise<string>;
}

async function family(world: World): Promise<People> {
  const [ann, bob, cid] = [await world.user('Ann'), await world.user('Bob'), await world.user('Cid')];
  const { createCircle } = await world.run(ann, 'mutation { createCircle(name: "Family") { id } }');
  const c = createCircle.id as string;
  for (const user of [bob, cid]) {
    const invite = 'mutation ($c: ID!, $e: String!) { inviteToCircle(circleId: $c, email: $e) { id } }';
    const { inviteToCircle } = await world.run(ann, invite, { c, e: user.email });
    const accept = 'mutation ($i: ID!) { acceptCircleInvitation(invitationId: $i) { id } }';
    await world.run(user, accept, { i: inviteToCircle.id });
  }
  const create =
    'mutation ($c: ID!, $es: [String!]) { createConversation(circleId: $c, name: "Talk", emails: $es) { id } }';
  return {
    ann,
    bob,
    cid,
    async talk() {
      const { createConversation } = await world.run(ann, create, { c, es: [bob.email, cid.email] });
      return createConversation.id as string;
    },
  };
}

const textOf = (line: string): string => /"text":"(\w+)"/.exec(line)?.[1] ?? line;

/** Draws a selection of a type's fields, and of theirs. */
function draw(g: fc.GeneratorValue, typeName: string, depth: number, perActor: boolean): string {
  const type = schema.getType(typeName);
  const chosen = (): boolean => g(fc.nat, { max: 2 }) > 0;
  if (isAbstractType(type)) {
    const inner = schema.getPossibleTypes(type).filter(chosen);
    return [
      '__typename',
      ...inner.map(({ name }) => `... on ${name} { ${draw(g, name, depth, perActor)} }`),
    ].join(' ');
  }
  if (!isObjectType(type)) throw new Error(`There is no type ${typeName}.`);
  const fields = Object.values(type.getFields()).filter(
    ({ args, extensions }) => args.length === 0 && (perActor || extensions['perActor'] !== true) && chosen(),
  );
  const selected = fields.flatMap((field) => {
    const inner = getNamedType(field.type);
    if (isLeafType(inner)) return [`${typeName}_${field.name}: ${field.name}`];
    return depth === 0
      ? []
      : [`${typeName}_${field.name}: ${field.name} { ${draw(g, inner.name, depth - 1, perActor)} }`];
  });
  return ['__typename', ...selected].join(' ');
}

/** What there is to be heard in a conversation, up to the going of one who takes part, and a little more. */
async function story(world: World, { ann, bob, cid }: People, id: string): Promise<void> {
  const { sendMessage } = await world.run(
    ann,
    'mutation ($id: ID!) { sendMessage(conversationId: $id, text: "one", files: ["a"]) { message { id } } }',
    { id },
  );
  const m = sendMessage.message.id as string;
  await Promise.all([
    world.run(ann, 'mutation ($m: ID!) { updateMessage(messageId: $m, text: "two") { id } }', { m }),
    world.run(bob, SEND, { id, text: 'three' }),
    world.run(cid, SEND, { id, text: 'four' }),
  ]);
  await world.run(ann, 'mutation ($m: ID!) { deleteMessage(messageId: $m) { id } }', { m });
  const promote =
    'mutation ($id: ID!, $e: String!) { promoteInConversation(conversationId: $id, email: $e) { id } }';
  await world.run(ann, promote, { id, e: bob.email });
  const kick =
    'mutation ($id: ID!, $e: String!) { kickFromConversation(conversationId: $id, email: $e) { id } }';
  await world.run(bob, kick, { id, e: cid.email });
  await world.run(bob, SEND, { id, text: 'five' });
  await world.run(
    bob,
    'mutation ($id: ID!) { updateConversation(conversationId: $id, name: "Chat") { id } }',
    { id },
  );
}

test(
  'whatever is asked, and by whom, is the same together and alone, to the byte',
  { timeout: 60_000 },
  async () => {
    await using world = await openWorld();
    const people = await family(world);
    const [together, alone] = [engineOf(world, true), engineOf(world, false)];
    let handed = 0;
    const compare = async (g: fc.GeneratorValue): Promise<void> => {
      const id = await people.talk();
      const texts = [false, true].map((perActor) => EVENTS(draw(g, 'Event', 2, perActor)));
      const readers = [people.ann, people.bob, people.cid].flatMap((actor) =>
        texts.map((text): Reader => ({ actor, text, variables: { id } })),
      );
      const pairs = await Promise.all(
        readers.map(
          async (reader) => [await read(world, together, reader), await read(world, alone, reader)] as const,
        ),
      );
      const readings = pairs.flat();
      await Promise.all(readings.map((reading) => reading.has(1)));
      await story(world, people, id);
      // The last one is of somebody who is thrown out before the last two events, and told so.
      const counts = readers.map(({ actor }) => (actor === people.cid ? 9 : 10));
      await Promise.all(pairs.flatMap((pair, index) => pair.map((one) => one.has(counts[index] ?? 0))));
      for (const reading of readings) await reading.stop();
      await Promise.all(readings.map(({ over }) => over));
      for (const [one, other] of pairs) {
        expect(one.lines).toEqual(other.lines);
        expect(other.handed).toEqual([]);
        handed += one.handed.length;
      }
    };
    await fc.assert(fc.asyncProperty(fc.gen(), compare), { numRuns: 12, seed: 5, endOnFailure: true });
    expect(handed).toBeGreaterThan(100);
  },
);

test('an event is executed once for all who ask the same, wherever they began, and for each who asks for its own', async () => {
  await using world = await openWorld();
  const { ann, bob, cid, talk } = await family(world);
  const id = await talk();
  let executed = 0;
  const engine = engineOf(world, true, () => (executed += 1));
  const begin = 'query ($id: ID!) { conversation(id: $id) { eventCursor } }';
  const { conversation } = await world.run(ann, begin, { id });
  const after = conversation.eventCursor as string;
  await world.run(ann, SEND, { id, text: 'before' });
  const own = EVENTS('... on MediaUploaded { media { message { id } } }');
  const readings = await Promise.all([
    read(world, engine, { actor: ann, text: TEXTS, variables: { id, after } }),
    read(world, engine, { actor: bob, text: TEXTS, variables: { id } }),
    read(world, engine, { actor: cid, text: TEXTS, variables: { id, after: null } }),
    read(world, engine, { actor: bob, text: own, variables: { id } }),
  ]);
  const [first, ...others] = readings;
  await first.has(2);
  await Promise.all(others.map((reading) => reading.has(1)));
  for (const text of ['one', 'two']) await world.run(ann, SEND, { id, text });
  await Promise.all(readings.map((reading) => reading.has(3)));
  expect(first.lines.map(textOf)).toEqual(['before', 'live', 'one', 'two']);
  expect(readings.map(({ handed }) => handed.length)).toEqual([2, 2, 2, 0]);
  expect(executed).toBe(2);
  expect(first.handed[0]).toBe(others[0]?.handed[0]);
  await Promise.all(readings.map((reading) => reading.stop()));
});

test('one that takes nothing, or fails, goes on by itself, misses nothing, and comes back; nobody else notices', async () => {
  await using world = await openWorld();
  const { ann, bob, cid, talk } = await family(world);
  const id = await talk();
  const engine = engineOf(world, true);
  let slow = true;
  const variables = { id };
  const readings = await Promise.all([
    read(world, engine, { actor: ann, text: TEXTS, variables, takes: () => !slow }),
    read(world, engine, {
      actor: bob,
      text: TEXTS,
      variables,
      takes() {
        if (slow) throw new Error('broken');
        return true;
      },
    }),
    read(world, engine, { actor: cid, text: TEXTS, variables }),
  ]);
  await Promise.all(readings.map((reading) => reading.has(1)));
  for (const text of ['one', 'two', 'three']) await world.run(ann, SEND, { id, text });
  await Promise.all(readings.map((reading) => reading.has(4)));
  expect(readings.map(({ handed }) => handed.length)).toEqual([0, 0, 3]);
  slow = false;
  for (const text of ['four', 'five']) await world.run(ann, SEND, { id, text });
  await Promise.all(readings.map((reading) => reading.has(6)));
  expect(readings.map(({ handed }) => handed.length)).toEqual([2, 2, 5]);
  for (const { lines } of readings)
    expect(lines.map(textOf)).toEqual(['live', 'one', 'two', 'three', 'four', 'five']);
  await Promise.all(readings.map((reading) => reading.stop()));
});

test('who is thrown out is handed the event that says so, and then nothing', async () => {
  await using world = await openWorld();
  const { ann, cid, talk } = await family(world);
  const id = await talk();
  const engine = engineOf(world, true);
  // Executed with a read of the database: the next event is committed meanwhile.
  const text = EVENTS(
    '... on ParticipantKicked { user { id isOnline } } ... on MessageSent { message { text conversation { name } } }',
  );
  const readings = await Promise.all([
    read(world, engine, { actor: ann, text, variables: { id } }),
    read(world, engine, { actor: cid, text, variables: { id } }),
  ]);
  await Promise.all(readings.map((reading) => reading.has(1)));
  const kick =
    'mutation ($id: ID!, $e: String!) { kickFromConversation(conversationId: $id, email: $e) { id } }';
  await Promise.all([
    world.run(ann, SEND, { id, text: 'one' }),
    world.run(ann, kick, { id, e: cid.email }),
    world.run(ann, SEND, { id, text: 'two' }),
  ]);
  const [stays, goes] = readings;
  await stays.has(4);
  await goes.over;
  const kicked = goes.lines.findIndex((line) => line.includes('ParticipantKicked'));
  expect(goes.lines.slice(0, kicked + 1)).toEqual(stays.lines.slice(0, kicked + 1));
  expect(goes.lines.slice(kicked + 1)).toEqual([expect.stringMatching(/^error .*"reason":"KICKED"/)]);
  expect(goes.handed).toHaveLength(kicked);
  await stays.stop();
});

test('a stream that is left while it is served with others is freed', async () => {
  await using world = await openWorld();
  const { ann, bob, talk } = await family(world);
  const id = await talk();
  const engine = engineOf(world, true);
  const readings = await Promise.all(
    [ann, bob].map((actor) => read(world, engine, { actor, text: TEXTS, variables: { id } })),
  );
  await Promise.all(readings.map((reading) => reading.has(1)));
  const [left, stays] = readings;
  await left?.stop();
  await left?.over;
  await world.run(ann, SEND, { id, text: 'one' });
  await stays?.has(2);
  expect(left?.lines).toEqual(['live', 'complete']);
  await stays?.stop();
});
