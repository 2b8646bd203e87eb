import { expect, test } from 'vitest';
import type { ReceiveQueue } from '../../src/testing/receive-queue.ts';
import type { LegacyClient, TestSubscription } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { readFrames, createMatcher, readPage } from './migration-page.ts';
import type { Section } from './migration-page.ts';
import { openFixture, maskVariableValues, subscribe } from './migration-fixtures.ts';
import type { Data, GraphqlConnection, MigrationFixture } from './migration-fixtures.ts';
import { runSnippet } from './snippets.ts';

// Runs the sections of docs/migration.md on emitted channels. Replies must match the page, and other clients must receive
// the same from the legacy code and from the GraphQL code.

/** Bob's clients on both APIs, which receive the events of Ann's actions. */
interface Observer {
  readonly legacyClient: LegacyClient;
  readonly events: TestSubscription;
  readonly typing: TestSubscription;
  readonly signals: TestSubscription;
  readonly presence: TestSubscription;
}

interface Scenario {
  /** Whether the page's code authenticates. */
  readonly isAnonymous?: boolean;
  /** Prepares the data, and returns the cursor that the page omits, if any. */
  readonly prepare?: (fixture: MigrationFixture) => Promise<unknown>;
  /** Runs once Ann is connected. */
  readonly afterConnect?: (fixture: MigrationFixture) => Promise<unknown>;
  /** Reads what Bob receives on both APIs. */
  readonly observe?: (observer: Observer) => Promise<unknown>[];
}

const sendText = (text: string) => async (fixture: MigrationFixture) =>
  sendMessage(fixture.bob, fixture.conversation, text);
const RENAME = 'mutation ($id: ID!) { updateCircle(circleId: $id, name: "Clan") { id } }';

const scenarios: Record<string, Scenario> = {
  '`authenticate`': {
    isAnonymous: true,
    observe: ({ legacyClient, presence }) => [legacyClient.expect('circle'), presence.next()],
  },
  '`disconnect`': {
    observe: ({ legacyClient, presence }) => [
      legacyClient.expect('circle'),
      presence.next(),
      legacyClient.expect('circle'),
      presence.next(),
    ],
  },
  '`join_conversation`': { prepare: sendText('Bonjour'), afterConnect: sendText('Salut') },
  '`join_conversation` with `after_message_id`': {
    async prepare(fixture) {
      await sendText('Bonjour')(fixture);
      const { conversation } = await fixture.ann.graphql.run<{ conversation: { eventCursor: string } }>(
        'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
        { id: fixture.conversation.id },
      );
      await sendText('Salut')(fixture);
      return conversation.eventCursor;
    },
  },
  '`join_circle`': { afterConnect: ({ ann, circle }) => ann.graphql.run(RENAME, { id: circle.id }) },
  '`message`': {
    observe: ({ legacyClient, events }) => [legacyClient.expect('message'), events.nextOf('MessageSent')],
  },
  '`message` with files': {
    observe: ({ legacyClient, events }) => [legacyClient.expect('message'), events.nextOf('MessageSent')],
  },
  '`writing`': { observe: ({ legacyClient, typing }) => [legacyClient.expect('writing'), typing.next()] },
  '`webrtc_credentials`': {},
  '`webrtc_stun_info`, `webrtc_turn_info`': {},
  '`webrtc_forward`': {
    observe: ({ legacyClient, signals }) => [
      legacyClient.expect('webrtc_forward'),
      legacyClient.expect('webrtc_config'),
      signals.next(),
    ],
  },
};

async function connectObserver({ bob, circle, conversation }: MigrationFixture): Promise<Observer> {
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
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_circle', { circle_id: circle.legacyId });
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  return { legacyClient, events, typing, signals, presence };
}

/** Runs the legacy code of a section, and returns what Bob received. */
async function runLegacyCode(section: Section, scenario: Scenario): Promise<unknown> {
  await using fixture = await openFixture();
  await scenario.prepare?.(fixture);
  const observer = scenario.observe === undefined ? undefined : await connectObserver(fixture);
  const client =
    scenario.isAnonymous === true ? await fixture.connectLegacy() : await fixture.connectLegacy(fixture.ann);
  const [script = ''] = section.scripts;
  await runSnippet(script, fixture.app.url, { socket: client.socket, token: fixture.ann.token });
  const [first, ...others] = readFrames(script);
  if (first !== undefined) expect(await client.expect(first.channel)).toEqual(createMatcher(first.payload));
  await scenario.afterConnect?.(fixture);
  for (const { channel, payload } of others)
    expect(await client.expect(channel)).toEqual(createMatcher(payload));
  expect(client.pending()).toEqual([]);
  return observer && maskVariableValues(await Promise.all(scenario.observe?.(observer) ?? []));
}

