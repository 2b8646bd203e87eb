import { afterAll, beforeAll, expect, test } from 'vitest';
import { createConversation } from '../../src/testing/index.ts';
import type { LegacyClient } from '../../src/testing/index.ts';
import { readPage } from './migration-page.ts';
import { openStage } from './migration-fixtures.ts';
import type { Data, Stage } from './migration-fixtures.ts';

// Checks the table of refusals of docs/migration.md: a text of the legacy API is a code of that row in GraphQL.

const LOOK = 'query ($id: ID!) { conversation(id: $id) { id } }';
const FOLLOW = 'subscription ($id: ID!) { conversationEvents(conversationId: $id) { cursor } }';
const FOLLOW_CIRCLE = 'subscription ($id: ID!) { circleEvents(circleId: $id) { cursor } }';
const SEND =
  'mutation ($id: ID!, $text: String = "Hi", $files: [String!], $key: String) { sendMessage(conversationId: $id, text: $text, files: $files, idempotencyKey: $key) { message { id } } }';
const TYPE = 'mutation ($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }';
const SIGNAL = 'mutation ($to: SignalTarget!) { sendSignal(to: $to, content: {}) }';
const LONG = 'x'.repeat(8193);

let stage: Stage;
let phone: LegacyClient;

beforeAll(async () => {
  stage = await openStage();
  // Conversation 13 is Bob's alone.
  await createConversation(stage.bob, stage.circle);
  phone = await stage.old(stage.ann);
  await phone.push('message', { conversation_id: 12, client_message_id: 'used' });
  await stage.ann.graphql.run(SEND, { id: 'Conversation:12', key: 'used too' });
});

afterAll(() => stage[Symbol.asyncDispose]());

async function codeOf(query: string, variables: Data): Promise<unknown> {
  if (!query.startsWith('subscription')) return stage.ann.graphql.expectError(query, variables);
  const [error] = await stage.ann.graphql.subscribe(query, variables).waitForEnd();
  return error?.extensions?.['code'];
}

/** Returns the codes that the page lists for a text. */
async function codesOf(text: string): Promise<string> {
  const rows = (await readPage()).find(({ title }) => title === 'Texts of `error`')?.cells ?? [];
  return rows.find(([cell]) => cell === `\`${text}\``)?.[2] ?? '';
}

const talk = (conversation_id: number) => ({ conversation_id });

test.for([
  ['Parameter missing', 'join_conversation', {}, LOOK, {}, 'INVALID_INPUT'],
  [
    'Parameter missing',
    'message',
    { ...talk(12), files: 7 },
    SEND,
    { id: 'Conversation:12', files: 7 },
    'INVALID_INPUT',
  ],
  ['Parameter missing', 'writing', talk(12), TYPE, { id: 'Conversation:12' }, 'INVALID_INPUT'],
  ['Param conversation_id introuvable', 'message', {}, SEND, {}, 'INVALID_INPUT'],
  [
    'Vous ne faite pas partie de cette conversation',
    'join_conversation',
    talk(13),
    FOLLOW,
    { id: 'Conversation:13' },
    'NOT_FOUND',
  ],
  [
    'Vous ne faite pas partie de cette conversation',
    'writing',
    { ...talk(99), is_writing: true },
    TYPE,
    { id: 'Conversation:99', is: true },
    'NOT_FOUND',
  ],
  [
    "Vous n'appartenez pas a ce cercle",
    'join_circle',
    { circle_id: 99 },
    FOLLOW_CIRCLE,
    { id: 'Circle:99' },
    'NOT_FOUND',
  ],
  ['Conversation introuvable', 'message', talk(99), SEND, { id: 'Conversation:99' }, 'NOT_FOUND'],
  [
    'Vous ne faites pas partie de cette conversation',
    'message',
    talk(13),
    SEND,
    { id: 'Conversation:13' },
    'NOT_FOUND',
  ],
  [
    'Message invalide',
    'message',
    { ...talk(12), text_message: LONG },
    SEND,
    { id: 'Conversation:12', text: LONG },
    'INVALID_INPUT',
  ],
  [
    'Utilisateur introuvable',
    'webrtc_forward',
    { user_id: 99 },
    SIGNAL,
    { to: { userId: 'User:99' } },
    'NOT_FOUND',
  ],
  [
    'Destinataire non connecte aux websockets',
    'webrtc_forward',
    { user_id: 8 },
    SIGNAL,
    { to: { userId: 'User:8' } },
    'UNREACHABLE',
  ],
] as const)(
  '“%s” of %s with %j is a code of its row',
  async ([text, channel, payload, query, variables, code]) => {
    expect(await phone.expectError(channel, payload)).toBe(text);
    expect(await codeOf(query, variables)).toBe(code);
    expect(await codesOf(text)).toContain(`\`${code}\``);
  },
);

test('a key that another conversation has used is a conflict', async () => {
  const other = await createConversation(stage.ann, stage.circle);
  const again = { ...talk(other.legacyId), client_message_id: 'used' };
  expect(await phone.expectError('message', again)).toBe('Message invalide');
  expect(await codeOf(SEND, { id: other.id, key: 'used too' })).toBe('CONFLICT');
});

test('a caller without an account, or with a bad token, is unauthenticated', async () => {
  const nobody = await stage.app.connectLegacy();
  expect(await nobody.expectError('join_circle', { circle_id: 3 })).toMatch(/^Socket user introuvable/);
  expect(await nobody.expectError('authenticate', { token: 'x' })).toBe('User not found');
  expect(await stage.app.graphql.expectError(LOOK, { id: 'Conversation:12' })).toBe('UNAUTHENTICATED');
});

test('nested lists of files and a flag that is a string are refused', async () => {
  const id = 'Conversation:12';
  expect(await codeOf(SEND, { id, files: [['a', 'b']] })).toBe('INVALID_INPUT');
  expect(await codeOf(TYPE, { id, is: 'true' })).toBe('INVALID_INPUT');
  expect(await stage.ann.graphql.run(SEND, { id, files: 'cake.png' })).toMatchObject({ sendMessage: {} });
});
