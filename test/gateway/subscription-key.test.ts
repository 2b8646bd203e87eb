import { buildSchema, parse } from 'graphql';
import { expect, test } from 'vitest';
import { createSubscriptionKeys } from '../../src/gateway/execution/subscription-key.ts';
import { schema } from '../../src/schema/index.ts';

const { keyOf } = createSubscriptionKeys(schema);

const parseSubscription = (selection: string) =>
  parse(`subscription Chat($id: ID!, $after: Cursor, $with: Boolean = true) {
    conversationEvents(conversationId: $id, after: $after) { ${selection} } }`);

const TEXT = parseSubscription('... on MessageSent { message { text @include(if: $with) } }');

test('operations that differ in their start cursor or in undeclared variables have equal keys', () => {
  const key = keyOf({ document: TEXT, variables: { id: 'Conversation:1' } });
  expect(key).toBeDefined();
  for (const variables of [
    { id: 'Conversation:1', after: 'somewhere' },
    { after: null, id: 'Conversation:1' },
    { id: 'Conversation:1', undeclared: 'x'.repeat(10_000) },
  ])
    expect(keyOf({ document: TEXT, variables })).toBe(key);
});

test('operations that differ in anything else have different keys', () => {
  const keys = [
    keyOf({ document: TEXT, variables: { id: 'Conversation:1' } }),
    keyOf({ document: TEXT, variables: { id: 'Conversation:2' } }),
    keyOf({ document: TEXT, variables: { id: 'Conversation:1', with: false } }),
    keyOf({ document: TEXT, operationName: 'Chat', variables: { id: 'Conversation:1' } }),
    keyOf({ document: parseSubscription('__typename'), variables: { id: 'Conversation:1' } }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});

test('a cursor variable with another use is part of the key', () => {
  const cursorUsedTwice = parse(`subscription ($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      ... on MessageSent { message { conversation { messages(after: $after) { nodes { id } } } } } } }`);
  const cursorAsId = parse(
    `subscription ($after: ID!) { conversationEvents(conversationId: $after) { __typename } }`,
  );
  for (const document of [cursorUsedTwice, cursorAsId]) {
    const [first, second] = ['a', 'b'].map((after) =>
      keyOf({ document, variables: { id: 'Conversation:1', after } }),
    );
    if (first !== undefined) expect(first).not.toBe(second);
  }
});

test.for([
  '... on ConversationUpdated { conversation { myRole } }',
  '... on ConversationUpdated { conversation { name eventCursor } }',
  '... on MediaUploaded { media { message { id } } }',
  '... on MessageSent { message { author { ... on User { circles { nodes { id } } } } } }',
])('a selection that depends on the account has no key: %s', (selection) => {
  expect(
    keyOf({ document: parseSubscription(selection), variables: { id: 'Conversation:1' } }),
  ).toBeUndefined();
});

test.for(['user { email }', 'invitedBy { email }'])('%s of an invitation has no key', (selection) => {
  const document = parse(
    `subscription { inboxEvents { ... on CircleInvited { invitation { ${selection} } } } }`,
  );
  expect(keyOf({ document })).toBeUndefined();
});

test('an operation with long variable values has no key', () => {
  expect(keyOf({ document: TEXT, variables: { id: 'x'.repeat(10_000) } })).toBeUndefined();
});

test('a field of an interface must be marked if an implementing type marks it', () => {
  const interfaceSchema = buildSchema(`
    interface Named { name: String }
    type User implements Named { name: String }
    type Query { user: Named }
  `);
  const user = interfaceSchema.getType('User');
  if (user === undefined || !('getFields' in user)) throw new Error('The schema has no type User.');
  const { name } = user.getFields();
  if (name !== undefined) name.extensions = { perActor: true };
  expect(() => createSubscriptionKeys(interfaceSchema)).toThrow(
    'Named.name must be marked perActor, as it is in User',
  );
});