/** Runs the GraphQL code of a section, and returns what Bob received. */
async function runGraphqlCode(section: Section, scenario: Scenario): Promise<unknown> {
  await using fixture = await openFixture();
  let cursor = await scenario.prepare?.(fixture);
  const observer = scenario.observe === undefined ? undefined : await connectObserver(fixture);
  const connection = await fixture.connectGraphql(fixture.ann);
  for (const { query, variables, results } of section.operations) {
    const resolvedVariables = variables && 'after' in variables ? { ...variables, after: cursor } : variables;
    if (query.startsWith('subscription')) {
      await expectEvents(subscribe(connection, query, resolvedVariables), results, () =>
        scenario.afterConnect?.(fixture),
      );
    } else {
      const data = await connection.run(query, resolvedVariables);
      expect({ data }).toEqual(createMatcher(results[0]));
      ({ eventCursor: cursor } = Object.values(data)[0] as { eventCursor?: string });
    }
  }
  if (section.scripts.length > 1) await closeConnection(section, fixture, connection);
  return observer && maskVariableValues(await Promise.all(scenario.observe?.(observer) ?? []));
}

async function expectEvents(
  events: ReceiveQueue<Data>,
  results: unknown[],
  afterConnect: () => unknown,
): Promise<void> {
  for (const result of results) {
    const [[field, documented] = ['', {}]] = Object.entries((result as { data: Data }).data);
    const event = await events.next();
    expect({ [field]: event }).toEqual({ [field]: createMatcher(documented) });
    if (event['__typename'] === 'StreamLive') await afterConnect();
  }
  expect(events.pending()).toEqual([]);
}

/** Opens the GraphQL connection by a query, and closes it by the code of the page. */
async function closeConnection(
  section: Section,
  { app }: MigrationFixture,
  { client, run }: GraphqlConnection,
): Promise<void> {
  await run('{ me { __typename } }');
  await runSnippet(section.scripts[1] ?? '', app.url, { client });
}

const sections = (await readPage()).filter(
  ({ part, scripts }) => part === 'What you emit' && scripts.length > 0,
);
const LEAVE_SECTION = '`leave_conversation`, `leave_circle`';

// The first test of a worker opens the database.
test.for(
  sections.filter(({ title }) => title !== LEAVE_SECTION).map((section) => [section.title, section] as const),
)(
  'the reply of %s matches the page, and other clients receive the same from both APIs',
  { timeout: 60_000 },
  async ([title, section]) => {
    const scenario = scenarios[title];
    if (scenario === undefined) throw new Error(`${title} has no scenario.`);
    const observed = await runLegacyCode(section, scenario);
    expect(await runGraphqlCode(section, scenario)).toEqual(observed);
    expect(scenario.observe === undefined).toBe(observed === undefined);
  },
);

test(
  'a client that leaves a room or ends its subscriptions receives nothing more from it',
  { timeout: 60_000 },
  async () => {
    const [legacyScript = '', graphqlScript = ''] =
      sections.find(({ title }) => title === LEAVE_SECTION)?.scripts ?? [];
    await using fixture = await openFixture();
    const { app, ann, bob, circle, conversation } = fixture;
    const client = await fixture.connectLegacy(ann);
    await client.push('join_conversation', { conversation_id: conversation.legacyId });
    await client.push('join_circle', { circle_id: circle.legacyId });
    const { client: graphql } = await fixture.connectGraphql(ann);
    const query = `subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename } }`;
    const events = graphql.iterate({ query, variables: { id: conversation.id } });
    expect(await events.next()).toMatchObject({ value: { data: {} } });

    await runSnippet(legacyScript, app.url, { socket: client.socket });
    for (const { channel, payload } of readFrames(legacyScript))
      expect(await client.expect(channel)).toBe(payload);
    await runSnippet(graphqlScript, app.url, { events });
    await sendMessage(bob, conversation, 'after leaving');
    await bob.graphql.run(RENAME, { id: circle.id });
    expect(await events.next()).toEqual({ done: true, value: undefined });
    await client.emitWithAck('unknown');
    expect(client.pending()).toEqual([]);
  },
);

test('a send on the legacy API that is retried on GraphQL is sent once', async () => {
  await using fixture = await openFixture();
  const { ann, bob, conversation } = fixture;
  const section = sections.find(({ title }) => title === '`message`');
  const [script = ''] = section?.scripts ?? [];
  const [operation] = section?.operations ?? [];
  await using events = await bob.subscribeToConversation(conversation.id);
  const client = await fixture.connectLegacy(ann);
  await runSnippet(script, fixture.app.url, { socket: client.socket });
  expect(await client.expect('success')).toMatchObject({ message_id: 40 });
  const { run } = await fixture.connectGraphql(ann);
  const result = await run(operation?.query ?? '', operation?.variables);
  expect(result).toMatchObject({ sendMessage: { message: { legacyId: 40 } } });
  await sendMessage(ann, conversation, 'the next');
  expect(await events.nextOf('MessageSent')).toMatchObject({ message: { text: 'Bonjour' } });
  expect(await events.nextOf('MessageSent')).toMatchObject({ message: { text: 'the next' } });
});
