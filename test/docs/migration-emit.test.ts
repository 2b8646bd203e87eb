import { expect, test } from 'vitest';
import type { ReceiveQueue } from '../../src/testing/receive-queue.ts';
import type { LegacyClient, TestSubscription } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { framesOf, meant, readPage } from './migration-page.ts';
import type { Section } from './migration-page.ts';
import { openStage, steady, subscribe } from './migration-fixtures.ts';
import type { Data, Modern, Stage } from './migration-fixtures.ts';
import { execute } from './snippets.ts';

// Runs the sections of docs/migration.md on emitted channels: the replies are as written, and others receive the same.

/** Bob's clients on both APIs, which receive what Ann does. */
interface Witness {
  readonly old: LegacyClient;
  readonly events: TestSubscription;
  readonly typing: TestSubscription;
  readonly signals: TestSubscription;
  readonly presence: TestSubscription;
}

interface Scene {
  /** Whether the page's code authenticates. */
  readonly anonymous?: boolean;
  /** Prepares the data; returns the cursor that the page leaves out, if any. */
  readonly given?: (stage: Stage) => Promise<unknown>;
  /** Runs once Ann is connected. */
  readonly meanwhile?: (stage: Stage) => Promise<unknown>;
  /** Returns what Bob receives in the end, on both APIs. */
  readonly seen?: (witness: Witness) => Promise<unknown>[];
}

const say = (text: string) => async (stage: Stage) => sendMessage(stage.bob, stage.conversation, text);
const RENAME = 'mutation ($id: ID!) { updateCircle(circleId: $id, name: "Clan") { id } }';

const scenes: Record<string, Scene> = {
  '`authenticate`': {
    anonymous: true,
    seen: ({ old, presence }) => [old.expect('circle'), presence.next()],
  },
  '`disconnect`': {
    seen: ({ old, presence }) => [
      old.expect('circle'),
      presence.next(),
      old.expect('circle'),
      presence.next(),
    ],
  },
  '`join_conversation`': { given: say('Bonjour'), meanwhile: say('Salut') },
  '`join_conversation` with `after_message_id`': {
    async given(stage) {
      await say('Bonjour')(stage);
      const { conversation } = await stage.ann.graphql.run<{ conversation: { eventCursor: string } }>(
        'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
        { id: stage.conversation.id },
      );
      await say('Salut')(stage);
      return conversation.eventCursor;
    },
  },
  '`join_circle`': { meanwhile: ({ ann, circle }) => ann.graphql.run(RENAME, { id: circle.id }) },
  '`message`': { seen: ({ old, events }) => [old.expect('message'), events.nextOf('MessageSent')] },
  '`message` with files': {
    seen: ({ old, events }) => [old.expect('message'), events.nextOf('MessageSent')],
  },
  '`writing`': { seen: ({ old, typing }) => [old.expect('writing'), typing.next()] },
  '`webrtc_credentials`': {},
  '`webrtc_stun_info`, `webrtc_turn_info`': {},
  '`webrtc_forward`': {
    seen: ({ old, signals }) => [old.expect('webrtc_forward'), old.expect('webrtc_config'), signals.next()],
  },
};

async function witness({ bob, circle, conversation }: Stage): Promise<Witness> {
  const id = { id: conversation.id };
  const ACTOR = '__typename ... on User { email } ... on Device { name }';
  const signals = bob.graphql.subscribe(`subscription { signals { content sender { ${ACTOR} } } }`);
  const typing = bob.graphql.subscribe(
    `subscription ($id: ID!) { typing(conversationId: $id) { isTyping actor { ${ACTOR} } } }`,
    id,
  );
  const presence = bob.graphql.subscribe(
    `subscription ($id: ID!) { presence(circleId: $id) { online actor { ${ACTOR} } } }`,
    { id: circle.id },
  );
  await presence.next();
  const events = await bob.subscribeToConversation(conversation.id);
  const old = await bob.connectLegacy();
  await old.push('join_circle', { circle_id: circle.legacyId });
  await old.push('join_conversation', { conversation_id: conversation.legacyId });
  return { old, events, typing, signals, presence };
}

/** Runs the legacy code of a section; returns what Bob received. */
async function before(section: Section, scene: Scene): Promise<unknown> {
  await using stage = await openStage();
  await scene.given?.(stage);
  const bob = scene.seen === undefined ? undefined : await witness(stage);
  const client = scene.anonymous === true ? await stage.old() : await stage.old(stage.ann);
  const [script = ''] = section.scripts;
  await execute(script, stage.app.url, { socket: client.socket, token: stage.ann.token });
  const [first, ...others] = framesOf(script);
  if (first !== undefined) expect(await client.expect(first.channel)).toEqual(meant(first.payload));
  await scene.meanwhile?.(stage);
  for (const { channel, payload } of others) expect(await client.expect(channel)).toEqual(meant(payload));
  expect(client.pending()).toEqual([]);
  return bob && steady(await Promise.all(scene.seen?.(bob) ?? []));
}

