import { afterAll, beforeAll, expect, test } from 'vitest';
import { createConversation } from '../../src/testing/index.ts';
import type { LegacyClient } from '../../src/testing/index.ts';
import { readPage } from './migration-page.ts';
import { openFixture } from './migration-fixtures.ts';
import type { Data, MigrationFixture } from './migration-fixtures.ts';

// Checks the table of error texts in docs/migration.md. A legacy error text and a GraphQL code for one cause share a row.

const CONVERSATION = 'query ($id: ID!) { conversation(id: $id) { id } }';
const SUBSCRIBE = 'subscription ($id: ID!) { conversationEvents(conversationId: $id) { cursor } }';
const SUBSCRIBE_CIRCLE = 'subscription ($id: ID!) { circleEvents(circleId: $id) { cursor } }';
const SEND_MESSAGE =
  'mutation ($id: ID!, $text: String = "Hi", $files: [String!], $key: String) { sendMessage(conversationId: $id, text: $text, files: $files, idempotencyKey: $key) { message { id } } }';
const SET_TYPING = 'mutation ($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }';
const SEND_SIGNAL = 'mutation ($to: SignalTarget!) { sendSignal(to: $to, content: {}) }';
const LONG_TEXT = 'x'.repeat(8193);

let fixture: MigrationFixture;
let legacyClient: LegacyClient;

beforeAll(async () => {
  fixture = await openFixture();
  // Bob is the only participant of conversation 13.
  await createConversation(fixture.bob, fixture.circle);
  legacyClient = await fixture.connectLegacy(fixture.ann);
  await legacyClient.push('message', { conversation_id: 12, client_message_id: 'used' });
  await fixture.ann.graphql.run(SEND_MESSAGE, { id: 'Conversation:12', key: 'used too' });
});

afterAll(() => fixture[Symbol.asyncDispose]());

async function readErrorCode(query: string, variables: Data): Promise<unknown> {
  if (!query.startsWith('subscription')) return fixture.ann.graphql.expectError(query, variables);
  const [error] = await fixture.ann.graphql.subscribe(query, variables).waitForEnd();
  return error?.extensions?.['code'];
}

/** Returns the codes that the page lists for a text. */
async function readDocumentedCodes(text: string): Promise<string> {
  const rows = (await readPage()).find(({ title }) => title === 'Texts of `error`')?.cells ?? [];
  return rows.find(([cell]) => cell === `\`${text}\``)?.[2] ?? '';
}

const withConversation = (conversation_id: number) => ({ conversation_id });

test.for([
  ['Parameter missing', 'join_conversation', {}, CONVERSATION, {}, 'INVALID_INPUT'],
  [
    'Parameter missing',
    'message',
    { ...withConversation(12), files: 7 },
    SEND_MESSAGE,
    { id: 'Conversation:12', files: 7 },
    'INVALID_INPUT',
  ],
  [
    'Parameter missing',
    'writing',
    withConversation(12),
    SET_TYPING,
    { id: 'Conversation:12' },
    'INVALID_INPUT',
  ],
  ['Param conversation_id introuvable', 'message', {}, SEND_MESSAGE, {}, 'INVALID_INPUT'],
  [
    'Vous ne faite pas partie de cette conversation',
    'join_conversation',
    withConversation(13),
    SUBSCRIBE,
    { id: 'Conversation:13' },
    'NOT_FOUND',
  ],
  [
    'Vous ne faite pas partie de cette conversation',
    'writing',
    { ...withConversation(99), is_writing: true },
    SET_TYPING,
    { id: 'Conversation:99', is: true },
    'NOT_FOUND',
  ],
  [
    "Vous n'appartenez pas a ce cercle",
    'join_circle',
    { circle_id: 99 },
    SUBSCRIBE_CIRCLE,
    { id: 'Circle:99' },
    'NOT_FOUND',
  ],
  [
    'Conversation introuvable',
    'message',
    withConversation(99),
    SEND_MESSAGE,
    { id: 'Conversation:99' },
    'NOT_FOUND',
  ],
  [
    'Vous ne faites pas partie de cette conversation',
    'message',
    withConversation(13),
    SEND_MESSAGE,
    { id: 'Conversation:13' },
    'NOT_FOUND',
  ],
  [
    'Message invalide',
    'message',
    { ...withConversation(12), text_message: LONG_TEXT },
    SEND_MESSAGE,
    { id: 'Conversation:12', text: LONG_TEXT },
    'INVALID_INPUT',
  ],
  [
    'Utilisateur introuvable',
    'webrtc_forward',
    { user_id: 99 },
    SEND_SIGNAL,
    { to: { userId: 'User:99' } },
    'NOT_FOUND',
  ],
  [
    'Destinataire non connecte aux websockets',
    'webrtc_forward',
    { user_id: 8 },
    SEND_SIGNAL,
    { to: { userId: 'User:8' } },
    'UNREACHABLE',
  ],
] as const)(
  '“%s” of %s with %j has the documented code',
  async ([text, channel, payload, query, variables, code]) => {
    expect(await legacyClient.expectError(channel, payload)).toBe(text);
    expect(await readErrorCode(query, variables)).toBe(code);
    expect(await readDocumentedCodes(text)).toContain(`\`${code}\``);
  },
);

test('an idempotency key of another conversation is a conflict', async () => {
  const other = await createConversation(fixture.ann, fixture.circle);
  const payload = { ...withConversation(other.legacyId), client_message_id: 'used' };
  expect(await legacyClient.expectError('message', payload)).toBe('Message invalide');
  expect(await readErrorCode(SEND_MESSAGE, { id: other.id, key: 'used too' })).toBe('CONFLICT');
});

test('a caller without an account, or with a bad token, is unauthenticated', async () => {
  const anonymous = await fixture.app.connectLegacy();
  expect(await anonymous.expectError('join_circle', { circle_id: 3 })).toMatch(/^Socket user introuvable/);
  expect(await anonymous.expectError('authenticate', { token: 'x' })).toBe('User not found');
  expect(await fixture.app.graphql.expectError(CONVERSATION, { id: 'Conversation:12' })).toBe(
    'UNAUTHENTICATED',
  );
});

test('nested lists of files and a flag that is a string are rejected', async () => {
  const id = 'Conversation:12';
  expect(await readErrorCode(SEND_MESSAGE, { id, files: [['a', 'b']] })).toBe('INVALID_INPUT');
  expect(await readErrorCode(SET_TYPING, { id, is: 'true' })).toBe('INVALID_INPUT');
  expect(await fixture.ann.graphql.run(SEND_MESSAGE, { id, files: 'cake.png' })).toMatchObject({
    sendMessage: {},
  });
});