/** Runs the GraphQL code of a section; returns what Bob received. */
async function after(section: Section, scene: Scene): Promise<unknown> {
  await using stage = await openStage();
  let cursor = await scene.given?.(stage);
  const bob = scene.seen === undefined ? undefined : await witness(stage);
  const modern = await stage.modern(stage.ann);
  for (const { query, variables, answers } of section.operations) {
    const given = variables && 'after' in variables ? { ...variables, after: cursor } : variables;
    if (query.startsWith('subscription')) {
      await expectEvents(subscribe(modern, query, given), answers, () => scene.meanwhile?.(stage));
    } else {
      const data = await modern.run(query, given);
      expect({ data }).toEqual(meant(answers[0]));
      ({ eventCursor: cursor } = Object.values(data)[0] as { eventCursor?: string });
    }
  }
  if (section.scripts.length > 1) await leave(section, stage, modern);
  return bob && steady(await Promise.all(scene.seen?.(bob) ?? []));
}

async function expectEvents(
  events: ReceiveQueue<Data>,
  answers: unknown[],
  meanwhile: () => unknown,
): Promise<void> {
  for (const answer of answers) {
    const [[field, documented] = ['', {}]] = Object.entries((answer as { data: Data }).data);
    const event = await events.next();
    expect({ [field]: event }).toEqual({ [field]: meant(documented) });
    if (event['__typename'] === 'StreamLive') await meanwhile();
  }
  expect(events.pending()).toEqual([]);
}

/** Closes the GraphQL connection once it is open. */
async function leave(section: Section, { app }: Stage, { client, run }: Modern): Promise<void> {
  await run('{ me { __typename } }');
  await execute(section.scripts[1] ?? '', app.url, { client });
}

const sections = (await readPage()).filter(
  ({ part, scripts }) => part === 'What you emit' && scripts.length > 0,
);
const LEAVE = '`leave_conversation`, `leave_circle`';

// The first test of a worker opens the database.
test.for(sections.filter(({ title }) => title !== LEAVE).map((section) => [section.title, section] as const))(
  '%s is answered as written, and others receive the same from both',
  { timeout: 60_000 },
  async ([title, section]) => {
    const scene = scenes[title];
    if (scene === undefined) throw new Error(`${title} has no scene.`);
    const seen = await before(section, scene);
    expect(await after(section, scene)).toEqual(seen);
    expect(scene.seen === undefined).toBe(seen === undefined);
  },
);

test(
  'a client that leaves a room or ends its subscriptions receives nothing more from it',
  { timeout: 60_000 },
  async () => {
    const [old = '', modern = ''] = sections.find(({ title }) => title === LEAVE)?.scripts ?? [];
    await using stage = await openStage();
    const { app, ann, bob, circle, conversation } = stage;
    const client = await stage.old(ann);
    await client.push('join_conversation', { conversation_id: conversation.legacyId });
    await client.push('join_circle', { circle_id: circle.legacyId });
    const { client: graphql } = await stage.modern(ann);
    const query = `subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename } }`;
    const events = graphql.iterate({ query, variables: { id: conversation.id } });
    expect(await events.next()).toMatchObject({ value: { data: {} } });

    await execute(old, app.url, { socket: client.socket });
    for (const { channel, payload } of framesOf(old)) expect(await client.expect(channel)).toBe(payload);
    await execute(modern, app.url, { events });
    await sendMessage(bob, conversation, 'to nobody');
    await bob.graphql.run(RENAME, { id: circle.id });
    expect(await events.next()).toEqual({ done: true, value: undefined });
    await client.emitWithAck('unknown');
    expect(client.pending()).toEqual([]);
  },
);

test('a send that starts on the legacy API and is repeated on GraphQL is sent once', async () => {
  await using stage = await openStage();
  const { ann, bob, conversation } = stage;
  const section = sections.find(({ title }) => title === '`message`');
  const [script = ''] = section?.scripts ?? [];
  const [operation] = section?.operations ?? [];
  await using events = await bob.subscribeToConversation(conversation.id);
  const client = await stage.old(ann);
  await execute(script, stage.app.url, { socket: client.socket });
  expect(await client.expect('success')).toMatchObject({ message_id: 40 });
  const { run } = await stage.modern(ann);
  const again = await run(operation?.query ?? '', operation?.variables);
  expect(again).toMatchObject({ sendMessage: { message: { legacyId: 40 } } });
  await sendMessage(ann, conversation, 'the next');
  expect(await events.nextOf('MessageSent')).toMatchObject({ message: { text: 'Bonjour' } });
  expect(await events.nextOf('MessageSent')).toMatchObject({ message: { text: 'the next' } });
});
